//! Rules and their descriptions, against what 8.2.3 printed for the same rules; then random rules: what is described is what
//! was meant.

use super::commands::Fact;
use super::user::RuleContext;
use super::users::{DEFAULT_USER, fresh_default};
use super::*;
use crate::ds::rng::Rng;

const CATEGORIES: &[(&str, u32)] = &[("read", 1), ("string", 2), ("dangerous", 4), ("slow", 8)];

fn commands() -> Commands {
    let fact = |name, categories| Fact {
        name,
        categories,
        subcommands: (0, 0),
        is_sub: false,
    };
    let sub = |name, categories| Fact {
        is_sub: true,
        ..fact(name, categories)
    };
    Commands::new(
        vec![
            fact("get", 3),
            fact("set", 2),
            fact("select", 0),
            fact("debug", 4),
            Fact {
                subcommands: (5, 7),
                ..fact("config", 8)
            },
            sub("config|get", 12),
            sub("config|set", 4),
        ],
        CATEGORIES,
    )
}

/// The rules applied to a new user: what ACL LIST shows behind its name, or the error.
fn list(rules: &str) -> String {
    let commands = commands();
    let context = RuleContext {
        commands: &commands,
        all_channels: false,
    };
    let mut user = User::new(b"x", context);
    let merged = merge_selectors(rules.split(' ').map(str::as_bytes)).unwrap();
    for rule in merged {
        if let Err(e) = user.apply(&rule, context) {
            return e.to_string();
        }
    }
    String::from_utf8_lossy(&user.describe(false)).into_owned()
}

#[test]
fn command_rules_as_8_2_3_lists_them() {
    let cases = [
        ("", "-@all"),
        ("+GET", "-@all +get"),
        ("+get -get", "-@all -get"),
        ("+get -get +get", "-@all +get"),
        ("+config|get +config", "-@all +config"),
        ("+config +config|get", "-@all +config +config|get"),
        ("+config|get -config|get", "-@all -config|get"),
        ("+CONFIG|GET", "-@all +config|get"),
        ("+select|0 +select|1", "-@all +select|0 +select|1"),
        ("+select|0 +select", "-@all +select"),
        ("+select|0 -select", "-@all -select"),
        ("+SELECT|Aa +select|aA", "-@all +select|aa"),
        ("+@STRING -@string", "-@all -@string"),
        ("+@read +get -@read", "-@all +get -@read"),
        ("+get +@all", "+@all"),
        ("+@all -get +get", "+@all +get"),
        ("allcommands nocommands", "-@all"),
    ];
    for (rules, expected) in cases {
        assert_eq!(
            list(rules),
            format!("off sanitize-payload resetchannels {expected}"),
            "{rules}"
        );
    }
}

#[test]
fn rules_that_change_nothing_were_not_told_before_7_2() {
    let commands = commands();
    let told = |rules: &str| {
        let mut s = Selector::new(&commands, false);
        for rule in rules.split(' ') {
            s.apply(rule.as_bytes(), &commands).unwrap();
        }
        String::from_utf8_lossy(&s.describe_commands(true)).into_owned()
    };
    assert_eq!(told("+@all +config|get"), "+@all");
    assert_eq!(told("+@all -config|get +select|0"), "+@all -config|get");
    assert_eq!(told("+config|get +config +config"), "-@all +config");
    assert_eq!(
        told("+select|0 +select|1 -get"),
        "-@all +select|0 +select|1"
    );
}

#[test]
fn patterns_as_8_2_3_lists_them() {
    let cases = [
        ("~* ~*", "~* resetchannels"),
        ("%R~*", "%R~* resetchannels"),
        ("%RW~* %W~b", "~* %W~b resetchannels"),
        ("%R~a %W~a", "~a resetchannels"),
        ("%RW", "~ resetchannels"),
        ("%R", "%R~ resetchannels"),
        ("%rw~c", "~c resetchannels"),
        ("~a resetkeys ~b ~b", "~b resetchannels"),
        ("&a &a &b", "resetchannels &a &b"),
        ("&a allchannels", "&*"),
        ("&", "resetchannels &"),
    ];
    for (rules, expected) in cases {
        assert_eq!(
            list(rules),
            format!("off sanitize-payload {expected} -@all"),
            "{rules}"
        );
    }
}

