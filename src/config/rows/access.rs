//! Passwords, ACL and scripts. (`user` and `rename-command` are lines, not directives with a value: `load.rs`.)
use crate::config::build::*;
use crate::config::directive::{Apply, Row, RowFlags};
use crate::config::values::AclPubsubDefault;

pub(super) const ROWS: &[Row] = &[
    optional_text("requirepass", at!(requirepass))
        .flags(RowFlags::SENSITIVE)
        .apply(Apply::RequirePass),
    text("aclfile", at!(aclfile)).immutable(),
    int("acllog-max-len", num!(acllog_max_len), 0, i64::MAX).apply(Apply::Trim),
    choice(
        "acl-pubsub-default",
        pick!(acl_pubsub_default: AclPubsubDefault),
    ),
    int(
        "busy-reply-threshold",
        num!(busy_reply_threshold),
        0,
        i64::MAX,
    )
    .alias("lua-time-limit"),
    flag("lua-enable-deprecated-api", at!(lua_enable_deprecated_api))
        .immutable()
        .flags(RowFlags::HIDDEN),
];
