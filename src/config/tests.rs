//! The configuration as a whole against facts of 8.2.3: defaults, replies of CONFIG SET, loading, rewriting.
use super::*;
use crate::ds::rng::Rng;
use std::path::Path;

/// CONFIG GET * of a fresh 8.2.3, started with `--port 16998 --save ""`.
const FACTS: &str = include_str!("../../tests/data/config-8.2.3.tsv");

fn get(config: &Config, name: &str) -> String {
    let found = get_matching(config, [name.as_bytes()]);
    String::from_utf8(found[0].1.clone()).unwrap()
}

fn loader() -> Loader {
    let mut loader = Loader::default();
    loader.enter_dir = |_| Ok(());
    loader
}

fn load_text(text: &str) -> Result<Config, ConfigError> {
    let mut loader = loader();
    loader.text("test", text.as_bytes())?;
    loader.finish()
}

/// The reason why a text is refused.
fn refused(text: &str) -> String {
    match load_text(text) {
        Err(ConfigError::Line { reason, .. }) => reason.to_string(),
        Err(other) => other.to_string(),
        Ok(_) => panic!("accepted: {text}"),
    }
}

fn set(config: &mut Config, pairs: &[(&str, &str)]) -> Result<Vec<&'static str>, String> {
    let pairs: Vec<(&[u8], &[u8])> = pairs
        .iter()
        .map(|(n, v)| (n.as_bytes(), v.as_bytes()))
        .collect();
    let prepared = prepare_set(config, &pairs, SetRights::default()).map_err(|e| e.to_string())?;
    *config = prepared.config;
    Ok(prepared.changed.iter().map(|(row, _)| row.name).collect())
}

#[test]
fn defaults_are_those_of_8_2_3() {
    let config = load_text("port 16998\nsave \"\"").unwrap();
    let mut ours: Vec<String> = get_matching(&config, [&b"*"[..]])
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for fact in FACTS.lines() {
        let (name, value) = fact.split_once('\t').unwrap();
        ours.retain(|known| known != name);
        let value = if name == "dir" {
            std::env::current_dir().unwrap().display().to_string()
        } else {
            value.to_string()
        };
        assert_eq!(get(&config, name), value, "{name}");
    }
    assert_eq!(
        ours,
        ["metrics-port", "redis-compat-version"],
        "directives that 8.2.3 does not have"
    );
    assert_eq!(get(&Config::default(), "save"), "3600 1 300 100 60 10000");
}

