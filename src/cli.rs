//! What the process was asked to be: the program name and the arguments, before any configuration is read.
//!
//! One binary has four names. As `redis-server` (or any unknown name) its arguments follow upstream's own rules, which
//! `config::argv` knows; only the first argument can ask for something else than a server. The check tools have plain
//! options, read with getopts. [`Invocation::from_args`] decides and does nothing: `main` runs what it says.
use crate::config::CommandLine;
use getopts::Options;
use std::ffi::OsString;
use std::path::PathBuf;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// Run a server.
    Server {
        /// Where its configuration comes from.
        line: CommandLine,
        /// As a Sentinel.
        sentinel: bool,
    },
    /// Check an RDB file.
    CheckRdb {
        /// The file.
        file: PathBuf,
    },
    /// Check an append only file or a manifest.
    CheckAof {
        /// The file.
        file: PathBuf,
        /// Cut off what is damaged at the end.
        fix: bool,
        /// Cut the file after the last command before this time, seconds since 1970.
        truncate_to_timestamp: Option<i64>,
    },
    /// Print a text and exit.
    Print {
        /// The text, with its final newline.
        text: String,
        /// Print on standard error.
        to_stderr: bool,
        /// The exit code.
        code: i32,
    },
}

impl Invocation {
    /// Understands the arguments, of which the first is the program's name. `compat_version` is the Redis version to print.
    pub fn from_args(args: &[OsString], compat_version: &str) -> Invocation {
        let program = args.first().map(PathBuf::from).unwrap_or_default();
        let name = program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let rest = args.get(1..).unwrap_or_default();
        // Upstream looks for the name anywhere in the program's, so that redis-check-rdb-8 works too.
        if name.contains("redis-check-rdb") {
            check_rdb(&name, rest)
        } else if name.contains("redis-check-aof") {
            check_aof(&name, rest)
        } else {
            server(&name, rest, compat_version)
        }
    }
}

fn server(name: &str, args: &[OsString], compat_version: &str) -> Invocation {
    if let Some(first) = args.first().and_then(|arg| arg.to_str()) {
        match (first, args.len()) {
            ("-v" | "--version", _) => return print(version_text(compat_version), 0),
            ("-h" | "--help", _) => return complain(usage(name)),
            ("--test-memory", _) => return complain(MEMORY_TEST.into()),
            ("--check-system", 1) => return complain(SYSTEM_CHECK.into()),
            _ => {}
        }
    }
    let sentinel = name.contains("redis-sentinel") || args.iter().any(|arg| arg == "--sentinel");
    Invocation::Server {
        line: CommandLine::from_args(args),
        sentinel,
    }
}

fn print(text: String, code: i32) -> Invocation {
    Invocation::Print {
        text,
        to_stderr: false,
        code,
    }
}

fn complain(text: String) -> Invocation {
    Invocation::Print {
        text,
        to_stderr: true,
        code: 1,
    }
}

/// Compat: upstream tests memory with patterns of its own; no such test is here, and saying so beats pretending.
const MEMORY_TEST: &str =
    "This server has no memory test. Use a dedicated tool such as memtester or memtest86+.\n";
/// Compat: upstream looks at clock source, overcommit and huge pages.
const SYSTEM_CHECK: &str = "This server has no system check. What matters: vm.overcommit_memory = 1, net.core.somaxconn above \
                            tcp-backlog, and transparent huge pages off or on request (madvise).\n";