#[test]
fn user_rules_as_8_2_3_lists_them() {
    let a = "#ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    let b = "#3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d";
    let none = "resetchannels -@all";
    let cases = [
        ("ON OFF on", format!("on sanitize-payload {none}")),
        (">a >a >b", format!("off sanitize-payload {a} {b} {none}")),
        ("nopass >a", format!("off sanitize-payload {a} {none}")),
        (">a nopass", format!("off nopass sanitize-payload {none}")),
        (">a <a", format!("off sanitize-payload {none}")),
        (
            "skip-sanitize-payload",
            format!("off skip-sanitize-payload {none}"),
        ),
        (
            "on nopass ~* &* +@all (+get) reset",
            format!("off sanitize-payload {none}"),
        ),
        (
            "() ( +get ~k )",
            format!("off sanitize-payload {none} ({none}) (~k {none} +get)"),
        ),
        (
            "(+get) clearselectors",
            format!("off sanitize-payload {none}"),
        ),
        (
            "(~a)b)",
            format!("off sanitize-payload {none} (~a)b {none})"),
        ),
    ];
    for (rules, expected) in cases {
        assert_eq!(list(rules), expected, "{rules}");
    }
}

#[test]
fn mistakes() {
    use RuleError::*;
    let cases = [
        ("foo", Syntax),
        ("+get|", Syntax),
        ("+config|", Syntax),
        ("+|", Unknown),
        ("+@", Unknown),
        ("-", Unknown),
        ("+get|a|b", Unknown),
        ("-get|x", Unknown),
        ("+config|nosuch", Unknown),
        ("+@all|x", Unknown),
        ("+config|get|a", FirstArgOfSubcommand),
        ("allkeys ~x", AllKeys),
        ("(&* &a)", AllChannels),
        ("%RR~d", Syntax),
        ("%~", Syntax),
        ("%", Syntax),
        ("~a\tb", Syntax),
        ("~a\0", Syntax),
        ("<a", NoSuchPassword),
        ("!foo", BadHash),
        (
            "#CA978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
            BadHash,
        ),
        ("(on)", Syntax),
        ("(>a)", Syntax),
        (")", Syntax),
    ];
    for (rules, expected) in cases {
        assert_eq!(list(rules), expected.to_string(), "{rules}");
    }
}

#[test]
fn containers_categories_and_first_arguments() {
    let commands = commands();
    let selector = |rules: &str| {
        let mut s = Selector::new(&commands, false);
        rules
            .split(' ')
            .for_each(|r| s.apply(r.as_bytes(), &commands).unwrap());
        s
    };
    let id = |name: &str| commands.find(name.as_bytes()).unwrap();
    let s = selector("+config -config|set");
    assert!(s.allows_command(id("config|get"), None) && !s.allows_command(id("config|set"), None));
    // The container is in the category, so all its subcommands follow.
    let s = selector("+@slow");
    assert!(s.allows_command(id("config|set"), None));
    let s = selector("-@all +select|0 +debug|Object");
    assert!(s.allows_command(id("select"), Some(b"0")));
    assert!(!s.allows_command(id("select"), Some(b"1")) && !s.allows_command(id("select"), None));
    assert!(s.allows_command(id("debug"), Some(b"OBJECT")));
    assert!(!selector("+select|0 -select").allows_command(id("select"), Some(b"0")));
    assert!(
        selector("+@all -get").allows_command(200, None)
            == selector("+@all").allows_command(200, None)
    );
    assert!(!selector("allkeys allchannels +@all -get").is_unrestricted());
    assert!(selector("allkeys allchannels +@all").is_unrestricted());
}

#[test]
fn keys_need_all_permissions_at_once() {
    let commands = commands();
    let mut s = Selector::new(&commands, false);
    for rule in ["%R~read*", "%W~write*", "~rw*"] {
        s.apply(rule.as_bytes(), &commands).unwrap();
    }
    let (r, w) = (KeyNeed::READ, KeyNeed::WRITE);
    assert!(
        s.allows_key(b"read1", r) && !s.allows_key(b"read1", w) && !s.allows_key(b"read1", r | w)
    );
    assert!(s.allows_key(b"rw", r | w) && s.allows_key(b"write", KeyNeed::empty()));
    assert!(!s.allows_key(b"other", KeyNeed::empty()) && !s.allows_every_key(r));
    s.apply(b"%R~*", &commands).unwrap();
    assert!(s.allows_every_key(r) && !s.allows_every_key(w));
}

#[test]
fn passwords() {
    let commands = commands();
    let context = RuleContext {
        commands: &commands,
        all_channels: true,
    };
    let mut user = User::new(b"x", context);
    user.apply(b">secret", context).unwrap();
    assert!(!user.accepts(b"secret"), "off");
    user.apply(b"on", context).unwrap();
    assert!(user.accepts(b"secret") && !user.accepts(b"Secret") && !user.accepts(b""));
    user.apply(b"nopass", context).unwrap();
    assert!(user.accepts(b"anything"));
    user.apply(b"resetpass", context).unwrap();
    assert!(!user.accepts(b"anything") && !user.accepts(b"secret"));
    assert_eq!(user.describe(true), b"on &* -@all");
}