#[test]
fn bounds_fit_the_fields() {
    for row in rows::rows() {
        if let directive::Kind::Int { at, min, max, .. } = row.kind {
            for bound in [min, max] {
                let mut config = Config::default();
                (at.set)(&mut config, bound);
                assert_eq!((at.get)(&config), bound, "{}", row.name);
            }
        }
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<&str> = rows::rows()
        .flat_map(|r| [Some(r.name), r.alias])
        .flatten()
        .collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn config_get() {
    let config = Config::default();
    let names = |patterns: &[&str]| -> Vec<String> {
        let found = get_matching(&config, patterns.iter().map(|p| p.as_bytes()));
        found.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(&["SLAVE-PRIORITY"]), ["SLAVE-PRIORITY"]);
    assert_eq!(
        names(&["*-PRIORITY"]),
        ["replica-priority", "slave-priority"]
    );
    assert_eq!(
        names(&["timeout", "timeout", "time*", "TIMEOUT"]),
        ["timeout"]
    );
    assert_eq!(names(&["nosuch", "user", "include"]), Vec::<String>::new());
    assert_eq!(names(&["key-load-delay"]), ["key-load-delay"]);
    assert!(names(&["key-load*"]).is_empty());
}

#[test]
fn config_set_replies() {
    let mut c = Config::default();
    let failed = |name: &str, why: &str| {
        Err(format!(
            "ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"
        ))
    };
    let int = "argument couldn't be parsed into an integer";
    for (name, value, why) in [
        ("timeout", "a", int),
        ("timeout", "05", int),
        ("timeout", "+5", int),
        ("timeout", "", int),
        (
            "timeout",
            "-1",
            "argument must be between 0 and 2147483647 inclusive",
        ),
        (
            "hash-max-listpack-entries",
            "-1",
            "argument must be greater or equal to 0",
        ),
        ("maxmemory", "1t", "argument must be a memory value"),
        (
            "maxmemory",
            "9223372036854775808",
            "argument must be greater or equal to 0",
        ),
        (
            "auto-aof-rewrite-min-size",
            "99999999999999999999",
            "argument must be between 0 and 9223372036854775807 inclusive",
        ),
        (
            "maxmemory-clients",
            "101%",
            "percentage argument must be less or equal to 100",
        ),
        (
            "maxmemory-clients",
            "5 %",
            "argument must be a memory or percent value",
        ),
        ("rdbcompression", "true", "argument must be 'yes' or 'no'"),
        (
            "appendfsync",
            "x",
            "argument(s) must be one of the following: everysec, always, no",
        ),
        (
            "oom-score-adj",
            "x",
            "argument(s) must be one of the following: no, yes, relative, absolute",
        ),
        (
            "notify-keyspace-events",
            "q",
            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
        ),
        ("save", "900", "Invalid save parameters"),
        ("save", "0 1", "Invalid save parameters"),
        ("save", "900 -1", "Invalid save parameters"),
        ("save", "  900   1 ", "Invalid save parameters"),
        ("oom-score-adj-values", "1 2", "wrong number of arguments"),
        (
            "oom-score-adj-values",
            "0 0 2001",
            "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
        ),
        (
            "client-output-buffer-limit",
            "normal 1 2",
            "Wrong number of arguments in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "foo 1 2 3",
            "Invalid client class specified in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "normal 1k 2k -3",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
        (
            "shutdown-on-sigterm",
            "save nosave",
            "shutdown options SAVE and NOSAVE can't be used simultaneously",
        ),
        (
            "shutdown-on-sigterm",
            "",
            "argument(s) must be one of the following: default, save, nosave, now, force",
        ),
        (
            "latency-tracking-info-percentiles",
            "x",
            "Invalid latency-tracking-info-percentiles parameters",
        ),
        (
            "latency-tracking-info-percentiles",
            "100.1",
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        ),
        (
            "proc-title-template",
            "{foo}",
            "template format is invalid or contains unknown variables",
        ),
        ("daemonize", "yes", "can't set immutable config"),
        ("dir", "/", "can't set protected config"),
    ] {
        assert_eq!(
            set(&mut c, &[(name, value)]),
            failed(name, why),
            "{name} {value}"
        );
    }
    assert_eq!(
        c,
        Config::default(),
        "a refused CONFIG SET changed something"
    );
    assert_eq!(
        set(&mut c, &[("timeout", "1"), ("TIMEOUT", "2")]),
        failed("TIMEOUT", "duplicate parameter")
    );
    assert_eq!(
        set(&mut c, &[("timeout", "x"), ("daemonize", "no")]),
        failed("daemonize", "can't set immutable config")
    );
    assert_eq!(
        set(&mut c, &[("daemonize", "no"), ("nosuch", "1")]),
        failed("daemonize", "can't set immutable config")
    );
    let unknown = "ERR Unknown option or number of arguments for CONFIG SET - 'NOsuch'";
    assert_eq!(
        set(&mut c, &[("timeout", "1"), ("NOsuch", "1")]),
        Err(unknown.into())
    );
    assert_eq!(c.timeout, 0);
    let loading = SetRights {
        protected: true,
        loading: true,
    };
    let error = prepare_set(&c, &[(b"dir", b"/")], loading).unwrap_err();
    assert_eq!(
        error.to_string(),
        "LOADING Redis is loading the dataset in memory"
    );
}

/// What 8.2.3 answered to CONFIG SET of each directive with each of a dozen values: name, value, and `=` with what CONFIG
/// GET showed then, or the error's reason. Refusals that come from applying a value (binding, limits of the system) are left out.
const SET_FACTS: &str = include_str!("../../tests/data/config-set-8.2.3.tsv");

#[test]
fn config_set_of_every_directive() {
    for fact in SET_FACTS.lines() {
        let fields: Vec<&str> = fact.split('\t').collect();
        let (name, value, want) = (fields[0], fields[1], fields[2]);
        // Compat: these can be changed at any time here.
        if name.ends_with("cpulist") {
            continue;
        }
        let mut c = Config::default();
        let got = match set(&mut c, &[(name, value)]) {
            Ok(_) => format!("={}", get(&c, name)),
            Err(error) => error.rsplit_once(" - ").unwrap().1.to_string(),
        };
        assert_eq!(got, want, "{name} {value}");
    }
}

#[test]
fn config_set_values() {
    let mut c = Config::default();
    for (name, value, shown) in [
        ("TIMEOUT", "7", "7"),
        ("maxmemory", "1kB", "1024"),
        ("maxmemory", "", "0"),
        ("maxmemory-clients", "5%", "5%"),
        ("maxmemory-clients", "0%", "0"),
        ("maxmemory-policy", "Allkeys-LRU", "allkeys-lru"),
        ("oom-score-adj", "relative", "yes"),
        ("rdbcompression", "NO", "no"),
        ("notify-keyspace-events", "KEA", "AKE"),
        ("notify-keyspace-events", "mncKoAE", "AKEm"),
        ("notify-keyspace-events", "Kncoxm", "xnocKm"),
        ("notify-keyspace-events", "g$lshzxet", "g$lshzxet"),
        ("save", "900 1 300 10", "900 1 300 10"),
        ("save", "", ""),
        (
            "client-output-buffer-limit",
            "replica 1gb 0 0 Normal 1 2k 3",
            "normal 1 2000 3 slave 1073741824 0 0 pubsub 33554432 8388608 60",
        ),
        ("shutdown-on-sigint", "now FORCE save", "save now force"),
        ("shutdown-on-sigint", "default", "default"),
        (
            "latency-tracking-info-percentiles",
            "33.333333333 1e1 -0 99.9999999",
            "33.333333 10 -0 100",
        ),
        ("latency-tracking-info-percentiles", "", ""),
        ("bind", "1.2.3.4 -::1", "1.2.3.4 -::1"),
        ("bind", "", ""),
        ("hz", "1000", "500"),
        ("hz", "0", "1"),
        ("repl-backlog-size", "1", "16384"),
        ("slave-priority", "3", "3"),
        ("oom-score-adj-values", "1 2 3", "1 2 3"),
        ("requirepass", "a b\"", "a b\""),
    ] {
        set(&mut c, &[(name, value)]).unwrap();
        assert_eq!(get(&c, name), shown, "{name} {value}");
    }
    assert_eq!(
        set(
            &mut c,
            &[
                ("timeout", "7"),
                ("port", "7000"),
                ("replica-priority", "9")
            ]
        ),
        Ok(vec!["port", "replica-priority"])
    );
    assert!(find_apply("port") == Apply::Port && find_apply("save") == Apply::Save);
}

fn find_apply(name: &str) -> Apply {
    rows::find(name.as_bytes()).unwrap().apply
}

#[test]
fn file_errors_as_upstream_prints_them() {
    let error = load_text("port 0\nsave \"\"\n  timeout a  ").unwrap_err();
    assert_eq!(
        error.to_string(),
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.2.3) ***\nReading the configuration file, at line 3\n>>> 'timeout a'\n\
         argument couldn't be parsed into an integer\n(in test)"
    );
    for (text, why) in [
        ("timeout", "wrong number of arguments"),
        ("timeout 5 # comment", "wrong number of arguments"),
        ("timeout \"1", "Unbalanced quotes in configuration line"),
        ("nosuch 1", "Bad directive or wrong number of arguments"),
        ("nosuch", "Bad directive or wrong number of arguments"),
        ("include", "Bad directive or wrong number of arguments"),
        ("user", "Bad directive or wrong number of arguments"),
        (
            "rename-command GET",
            "Bad directive or wrong number of arguments",
        ),
        ("save 60", "Invalid save parameters"),
        ("replicaof a", "wrong number of arguments"),
        ("replicaof a 99999", "Invalid master port"),
        (
            "unixsocketperm 888",
            "argument couldn't be parsed as an octal number",
        ),
        (
            "unixsocketperm 1000",
            "argument must be between 0 and 777 inclusive",
        ),
        (
            "dbfilename a/b",
            "dbfilename can't be a path, just a filename",
        ),
        ("appendfilename \"\"", "appendfilename can't be empty"),
        (
            "appenddirname a/b",
            "appenddirname can't be a path, just a dirname",
        ),
        (
            "maxclients 0",
            "argument must be between 1 and 4294967295 inclusive",
        ),
        (
            "sentinel monitor a 127.0.0.1 6379 2",
            "sentinel directive while not in sentinel mode",
        ),
        (
            "bind 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7",
            "Too many bind addresses specified.",
        ),
        ("notify-keyspace-events", "wrong number of arguments"),
        (
            "redis-compat-version 8",
            "argument must be a version such as 8.2.3",
        ),
    ] {
        assert_eq!(refused(text), why, "{text}");
    }
    assert!(refused("loadmodule /x.so").contains("modules are not supported"));
    assert!(
        refused("cluster-enabled yes\nreplicaof a 1")
            .ends_with("replicaof directive not allowed in cluster mode")
    );
}

#[test]
fn files_accumulate_and_override() {
    let c = load_text(
        "save 60 1\nsave 900 2 300 3\ntimeout 5\nTIMEOUT 6\nslaveof h 1\nrename-command A \"\"\nuser a on \">p q\"\n\
         client-output-buffer-limit normal 1 2 3\nclient-output-buffer-limit pubsub 4kb 5 6\nunixsocketperm 0700\n\
         shutdown-on-sigterm nosave now\nio-threads-do-reads yes\nlua-time-limit 9\nbind 127.0.0.1 -::1\n",
    )
    .unwrap();
    assert_eq!(get(&c, "save"), "60 1 900 2 300 3");
    assert_eq!(
        (c.timeout, c.unixsocketperm, c.busy_reply_threshold),
        (6, 0o700, 9)
    );
    assert_eq!(get(&c, "unixsocketperm"), "700");
    assert_eq!(get(&c, "replicaof"), "h 1");
    assert_eq!(c.rename_command, [("A".into(), "".into())]);
    assert_eq!(c.user, [vec![Text::from("a"), "on".into(), ">p q".into()]]);
    assert_eq!(c.bind, ["127.0.0.1", "-::1"]);
    assert!(get(&c, "client-output-buffer-limit").starts_with("normal 1 2 3 slave 268435456"));
    assert_eq!(get(&load_text("save 60 1\nsave \"\"").unwrap(), "save"), "");
    assert_eq!(
        get(&load_text("save \"\"\nsave 60 1").unwrap(), "save"),
        "60 1"
    );
    assert_eq!(
        get(&load_text("save \"60 1 30 2\"").unwrap(), "save"),
        "60 1 30 2"
    );
}

#[test]
fn includes() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("a.inc"), "timeout 5\n").unwrap();
    std::fs::write(at("b.inc"), "timeout 6\nnosuch x\n").unwrap();
    std::fs::write(
        at("self.conf"),
        format!("include {}\n", at("self.conf").display()),
    )
    .unwrap();
    let include = |what: &str| {
        let mut loader = loader();
        loader.text(
            "main",
            format!("port 1\ninclude {}", at(what).display()).as_bytes(),
        )?;
        loader.finish()
    };
    assert_eq!(include("a.i*").unwrap().timeout, 5);
    assert_eq!(include("nosuch*").unwrap().timeout, 0);
    assert!(
        include("nosuch")
            .unwrap_err()
            .to_string()
            .ends_with("nosuch': No such file or directory")
    );
    let ConfigError::Line {
        source,
        number,
        text,
        ..
    } = include("*.inc").unwrap_err()
    else {
        panic!()
    };
    assert_eq!((number, text.as_str()), (2, "nosuch x"));
    assert!(source.ends_with("b.inc"));
    let ConfigError::Line { reason, .. } = include("self.conf").unwrap_err() else {
        panic!()
    };
    assert_eq!(reason, Reason::IncludeDepth);
}

