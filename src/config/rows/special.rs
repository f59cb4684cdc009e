//! Directives whose value has a shape of its own: how each is read, shown and written.
//!
//! `set` gets the words of a file line, or of a CONFIG SET value split at its spaces. Where several lines of a file
//! accumulate (`save`, `client-output-buffer-limit`), the [`Origin`] tells whether the value replaces or adds.
use crate::config::Config;
use crate::config::directive::{Lines, Origin, Special, line};
use crate::config::error::Reason;
use crate::config::memory::{format_bytes, parse_bytes};
use crate::config::parse::{quote, quote_if_needed};
use crate::config::values::*;

/// Most addresses in `bind`.
const BIND_MAX: usize = 16;

/// `name value` as the one line of a directive, written when it differs from the default.
fn one_line(name: &str, value: Vec<u8>, default: Vec<u8>) -> Lines {
    vec![(line(name, &value), value != default)]
}

fn number<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn joined<T>(items: &[T], print: impl Fn(&T) -> String) -> Vec<u8> {
    items
        .iter()
        .map(print)
        .collect::<Vec<_>>()
        .join(" ")
        .into_bytes()
}

pub(super) static BIND: Special = Special {
    get: |c| c.bind.join(" ").into_bytes(),
    set: |c, args, _| {
        if args.len() > BIND_MAX {
            return Err(Reason::Text("Too many bind addresses specified."));
        }
        // A single empty word, `bind ""`, means no address; so does no word at all.
        c.bind = args
            .iter()
            .map(|a| String::from_utf8_lossy(a).into_owned())
            .collect();
        Ok(())
    },
    lines: |c, d| {
        let value = match &c.bind[..] {
            [] => b"\"\"".to_vec(),
            all => all
                .iter()
                .map(|a| quote_if_needed(a.as_bytes()))
                .collect::<Vec<_>>()
                .join(&b' '),
        };
        vec![(line("bind", &value), c.bind != d.bind)]
    },
};

pub(super) static SAVE: Special = Special {
    get: |c| joined(&c.save, |p| format!("{} {}", p.seconds, p.changes)),
    set: |c, args, origin| {
        if !args.len().is_multiple_of(2) {
            return Err(Reason::Text("Invalid save parameters"));
        }
        let point = |pair: &[&[u8]]| {
            let point = SavePoint {
                seconds: number(pair[0])?,
                changes: number(pair[1])?,
            };
            // They were signed upstream: what does not fit there is refused there.
            let fits = point.seconds >= 1
                && point.seconds <= i64::MAX as u64
                && point.changes <= i32::MAX as u64;
            fits.then_some(point)
        };
        let points: Option<Vec<SavePoint>> = args.chunks_exact(2).map(point).collect();
        let points = points.ok_or(Reason::Text("Invalid save parameters"))?;
        // The first line of a file replaces the defaults, the next ones add to it, an empty one clears.
        if origin != Origin::LaterLine || points.is_empty() {
            c.save.clear();
        }
        c.save.extend(points);
        Ok(())
    },
    lines: |c, _| {
        if c.save.is_empty() {
            return vec![(b"save \"\"".to_vec(), true)];
        }
        c.save
            .iter()
            .map(|p| {
                (
                    format!("save {} {}", p.seconds, p.changes).into_bytes(),
                    true,
                )
            })
            .collect()
    },
};

