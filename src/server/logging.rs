//! The log, in the line format that tools know: `pid:role dd Mon yyyy hh:mm:ss.mmm level message`.
//!
//! Rooms log through the `log` crate. Its levels are Redis' own by another name: error and warn are warning (`#`), info is
//! notice (`*`), debug is verbose (`-`), trace is debug (`.`). The role letter is M for a master, S for a replica, X for a
//! Sentinel, C for a forked child (and for the process before its start-up is done).
//!
//! A log file is opened for each line, as upstream does: that is what lets logrotate move it away without telling anybody.
//! Formatting takes no lock and asks the C library nothing, so that a child may log.

use crate::config::{Config, LogLevel, SyslogFacility};
use crate::sys::{clock, process, syslog};
use log::{Level, LevelFilter, Record};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Records for this target are written as they are: the logo, reports.
pub const RAW: &str = "raw";

static ROLE: AtomicU8 = AtomicU8::new(b'M');
static MAIN_PID: AtomicU32 = AtomicU32::new(0);

/// Says which letter lines carry from now on: `M`, `S` or `X`.
pub fn set_role(letter: u8) {
    ROLE.store(letter, Ordering::Relaxed);
}

/// From now on this process is the server, and its children are children.
pub fn this_is_the_server() {
    MAIN_PID.store(std::process::id(), Ordering::Relaxed);
}

/// The filter of a `loglevel`.
pub fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::Trace,
        LogLevel::Verbose => LevelFilter::Debug,
        LogLevel::Notice => LevelFilter::Info,
        LogLevel::Warning => LevelFilter::Warn,
        LogLevel::Nothing => LevelFilter::Off,
    }
}

/// Follows a changed `loglevel`.
pub fn set_level(level: LogLevel) {
    log::set_max_level(filter(level));
}

/// Starts logging as configured. Errors are those of opening the log file.
pub fn start(config: &Config) -> io::Result<()> {
    process::refresh_utc_offset(clock::wall_ms() / 1000);
    let sink = Sink {
        file: (!config.logfile.is_empty()).then(|| absolute(config.logfile.as_path())),
        to_syslog: config.syslog_enabled,
    };
    if let Some(path) = &sink.file {
        OpenOptions::new().append(true).create(true).open(path)?;
        crate::sys::crash::set_log_path(path);
    }
    if sink.to_syslog {
        syslog::open(
            config.syslog_ident.as_bytes(),
            facility(config.syslog_facility),
        );
    }
    let to_syslog = sink.to_syslog;
    env_logger::Builder::new()
        .filter_level(LevelFilter::Trace)
        // What libraries tell about themselves concerns no operator.
        .filter_module("mio", LevelFilter::Warn)
        .filter_module("rustls", LevelFilter::Warn)
        .target(env_logger::Target::Pipe(Box::new(sink)))
        .format(move |out, record| format_line(out, record, to_syslog))
        .init();
    set_level(config.loglevel);
    Ok(())
}

/// Upstream opens a relative log file in the directory of the moment; ours stays where it was at start.
fn absolute(path: &std::path::Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn facility(f: SyslogFacility) -> i32 {
    match f {
        SyslogFacility::User => libc::LOG_USER,
        SyslogFacility::Local0 => libc::LOG_LOCAL0,
        SyslogFacility::Local1 => libc::LOG_LOCAL1,
        SyslogFacility::Local2 => libc::LOG_LOCAL2,
        SyslogFacility::Local3 => libc::LOG_LOCAL3,
        SyslogFacility::Local4 => libc::LOG_LOCAL4,
        SyslogFacility::Local5 => libc::LOG_LOCAL5,
        SyslogFacility::Local6 => libc::LOG_LOCAL6,
        SyslogFacility::Local7 => libc::LOG_LOCAL7,
    }
}

/// Where lines go: the file, else standard output.
struct Sink {
    file: Option<PathBuf>,
    to_syslog: bool,
}

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &self.file {
            Some(path) => {
                OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(path)?
                    .write_all(line)?;
                Ok(line.len())
            }
            // Syslog gets its copy while formatting, where the level is known.
            None if self.to_syslog && !io::stdout().is_terminal() => Ok(line.len()),
            None => io::stdout().write(line),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self.file {
            Some(_) => Ok(()),
            None => io::stdout().flush(),
        }
    }
}