#[test]
fn command_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.conf");
    std::fs::write(&file, "timeout 5\nsave 60 1\n").unwrap();
    let run = |args: &[&str]| {
        let all =
            std::iter::once(file.clone().into_os_string()).chain(args.iter().map(|a| a.into()));
        load(&CommandLine::from_args(&all.collect::<Vec<_>>()), false)
    };
    let c = run(&[
        "--port",
        "7000",
        "--save",
        "30",
        "1",
        "--requirepass",
        "a b",
    ])
    .unwrap();
    assert_eq!((c.timeout, c.port, c.requirepass), (5, 7000, "a b".into()));
    assert_eq!(c.save.len(), 2);
    let ConfigError::Line {
        source,
        number,
        text,
        ..
    } = run(&["--timeout", "a"]).unwrap_err()
    else {
        panic!()
    };
    assert_eq!(
        (source.as_str(), number, text.as_str()),
        ("the command line options", 4, "timeout \"a\"")
    );
}

#[test]
fn sentinel_lines() {
    let file = std::env::temp_dir().join(format!("redstart-sentinel-{}.conf", std::process::id()));
    std::fs::write(&file, "port 26379\nsentinel monitor m 127.0.0.1 6379 2\n").unwrap();
    let line = CommandLine::from_args(&[file.clone().into_os_string(), "--sentinel".into()]);
    let config = load(&line, true).unwrap();
    assert_eq!(config.sentinel.len(), 1);
    assert_eq!(config.sentinel[0][0], Text::from("monitor"));
    assert!(load(&line, false).is_err());
    std::fs::remove_file(file).unwrap();
}