pub(super) static OUTPUT_LIMIT: Special = Special {
    get: |c| {
        let named: Vec<_> = ["normal", "slave", "pubsub"]
            .iter()
            .zip(c.client_output_buffer_limit)
            .collect();
        joined(&named, |(name, l)| {
            format!(
                "{name} {} {} {}",
                l.hard_bytes, l.soft_bytes, l.soft_seconds
            )
        })
    },
    set: |c, args, _| {
        if !args.len().is_multiple_of(4) {
            return Err(Reason::Text(
                "Wrong number of arguments in buffer limit configuration.",
            ));
        }
        let mut limits = c.client_output_buffer_limit;
        for words in args.chunks_exact(4) {
            let class = output_class(words[0]).ok_or(Reason::Text(
                "Invalid client class specified in buffer limit configuration.",
            ))?;
            limits[class] = output_limit(&words[1..]).ok_or(Reason::Text(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            ))?;
        }
        c.client_output_buffer_limit = limits;
        Ok(())
    },
    lines: |c, d| {
        let limits = c
            .client_output_buffer_limit
            .iter()
            .zip(d.client_output_buffer_limit);
        let write = |(name, (l, default)): (&&str, (&OutputLimit, OutputLimit))| {
            let (hard, soft) = (format_bytes(l.hard_bytes), format_bytes(l.soft_bytes));
            let text = format!(
                "client-output-buffer-limit {name} {hard} {soft} {}",
                l.soft_seconds
            );
            (text.into_bytes(), *l != default)
        };
        ["normal", "replica", "pubsub"]
            .iter()
            .zip(limits)
            .map(write)
            .collect()
    },
};

/// The index of a client class in `client_output_buffer_limit`.
fn output_class(name: &[u8]) -> Option<usize> {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    match () {
        _ if is("normal") => Some(0),
        _ if is("slave") || is("replica") => Some(1),
        _ if is("pubsub") => Some(2),
        _ => None,
    }
}

fn output_limit(words: &[&[u8]]) -> Option<OutputLimit> {
    let seconds: i64 = number(words[2])?;
    Some(OutputLimit {
        hard_bytes: parse_bytes(words[0])?,
        soft_bytes: parse_bytes(words[1])?,
        soft_seconds: u64::try_from(seconds).ok()?,
    })
}

pub(super) static OOM_VALUES: Special = Special {
    get: |c| joined(&c.oom_score_adj_values, i32::to_string),
    set: |c, args, _| {
        let [a, b, z] = args else {
            return Err(Reason::WrongArgs);
        };
        let value = |word: &[u8]| {
            number::<i32>(word)
                .filter(|n| (-2000..=2000).contains(n))
                .ok_or(Reason::Text(
                    "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
                ))
        };
        c.oom_score_adj_values = [value(a)?, value(b)?, value(z)?];
        Ok(())
    },
    lines: |c, d| {
        one_line(
            "oom-score-adj-values",
            (OOM_VALUES.get)(c),
            (OOM_VALUES.get)(d),
        )
    },
};

pub(super) static PERCENTILES: Special = Special {
    get: |c| {
        joined(&c.latency_tracking_info_percentiles, |p| {
            percentile_text(*p)
        })
    },
    set: |c, args, _| {
        let percentile = |word: &&[u8]| {
            let p: f64 = number(word)
                .filter(|p: &f64| !p.is_nan())
                .ok_or(Reason::Text(
                    "Invalid latency-tracking-info-percentiles parameters",
                ))?;
            if (0.0..=100.0).contains(&p) {
                Ok(p)
            } else {
                Err(Reason::Text(
                    "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
                ))
            }
        };
        c.latency_tracking_info_percentiles =
            args.iter().map(percentile).collect::<Result<_, _>>()?;
        Ok(())
    },
    lines: |c, d| {
        const NAME: &str = "latency-tracking-info-percentiles";
        if c.latency_tracking_info_percentiles.is_empty() {
            return one_line(NAME, b"\"\"".to_vec(), (PERCENTILES.get)(d));
        }
        one_line(NAME, (PERCENTILES.get)(c), (PERCENTILES.get)(d))
    },
};