fn format_line(out: &mut dyn Write, record: &Record<'_>, to_syslog: bool) -> io::Result<()> {
    if to_syslog {
        syslog::write(priority(record.level()), &record.args().to_string());
    }
    if record.target() == RAW {
        return writeln!(out, "{}", record.args());
    }
    let pid = std::process::id();
    let role = if pid == MAIN_PID.load(Ordering::Relaxed) {
        ROLE.load(Ordering::Relaxed) as char
    } else {
        'C'
    };
    let sign = match record.level() {
        Level::Error | Level::Warn => '#',
        Level::Info => '*',
        Level::Debug => '-',
        Level::Trace => '.',
    };
    write!(out, "{pid}:{role} ")?;
    write_time(out, clock::wall_ms(), process::utc_offset_s())?;
    writeln!(out, " {sign} {}", record.args())
}

fn priority(level: Level) -> i32 {
    match level {
        Level::Error | Level::Warn => libc::LOG_WARNING,
        Level::Info => libc::LOG_NOTICE,
        Level::Debug => libc::LOG_INFO,
        Level::Trace => libc::LOG_DEBUG,
    }
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `21 Nov 2026 12:26:26.691` of a Unix time in ms, `offset_s` seconds east of UTC.
fn write_time(out: &mut dyn Write, unix_ms: i64, offset_s: i64) -> io::Result<()> {
    let local_s = unix_ms.div_euclid(1000) + offset_s;
    let (day, second) = (local_s.div_euclid(86_400), local_s.rem_euclid(86_400));
    let (year, month, mday) = civil(day);
    write!(
        out,
        "{mday:02} {} {year} {:02}:{:02}:{:02}.{:03}",
        MONTHS[month],
        second / 3600,
        second / 60 % 60,
        second % 60,
        unix_ms.rem_euclid(1000)
    )
}

/// Year, month (from 0) and day of month (from 1) of a day counted from 1970-01-01. Counting years from March makes the leap
/// day the last one of its year, so that months follow one formula (153 days in each five of them).
fn civil(day: i64) -> (i64, usize, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let mday = of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12;
    let year = year_of_era + era * 400 + i64::from(month < 2);
    (year, month as usize, mday)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(ms: i64, offset: i64) -> String {
        let mut v = Vec::new();
        write_time(&mut v, ms, offset).unwrap();
        String::from_utf8(v).unwrap()
    }

    #[test]
    fn times_read_as_upstreams() {
        assert_eq!(time(1_795_263_986_691, 0), "21 Nov 2026 12:26:26.691");
        assert_eq!(time(0, 0), "01 Jan 1970 00:00:00.000");
        assert_eq!(time(0, -3600), "31 Dec 1969 23:00:00.000");
        assert_eq!(time(951_782_400_005, 0), "29 Feb 2000 00:00:00.005");
        assert_eq!(time(4_107_542_399_999, 0), "28 Feb 2100 23:59:59.999");
        assert_eq!(time(4_107_542_400_000, 0), "01 Mar 2100 00:00:00.000");
        assert_eq!(time(1_795_263_986_691, 19_800), "21 Nov 2026 17:56:26.691");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let (mut y, mut m, mut d) = civil(-800_000);
        for day in -799_999..800_000 {
            let next = civil(day);
            let ok = next == (y, m, d + 1)
                || next == (y, m + 1, 1) && d >= 28
                || next == (y + 1, 0, 1) && m == 11 && d == 31;
            assert!(ok, "{day}: {next:?} after {:?}", (y, m, d));
            (y, m, d) = next;
        }
    }
}