#[test]
fn files_of_the_field_load() {
    let suite = Path::new("/opt/ref/src/redis-7.0.15/tests/assets");
    for file in [
        Path::new("/etc/redis/redis.conf"),
        &suite.join("default.conf"),
        &suite.join("minimal.conf"),
    ] {
        // These are present on the project's machines, not everywhere.
        if !file.exists() {
            continue;
        }
        let mut loader = loader();
        loader
            .file(file)
            .unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        loader.finish().unwrap();
    }
}

#[test]
fn the_default_file_names_everything_and_changes_little() {
    let text = include_str!("../../redis.conf");
    for row in rows::rows().filter(|row| !row.flags.contains(RowFlags::HIDDEN)) {
        let named = |line: &str| {
            let directive = line.strip_prefix("# ").unwrap_or(line);
            directive.split(' ').next() == Some(row.name)
        };
        assert!(
            text.lines().any(named),
            "redis.conf says nothing of {}",
            row.name
        );
    }
    for line in ["# include ", "# user ", "# rename-command "] {
        assert!(text.contains(&format!("\n{line}")));
    }
    let config = load_text(text).unwrap();
    // What we advise differs from what the server does without a file in these only.
    let expected = Config {
        bind: vec!["127.0.0.1".into(), "-::1".into()],
        dir: "./".into(),
        ..Config::default()
    };
    assert_eq!(config, expected);
    // Each example that is commented out is right too.
    for line in text.lines().filter_map(|line| line.strip_prefix("# ")) {
        let words = parse::words_of_line(line.as_bytes())
            .unwrap_or(None)
            .unwrap_or_default();
        let is_row = words
            .first()
            .is_some_and(|w| rows::rows().any(|r| r.name.as_bytes() == &w[..]));
        if is_row && words.len() > 1 {
            load_text(line).unwrap_or_else(|e| panic!("{e}"));
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut rng = Rng::new(11);
    let names: Vec<&str> = rows::rows()
        .map(|r| r.name)
        .chain(["user", "rename-command", "loadmodule", "sentinel"])
        .collect();
    let words = [
        "\"",
        "'",
        "\\x",
        "\\",
        "yes",
        "no",
        "-1",
        "99999999999999999999",
        "1gb",
        "%",
        "5%",
        "",
        "a b",
        "\u{ff}",
        "*",
        "0",
        "save",
        "normal",
    ];
    for _ in 0..20_000 {
        let mut line: Vec<u8> = names[rng.below(names.len())].as_bytes().to_vec();
        for _ in 0..rng.below(6) {
            line.extend_from_slice(b" ");
            if rng.below(3) == 0 {
                line.extend((0..rng.below(8)).map(|_| rng.next_u64() as u8));
            } else {
                line.extend_from_slice(words[rng.below(words.len())].as_bytes());
            }
        }
        // Only that it returns, and that what it accepts can be shown and written.
        let mut loader = self::loader();
        if loader.text("random", &line).is_ok()
            && let Ok(config) = loader.finish()
        {
            get_matching(&config, [&b"*"[..]]);
            let text = rewrite(&line, &config, &OwnedLines::default());
            let again = load_text_bytes(&text)
                .unwrap_or_else(|e| panic!("{:?}: {e}", line.escape_ascii().to_string()));
            assert!(
                without_dir(again) == without_dir(config),
                "{}",
                line.escape_ascii()
            );
        }
    }
}

fn load_text_bytes(text: &[u8]) -> Result<Config, ConfigError> {
    let mut loader = loader();
    loader.text("again", text)?;
    loader.finish()
}

/// What CONFIG REWRITE does not keep as it was: `dir` is written absolute, `user` lines come from the ACL room, percentiles
/// have six decimals, and event classes hidden behind `A` are lost, as upstream.
fn without_dir(mut config: Config) -> Config {
    config.dir = Text::default();
    config.user.clear();
    config.notify_keyspace_events &=
        NotifyFlags::ALL | NotifyFlags::KEYSPACE | NotifyFlags::KEYEVENT;
    for p in &mut config.latency_tracking_info_percentiles {
        *p = (*p * 1e6).round() / 1e6;
    }
    config
}