#[test]
fn a_refused_rule_changes_nothing() {
    let commands = commands();
    let context = RuleContext {
        commands: &commands,
        all_channels: false,
    };
    let mut users = Users::new(context);
    let id = users
        .change(b"x", &[b"on".as_slice(), b"+get"], context)
        .unwrap();
    let before = users.get(id).unwrap().clone();
    let refused = users.change(b"x", &[b"+set".as_slice(), b"nonsense"], context);
    assert_eq!(refused, Err((1, RuleError::Syntax)));
    assert_eq!(users.get(id), Some(&before));
    assert!(users.change(b"y", &[b"nonsense"], context).is_err());
    assert_eq!((users.find(b"y"), users.len()), (None, 2));
}

#[test]
fn the_table() {
    let commands = commands();
    let context = RuleContext {
        commands: &commands,
        all_channels: false,
    };
    let mut users = Users::new(context);
    let none: [&[u8]; 0] = [];
    let b = users.change(b"b", &none, context).unwrap();
    let a = users.change(b"a", &none, context).unwrap();
    let names = |users: &Users| users.iter().map(|u| u.name().to_vec()).collect::<Vec<_>>();
    assert_eq!(names(&users), [&b"a"[..], b"b", b"default"]);
    assert_eq!(
        (users.remove(DEFAULT_USER), users.remove(b"nosuch")),
        (None, None)
    );
    users.change(DEFAULT_USER, &[b"off"], context).unwrap();
    let kept = User::new(b"a", context);
    assert_eq!(users.replace_all(vec![kept], context), [b]);
    assert_eq!((users.find(b"a"), users.find(b"b")), (Some(a), None));
    assert_eq!(users.default_user(), &fresh_default(context));
    assert!(users.default_user().is_unrestricted());
}

#[test]
fn files_are_read_or_refused_as_a_whole() {
    let commands = commands();
    let context = RuleContext {
        commands: &commands,
        all_channels: false,
    };
    let text = b"user b off\r\n\n  user \"a\" on (+get ~k) >p \n";
    let users = file::parse(text, b"u.acl", context).unwrap();
    let mut table = Users::new(context);
    table.replace_all(users, context);
    let printed = file::print(&table, false);
    let again = file::parse(&printed, b"u.acl", context).unwrap();
    assert!(
        again
            .iter()
            .all(|u| table.by_name(u.name()).unwrap().1 == u)
            && again.len() == 3
    );
    let wrong = [
        (
            "user a on\nuser a off",
            "WARNING: Duplicate user 'a' found on line 2. ",
        ),
        (
            "usr b on",
            "u.acl:1 should start with user keyword followed by the username. ",
        ),
        (
            "# comment",
            "u.acl:1 should start with user keyword followed by the username. ",
        ),
        (
            "user",
            "u.acl:1 should start with user keyword followed by the username. ",
        ),
        ("\nuser a b c", "u.acl:2: Syntax error. "),
        ("user  a on", "u.acl:1: Syntax error. "),
        (
            "user a (+get",
            "u.acl:1: Unmatched parenthesis in selector definition.",
        ),
        (
            "user a +x foo +y",
            "u.acl:1: Error in applying operation '+x': Unknown command or category name in ACL. \
             u.acl:1: Syntax error. u.acl:1: Error in applying operation '+y': Unknown command or category name in ACL. ",
        ),
    ];
    for (text, expected) in wrong {
        let error = file::parse(text.as_bytes(), b"u.acl", context).unwrap_err();
        let error = String::from_utf8_lossy(&error).into_owned();
        let end = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
        assert_eq!(error, format!("{expected}{end}"), "{text}");
    }
}

#[test]
fn descriptions_say_everything() {
    const RULES: [&str; 24] = [
        "+get",
        "-get",
        "+config",
        "-config",
        "+config|get",
        "-config|set",
        "+@read",
        "-@string",
        "+@all",
        "-@all",
        "+select|0",
        "+select|1",
        "-select",
        "+debug|x",
        "~a*",
        "%R~b",
        "%W~b",
        "allkeys",
        "resetkeys",
        "&c",
        "&d*",
        "allchannels",
        "resetchannels",
        "+@dangerous",
    ];
    let commands = commands();
    let mut rng = Rng::new(3);
    for _ in 0..5000 {
        let mut s = Selector::new(&commands, false);
        for _ in 0..rng.below(12) {
            let _ = s.apply(RULES[rng.below(RULES.len())].as_bytes(), &commands);
        }
        let described = s.describe(false);
        let mut again = Selector::new(&commands, false);
        for rule in described.split(|b| *b == b' ') {
            again.apply(rule, &commands).unwrap();
        }
        for id in 0..commands.len() as u16 {
            for arg in [None, Some(&b"0"[..]), Some(b"x")] {
                let text = String::from_utf8_lossy(&described);
                assert_eq!(
                    s.allows_command(id, arg),
                    again.allows_command(id, arg),
                    "{text} {id} {arg:?}"
                );
            }
        }
        assert_eq!(again.describe(false), described);
    }
}