/// Six decimals without trailing zeros: 99.9, 50, 33.333333.
pub fn percentile_text(p: f64) -> String {
    let text = format!("{p:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

pub(super) static MAXMEMORY_CLIENTS: Special = Special {
    get: |c| match c.maxmemory_clients {
        BytesOrPercent::Bytes(n) => n.to_string().into_bytes(),
        BytesOrPercent::Percent(p) => format!("{p}%").into_bytes(),
    },
    set: |c, args, _| {
        let [word] = args else {
            return Err(Reason::WrongArgs);
        };
        c.maxmemory_clients = bytes_or_percent(word)?;
        Ok(())
    },
    lines: |c, d| {
        let value = match c.maxmemory_clients {
            BytesOrPercent::Bytes(n) => format_bytes(n).into_bytes(),
            BytesOrPercent::Percent(_) => (MAXMEMORY_CLIENTS.get)(c),
        };
        vec![(
            line("maxmemory-clients", &value),
            c.maxmemory_clients != d.maxmemory_clients,
        )]
    },
};

/// Compat: sizes of 2^63 and more, which 8.2.3 takes for a percentage, are refused.
fn bytes_or_percent(word: &[u8]) -> Result<BytesOrPercent, Reason> {
    let wrong = Reason::NotMemoryOrPercent;
    let Some(digits) = word.strip_suffix(b"%") else {
        let bytes = parse_bytes(word)
            .filter(|n| *n <= i64::MAX as u64)
            .ok_or(wrong)?;
        return Ok(BytesOrPercent::Bytes(bytes));
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(wrong);
    }
    match number::<u64>(digits) {
        Some(0) => Ok(BytesOrPercent::Bytes(0)),
        Some(percent) if percent <= 100 => Ok(BytesOrPercent::Percent(percent)),
        _ => Err(Reason::PercentAbove100),
    }
}

pub(super) static REPLICAOF: Special = Special {
    get: |c| match &c.replicaof {
        Some(master) => [
            master.host.as_bytes(),
            format!(" {}", master.port).as_bytes(),
        ]
        .concat(),
        None => Vec::new(),
    },
    set: |c, args, _| {
        let [host, port] = args else {
            return Err(Reason::WrongArgs);
        };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            c.replicaof = None;
            return Ok(());
        }
        let port = number(port).ok_or(Reason::Text("Invalid master port"))?;
        c.replicaof = Some(MasterAddr {
            host: Text::from(*host),
            port,
        });
        Ok(())
    },
    lines: |c, _| {
        let written = |master: &MasterAddr| {
            let host = quote_if_needed(&master.host);
            let value = [&host[..], format!(" {}", master.port).as_bytes()].concat();
            (line("replicaof", &value), true)
        };
        c.replicaof.iter().map(written).collect()
    },
};

/// `dir` shows where the process is, however the directory was set.
pub(super) static DIR: Special = Special {
    get: |c| match std::env::current_dir() {
        Ok(path) => std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec(),
        Err(_) => c.dir.to_vec(),
    },
    set: |c, args, _| {
        let [path] = args else {
            return Err(Reason::WrongArgs);
        };
        c.dir = Text::from(*path);
        Ok(())
    },
    lines: |c, _| vec![(line("dir", &quote(&(DIR.get)(c))), true)],
};

/// The letters of the event classes, in the order in which they are printed.
const EVENT_LETTERS: [(u8, NotifyFlags); 16] = [
    (b'g', NotifyFlags::GENERIC),
    (b'$', NotifyFlags::STRING),
    (b'l', NotifyFlags::LIST),
    (b's', NotifyFlags::SET),
    (b'h', NotifyFlags::HASH),
    (b'z', NotifyFlags::ZSET),
    (b'x', NotifyFlags::EXPIRED),
    (b'e', NotifyFlags::EVICTED),
    (b't', NotifyFlags::STREAM),
    (b'd', NotifyFlags::MODULE),
    (b'n', NotifyFlags::NEW),
    (b'o', NotifyFlags::OVERWRITTEN),
    (b'c', NotifyFlags::TYPE_CHANGED),
    (b'K', NotifyFlags::KEYSPACE),
    (b'E', NotifyFlags::KEYEVENT),
    (b'm', NotifyFlags::KEY_MISS),
];

/// The canonical spelling of event classes.
///
/// As in 8.2.3, `A` swallows `n`, `o` and `c` in what is shown, though they stay in effect.
pub fn notify_text(flags: NotifyFlags) -> String {
    let all = flags.contains(NotifyFlags::ALL);
    let shown = |(letter, flag): &&(u8, NotifyFlags)| {
        flags.contains(*flag) && (!all || matches!(letter, b'K' | b'E' | b'm'))
    };
    let letters = EVENT_LETTERS
        .iter()
        .filter(shown)
        .map(|(letter, _)| char::from(*letter));
    all.then_some('A').into_iter().chain(letters).collect()
}

pub(super) static NOTIFY: Special = Special {
    get: |c| notify_text(c.notify_keyspace_events).into_bytes(),
    set: |c, args, _| {
        let [word] = args else {
            return Err(Reason::WrongArgs);
        };
        let mut flags = NotifyFlags::empty();
        for letter in *word {
            flags |= match EVENT_LETTERS.iter().find(|(l, _)| l == letter) {
                Some((_, flag)) => *flag,
                None if *letter == b'A' => NotifyFlags::ALL,
                None => {
                    return Err(Reason::Text(
                        "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
                    ));
                }
            };
        }
        c.notify_keyspace_events = flags;
        Ok(())
    },
    lines: |c, d| {
        one_line(
            "notify-keyspace-events",
            quote(&(NOTIFY.get)(c)),
            quote(&(NOTIFY.get)(d)),
        )
    },
};

const SHUTDOWN_NAMES: [(&str, ShutdownFlags); 5] = [
    ("default", ShutdownFlags::empty()),
    ("save", ShutdownFlags::SAVE),
    ("nosave", ShutdownFlags::NOSAVE),
    ("now", ShutdownFlags::NOW),
    ("force", ShutdownFlags::FORCE),
];

fn shutdown_text(flags: ShutdownFlags) -> Vec<u8> {
    if flags.is_empty() {
        return b"default".to_vec();
    }
    let set: Vec<_> = SHUTDOWN_NAMES[1..]
        .iter()
        .filter(|(_, flag)| flags.contains(*flag))
        .collect();
    joined(&set, |(name, _)| name.to_string())
}

fn parse_shutdown(args: &[&[u8]]) -> Result<ShutdownFlags, Reason> {
    let one_of = || Reason::NotOneOf(SHUTDOWN_NAMES.iter().map(|(name, _)| *name).collect());
    let mut flags = ShutdownFlags::empty();
    for word in args {
        let named = SHUTDOWN_NAMES
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        flags |= named.ok_or_else(one_of)?.1;
    }
    if args.is_empty() {
        return Err(one_of());
    }
    if flags.contains(ShutdownFlags::SAVE | ShutdownFlags::NOSAVE) {
        return Err(Reason::Text(
            "shutdown options SAVE and NOSAVE can't be used simultaneously",
        ));
    }
    Ok(flags)
}

fn shutdown_line(name: &str, flags: ShutdownFlags) -> Lines {
    vec![(line(name, &shutdown_text(flags)), !flags.is_empty())]
}

pub(super) static SHUTDOWN_SIGINT: Special = Special {
    get: |c| shutdown_text(c.shutdown_on_sigint),
    set: |c: &mut Config, args, _| {
        c.shutdown_on_sigint = parse_shutdown(args)?;
        Ok(())
    },
    lines: |c, _| shutdown_line("shutdown-on-sigint", c.shutdown_on_sigint),
};

pub(super) static SHUTDOWN_SIGTERM: Special = Special {
    get: |c| shutdown_text(c.shutdown_on_sigterm),
    set: |c: &mut Config, args, _| {
        c.shutdown_on_sigterm = parse_shutdown(args)?;
        Ok(())
    },
    lines: |c, _| shutdown_line("shutdown-on-sigterm", c.shutdown_on_sigterm),
};
