//! ACL SETUSER, GETUSER, DELUSER, LIST, USERS, LOAD and SAVE.

use crate::acl::users::{DEFAULT_USER, is_name};
use crate::acl::{Selector, User, merge_selectors};
use crate::exec::command::{Command, Group, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, Reply};

/// The row of ACL SETUSER.
pub(super) static ACL_SETUSER: Command = Command {
    name: "acl|setuser",
    handler: acl_setuser,
    arity: -3,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(N). Where N is the number of rules provided.",
    summary: "Makes a user or changes what it may do.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: "username [rule...]",
    ..Command::DEFAULT
};

fn acl_setuser(ctx: &mut Ctx<'_>) -> Outcome {
    let name = ctx.arg(2);
    if !is_name(name) {
        return Err(Error::new(
            "ERR Usernames can't contain spaces or null characters",
        ));
    }
    let rules = merge_selectors(ctx.args.iter().skip(3)).map_err(|start| {
        let text = b"ERR Unmatched parenthesis in acl selector starting at '".as_slice();
        Error::Bytes([text, as_text(&start), b"'."].concat())
    })?;
    let s = &mut *ctx.server;
    let before = s.acl.users.by_name(name).map(|(_, user)| user.clone());
    let (context, users) = s.acl.parts(&s.config);
    let changed = users.change(name, &rules, context);
    let id = changed.map_err(|(i, why)| {
        let text = b"ERR Error in ACL SETUSER modifier '".as_slice();
        let why = format!("': {why}");
        Error::Bytes([text, as_text(&rules[i]), why.as_bytes()].concat())
    })?;
    s.user_changed(Some(&mut *ctx.client), id, before.as_ref());
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// Bytes as an error quotes them: up to a NUL.
fn as_text(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

/// The row of ACL GETUSER.
pub(super) static ACL_GETUSER: Command = Command {
    name: "acl|getuser",
    handler: acl_getuser,
    arity: 3,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(N). Where N is the number of password, command and pattern rules that the \
        user has.",
    summary: "Describes what a user may do.",
    args: "username",
    ..Command::DEFAULT
};

fn acl_getuser(ctx: &mut Ctx<'_>) -> Outcome {
    let old_form = ctx.server.config.compat_before(7, 2);
    let name = ctx.arg(2);
    let mut reply = Reply::new(&mut ctx.client.out, ctx.client.proto);
    match ctx.server.acl.users.by_name(name) {
        Some((_, user)) => describe(user, old_form, &mut reply),
        None => reply.null(),
    }
    Ok(Flow::Done)
}

fn describe(user: &User, old_form: bool, r: &mut Reply<'_>) {
    let flags = user.flag_names(old_form);
    r.map(6);
    r.bulk(b"flags");
    r.set(flags.len());
    flags.iter().for_each(|name| r.bulk(name.as_bytes()));
    r.bulk(b"passwords");
    r.array(user.passwords().len());
    user.passwords().iter().for_each(|hash| r.bulk(hash));
    let (root, others) = match user.selectors() {
        [root, others @ ..] => (root, others),
        [] => return,
    };
    describe_selector(root, old_form, r);
    r.bulk(b"selectors");
    r.array(others.len());
    for selector in others {
        r.map(3);
        describe_selector(selector, old_form, r);
    }
}

fn describe_selector(selector: &Selector, old_form: bool, r: &mut Reply<'_>) {
    r.bulk(b"commands");
    r.bulk(&selector.describe_commands(old_form));
    r.bulk(b"keys");
    r.bulk(&selector.describe_keys());
    r.bulk(b"channels");
    r.bulk(&selector.describe_channels());
}

/// The row of ACL DELUSER.
pub(super) static ACL_DELUSER: Command = Command {
    name: "acl|deluser",
    handler: acl_deluser,
    arity: -3,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(1) amortized time considering the typical user.",
    summary: "Removes users and closes their connections.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: "username...",
    ..Command::DEFAULT
};

fn acl_deluser(ctx: &mut Ctx<'_>) -> Outcome {
    let mut removed = 0;
    for name in ctx.args.iter().skip(2) {
        if name == DEFAULT_USER {
            return Err(Error::new("ERR The 'default' user cannot be removed"));
        }
        if let Some(id) = ctx.server.acl.users.remove(name) {
            ctx.server.user_removed(ctx.client, id);
            removed += 1;
        }
    }
    ctx.reply().int(removed);
    Ok(Flow::Done)
}

/// The row of ACL LIST.
pub(super) static ACL_LIST: Command = Command {
    name: "acl|list",
    handler: acl_list,
    arity: 2,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(N). Where N is the number of configured users.",
    summary: "Lists the users as rules, as in the ACL file.",
    ..Command::DEFAULT
};

fn acl_list(ctx: &mut Ctx<'_>) -> Outcome {
    let old_form = ctx.server.config.compat_before(7, 2);
    let mut reply = Reply::new(&mut ctx.client.out, ctx.client.proto);
    let users = &ctx.server.acl.users;
    reply.array(users.len());
    users.iter().for_each(|u| reply.bulk(&u.line(old_form)));
    Ok(Flow::Done)
}

/// The row of ACL USERS.
pub(super) static ACL_USERS: Command = Command {
    name: "acl|users",
    handler: acl_users,
    arity: 2,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(N). Where N is the number of configured users.",
    summary: "Lists the names of the users.",
    ..Command::DEFAULT
};

fn acl_users(ctx: &mut Ctx<'_>) -> Outcome {
    let mut reply = Reply::new(&mut ctx.client.out, ctx.client.proto);
    let users = &ctx.server.acl.users;
    reply.array(users.len());
    users.iter().for_each(|u| reply.bulk(u.name()));
    Ok(Flow::Done)
}

/// ACL LOAD and SAVE need a file.
fn needs_file(ctx: &Ctx<'_>) -> Result<(), Error> {
    if ctx.server.config.aclfile.is_empty() {
        return Err(Error::new(
            "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.",
        ));
    }
    Ok(())
}

/// The row of ACL LOAD.
pub(super) static ACL_LOAD: Command = Command {
    name: "acl|load",
    handler: acl_load,
    arity: 2,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(N). Where N is the number of configured users.",
    summary: "Reads the ACL file again.",
    ..Command::DEFAULT
};

fn acl_load(ctx: &mut Ctx<'_>) -> Outcome {
    needs_file(ctx)?;
    ctx.server.reload_users(ctx.client)?;
    ctx.reply().ok();
    Ok(Flow::Done)
}

/// The row of ACL SAVE.
pub(super) static ACL_SAVE: Command = Command {
    name: "acl|save",
    handler: acl_save,
    arity: 2,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(N). Where N is the number of configured users.",
    summary: "Writes the users to the ACL file.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    ..Command::DEFAULT
};

fn acl_save(ctx: &mut Ctx<'_>) -> Outcome {
    needs_file(ctx)?;
    ctx.server.save_users()?;
    ctx.reply().ok();
    Ok(Flow::Done)
}
