//! Any bytes as an ACL file: what is accepted is printed and read back as users that are equal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstart::acl::user::RuleContext;
use redstart::acl::{Commands, Users, file};
use redstart::exec::registry::Registry;
use std::sync::LazyLock;

static COMMANDS: LazyLock<Commands> =
    LazyLock::new(|| redstart::exec::acl::facts(&Registry::new(&redstart::commands::all())));

fuzz_target!(|bytes: &[u8]| {
    let rules = RuleContext { commands: &COMMANDS, all_channels: false };
    let Ok(users) = file::parse(bytes, b"f", rules) else { return };
    let mut table = Users::new(rules);
    table.replace_all(users, rules);
    let printed = file::print(&table, false);
    let again = file::parse(&printed, b"f", rules).expect("what was printed reads");
    assert_eq!(again.len(), table.len());
    for user in &again {
        let (_, known) = table.by_name(user.name()).expect("the same names");
        assert_eq!(known.line(false), user.line(false));
        for (a, b) in known.selectors().iter().zip(user.selectors()) {
            for id in 0..COMMANDS.len() as u16 {
                assert_eq!(a.allows_command(id, Some(b"x")), b.allows_command(id, Some(b"x")));
            }
            assert_eq!(a.allows_key(b"key", Default::default()), b.allows_key(b"key", Default::default()));
            assert_eq!(a.allows_channel(b"c", false), b.allows_channel(b"c", false));
        }
    }
});