/// The line tools parse, in upstream's form, with our own name and version behind it.
pub fn version_text(compat_version: &str) -> String {
    let bits = usize::BITS;
    format!(
        "Redis server v={compat_version} sha=00000000:0 malloc=jemalloc-5.3.0 bits={bits} build={:016x} redstart={}\n",
        build_id(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// A number that differs between versions of this program.
pub fn build_id() -> u64 {
    let text = concat!("redstart ", env!("CARGO_PKG_VERSION"));
    // FNV-1a: any stable spread of the version's bytes will do.
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, b| {
        (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn usage(name: &str) -> String {
    format!(
        "Usage: {name} [FILE] [--DIRECTIVE VALUE ...] [-]\n\
         \n\
         FILE is a configuration file; any of its directives can be given as an option, which then counts.\n\
         A lone dash reads more directives from standard input.\n\
         \n\
         \x20 {name} /etc/redis/redis.conf --port 7000 --save 60 1\n\
         \x20 {name} /etc/redis/sentinel.conf --sentinel\n\
         \n\
         Other options, only as the first one:\n\
         \x20 -v, --version       print the version\n\
         \x20 -h, --help          print this\n"
    )
}

fn check_rdb(name: &str, args: &[OsString]) -> Invocation {
    let usage = format!("Usage: {name} <rdb-file-name>\n");
    let mut options = Options::new();
    options
        .optflag("v", "version", "print the version")
        .optflag("h", "help", "print this");
    match options.parse(args) {
        Ok(found) if found.opt_present("v") => print(tool_version(name), 0),
        Ok(found) if found.free.len() == 1 && !found.opt_present("h") => {
            // getopts wants text; the file is taken from the arguments as it is.
            let file = args
                .iter()
                .find(|arg| !arg.as_encoded_bytes().starts_with(b"-"));
            file.map_or_else(
                || complain(usage),
                |file| Invocation::CheckRdb { file: file.into() },
            )
        }
        _ => complain(usage),
    }
}

fn check_aof(name: &str, args: &[OsString]) -> Invocation {
    let usage = format!(
        "Usage: {name} [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>\n"
    );
    let mut options = Options::new();
    options
        .optflag("v", "version", "print the version")
        .optflag("h", "help", "print this")
        .optflag("", "fix", "cut off a damaged end")
        .optopt("", "truncate-to-timestamp", "cut after a time", "SECONDS");
    let Ok(found) = options.parse(args) else {
        return complain(usage);
    };
    if found.opt_present("v") {
        return print(tool_version(name), 0);
    }
    let (fix, time) = (
        found.opt_present("fix"),
        found.opt_str("truncate-to-timestamp"),
    );
    let truncate_to_timestamp = match time.as_deref().map(str::parse::<i64>) {
        Some(Err(_)) => return complain("Invalid timestamp, aborting...\n".into()),
        // As upstream: 0 stands for no time at all.
        Some(Ok(0)) => None,
        Some(Ok(seconds)) => Some(seconds),
        None => None,
    };
    match &found.free[..] {
        // Fixing and cutting are two different jobs.
        [file] if !found.opt_present("h") && (!fix || truncate_to_timestamp.is_none()) => {
            Invocation::CheckAof {
                file: file.into(),
                fix,
                truncate_to_timestamp,
            }
        }
        _ => complain(usage),
    }
}

fn tool_version(name: &str) -> String {
    format!("{name} (redstart {})\n", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Invocation {
        Invocation::from_args(
            &args.iter().map(OsString::from).collect::<Vec<_>>(),
            "8.2.3",
        )
    }

    #[test]
    fn version_line_parses_as_upstreams() {
        let Invocation::Print {
            text,
            to_stderr: false,
            code: 0,
        } = parse(&["/x/redis-server", "-v", "junk"])
        else {
            panic!()
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(words[..3], ["Redis", "server", "v=8.2.3"]);
        let keys: Vec<&str> = words[3..]
            .iter()
            .map(|w| w.split('=').next().unwrap())
            .collect();
        assert_eq!(keys, ["sha", "malloc", "bits", "build", "redstart"]);
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn names_and_modes() {
        let is_sentinel =
            |args: &[&str]| matches!(parse(args), Invocation::Server { sentinel: true, .. });
        assert!(is_sentinel(&["redis-sentinel", "s.conf"]));
        assert!(is_sentinel(&["./redis-server", "s.conf", "--sentinel"]));
        assert!(!is_sentinel(&["./redis-server", "s.conf"]));
        assert_eq!(
            parse(&["redis-check-rdb", "d.rdb"]),
            Invocation::CheckRdb {
                file: "d.rdb".into()
            }
        );
        assert_eq!(
            parse(&["redis-check-aof", "--fix", "a.manifest"]),
            Invocation::CheckAof {
                file: "a.manifest".into(),
                fix: true,
                truncate_to_timestamp: None
            }
        );
        let refused = |args: &[&str]| matches!(parse(args), Invocation::Print { code: 1, .. });
        assert!(
            refused(&["redis-check-rdb"])
                && refused(&["redis-check-aof", "--truncate-to-timestamp", "x", "a"])
        );
        assert!(
            refused(&["redis-server", "--help"])
                && refused(&["redis-server", "--test-memory", "10"])
        );
        // Options behind a file belong to the configuration.
        assert!(matches!(
            parse(&["redis-server", "x.conf", "-v"]),
            Invocation::Server { .. }
        ));
    }
}
