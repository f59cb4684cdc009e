//! The server and the machine it runs on: supervision, pid file, process title, open files, OOM score, and what of the
//! system's settings an operator should be warned about.

use crate::config::{Config, OomScoreAdj, Supervised};
use crate::sys::{affinity, process};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;
use std::os::unix::net::UnixDatagram;

/// Who is told that the server is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Supervisor {
    /// Nobody.
    #[default]
    None,
    /// systemd, by a datagram to the socket in NOTIFY_SOCKET.
    Systemd,
    /// upstart, by stopping once.
    Upstart,
}

impl Supervisor {
    /// Finds out as `supervised` asks; what is asked for and missing is logged.
    pub fn detect(wanted: Supervised) -> Supervisor {
        let there = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        match wanted {
            Supervised::No => Supervisor::None,
            Supervised::Upstart if !there("UPSTART_JOB") => {
                log::warn!("upstart supervision requested, but UPSTART_JOB not found!");
                Supervisor::None
            }
            Supervised::Systemd if !there("NOTIFY_SOCKET") => {
                log::warn!("systemd supervision requested, but NOTIFY_SOCKET not found!");
                Supervisor::None
            }
            Supervised::Upstart => Supervisor::upstart(),
            Supervised::Systemd => Supervisor::systemd(),
            Supervised::Auto if there("UPSTART_JOB") => Supervisor::upstart(),
            Supervised::Auto if there("NOTIFY_SOCKET") => Supervisor::systemd(),
            Supervised::Auto => Supervisor::None,
        }
    }

    fn upstart() -> Supervisor {
        log::info!("supervised by upstart, will stop to signal readiness.");
        Supervisor::Upstart
    }

    fn systemd() -> Supervisor {
        log::info!(
            "supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and TimeoutStopSec in your service unit."
        );
        Supervisor::Systemd
    }

    /// What INFO calls it.
    pub fn name(self) -> &'static str {
        match self {
            Supervisor::None => "no",
            Supervisor::Systemd => "systemd",
            Supervisor::Upstart => "upstart",
        }
    }

    /// Tells systemd something (`READY=1`); without effect for others.
    pub fn notify(self, message: &str) {
        if self == Supervisor::Systemd
            && let Err(e) = notify_systemd(message)
        {
            log::warn!("Can't notify systemd: {e}");
        }
    }

    /// The server accepts connections.
    pub fn ready(self) {
        self.notify("STATUS=Ready to accept connections\nREADY=1\n");
        if self == Supervisor::Upstart {
            process::stop_self();
        }
    }
}

fn notify_systemd(message: &str) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::SocketAddr;
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    // A leading @ stands for the NUL of an abstract name.
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&path)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(message.as_bytes(), &address)
        .map(|_| ())
}

/// What the server keeps about itself as a process.
#[derive(Debug, Default)]
pub struct Host {
    /// Who supervises.
    pub supervisor: Supervisor,
    /// The pid file to remove at exit.
    pub pidfile: Option<std::path::PathBuf>,
    /// How the program was called.
    pub program: String,
    /// The OOM score.
    pub oom: OomScore,
}

/// Used when daemonized without `pidfile`.
const DEFAULT_PIDFILE: &str = "/var/run/redis.pid";

/// Writes the process id; gives the path to remove at exit.
pub fn write_pidfile(config: &Config, background: bool) -> Option<std::path::PathBuf> {
    let path = if !config.pidfile.is_empty() {
        config.pidfile.as_path().to_owned()
    } else if background {
        DEFAULT_PIDFILE.into()
    } else {
        return None;
    };
    let path = std::path::absolute(&path).unwrap_or(path);
    match std::fs::write(&path, format!("{}\n", std::process::id())) {
        Ok(()) => Some(path),
        Err(e) => {
            log::warn!("Failed to write PID file: {}", os_text(&e));
            None
        }
    }
}

/// The system's message without Rust's addition of the number.
pub fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().into()
}

/// The process title of `title` (the program's name, or what a child does), as `proc-title-template` has it.
pub fn title(config: &Config, config_file: &str, title: &str) -> Vec<u8> {
    let port = |n: u16| n.to_string();
    let listen = if config.port != 0 || config.tls_port != 0 {
        let host = config.bind.first().map_or("*", |b| b.as_str());
        let n = if config.port != 0 {
            config.port
        } else {
            config.tls_port
        };
        format!("{host}:{n}")
    } else {
        config.unixsocket.to_str_lossy().into_owned()
    };
    let mode = if config.cluster_enabled {
        "[cluster]"
    } else {
        ""
    };
    let template = config.proc_title_template.to_str_lossy();
    let mut text = String::new();
    let mut rest = &template[..];
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            rest = "";
            break;
        };
        match name {
            "title" => text.push_str(title),
            "listen-addr" => text.push_str(&listen),
            "server-mode" => text.push_str(mode),
            "port" => text.push_str(&port(config.port)),
            "tls-port" => text.push_str(&port(config.tls_port)),
            "unixsocket" => text.push_str(&config.unixsocket.to_str_lossy()),
            "config-file" => text.push_str(config_file),
            _ => {}
        }
        rest = after;
    }
    text.push_str(rest);
    text.trim_end().as_bytes().to_vec()
}

/// Descriptors kept for files, listeners and pipes beside the clients'.
pub const RESERVED_FDS: u64 = 32;

/// Raises the limit of open files for this many clients. Err: the number of clients that is possible, and why.
pub fn raise_open_files(maxclients: u32) -> Result<(u64, u64), (u64, io::Error)> {
    let wanted = u64::from(maxclients) + RESERVED_FDS;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    if soft >= wanted {
        return Ok((soft, soft));
    }
    let failed = match setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted.max(hard)) {
        Ok(()) => return Ok((soft, wanted)),
        Err(e) => io::Error::from(e),
    };
    // Not allowed to go beyond the hard limit: go up to it.
    let best = if hard > soft && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        hard
    } else {
        soft
    };
    if best >= wanted {
        return Ok((soft, best));
    }
    Err((best, failed))
}

/// At start: lowers `maxclients` to what the limit of open files allows, or says why the server cannot run.
pub fn fit_maxclients(config: &mut Config) -> bool {
    let wanted = u64::from(config.maxclients) + RESERVED_FDS;
    match raise_open_files(config.maxclients) {
        Ok((before, now)) if now > before => {
            log::info!(
                "Increased maximum number of open files to {now} (it was originally set to {before})."
            );
            true
        }
        Ok(_) => true,
        Err((limit, _)) if limit <= RESERVED_FDS => {
            log::warn!(
                "Your current 'ulimit -n' of {limit} is not enough for the server to start. Please increase your open file limit to at least {wanted}. Exiting."
            );
            false
        }
        Err((limit, e)) => {
            log::warn!(
                "You requested maxclients of {} requiring at least {wanted} max file descriptors.",
                config.maxclients
            );
            log::warn!(
                "Server can't set maximum open files to {wanted} because of OS error: {}.",
                os_text(&e)
            );
            config.maxclients = (limit - RESERVED_FDS) as u32;
            log::warn!(
                "Current maximum open files is {limit}. maxclients has been reduced to {} to compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'.",
                config.maxclients
            );
            true
        }
    }
}

/// For whom an OOM score is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OomRole {
    /// The server as a master.
    Master,
    /// The server as a replica.
    Replica,
    /// A child that saves.
    Child,
}

/// The OOM score the process had when `oom-score-adj` was switched on; relative values are added to it.
#[derive(Debug, Clone, Copy, Default)]
pub struct OomScore {
    base: i64,
    touched: bool,
}

const OOM_FILE: &str = "/proc/self/oom_score_adj";

impl OomScore {
    /// Reads the score.
    pub fn read() -> OomScore {
        let text = std::fs::read_to_string(OOM_FILE).unwrap_or_default();
        OomScore {
            base: text.trim().parse().unwrap_or(0),
            touched: false,
        }
    }

    /// Writes the score of a role as configured. False: the kernel refused (it was logged).
    pub fn write(&mut self, config: &Config, role: OomRole) -> bool {
        let value = i64::from(config.oom_score_adj_values[role as usize]);
        if config.oom_score_adj != OomScoreAdj::No && !self.touched {
            // Somebody else may have set it since the start.
            *self = OomScore::read();
        }
        let score = match config.oom_score_adj {
            // Switched off: what was there before comes back.
            OomScoreAdj::No if self.touched => self.base,
            OomScoreAdj::No => return true,
            OomScoreAdj::Relative => self.base + value,
            OomScoreAdj::Absolute => value,
        };
        self.touched = config.oom_score_adj != OomScoreAdj::No;
        match std::fs::write(OOM_FILE, score.clamp(-1000, 1000).to_string()) {
            Ok(()) => true,
            Err(e) => {
                log::warn!("Unable to write oom_score_adj: {}", os_text(&e));
                false
            }
        }
    }
}

/// Logs what of the system's settings bites sooner or later.
pub fn warn_about_memory_settings() {
    if read_number("/proc/sys/vm/overcommit_memory") == Some(0) {
        log::warn!(
            "WARNING Memory overcommit must be enabled! Without it, a background save or replication may fail when memory is low. Set 'vm.overcommit_memory = 1' in /etc/sysctl.conf and reboot, or run 'sysctl vm.overcommit_memory=1' now."
        );
    }
}

/// Logs a backlog that the system will cut.
pub fn warn_about_backlog(backlog: i32) {
    if let Some(max) = read_number("/proc/sys/net/core/somaxconn")
        && max < i64::from(backlog)
    {
        log::warn!(
            "WARNING: The TCP backlog setting of {backlog} cannot be enforced because /proc/sys/net/core/somaxconn is set to the lower value of {max}."
        );
    }
}

/// Says what the configuration asks for and is not there, where ignoring it in silence would mislead.
pub fn note_unsupported(config: &Config) {
    if config.io_threads > 1 {
        log::info!(
            "io-threads {} is accepted and not needed: one thread serves all connections here.",
            config.io_threads
        );
    }
}

/// Binds the calling thread to the processors of a `*-cpulist`; an empty list leaves it as it is.
pub fn bind(list: &crate::config::Text, what: &str) {
    if list.as_bytes().is_empty() {
        return;
    }
    let bound = match affinity::parse(list.as_bytes()) {
        Some(cpus) => affinity::set(&cpus).map_err(|e| os_text(&e)),
        None => Err("not a list of processors".into()),
    };
    if let Err(why) = bound {
        log::warn!(
            "Binding {what} to processors '{}': {why}",
            list.to_str_lossy()
        );
    }
}

/// Before background threads are started: they inherit the processors of `bio-cpulist`. Returns what the main thread has to go
/// back to, see [`bind_main_thread`]. Without a list no system call is made: a sandbox may kill a process for it.
pub fn bind_background_threads(config: &Config) -> Option<affinity::Cpus> {
    if config.bio_cpulist.as_bytes().is_empty() {
        return None;
    }
    let before = affinity::of_this_thread().ok();
    bind(&config.bio_cpulist, "background threads");
    before
}

/// After they were started: binds the main thread as `server-cpulist` says.
pub fn bind_main_thread(config: &Config, before: Option<affinity::Cpus>) {
    if let Some(cpus) = before
        && let Err(e) = affinity::set(&cpus)
    {
        log::debug!("Unbinding the main thread: {e}");
    }
    bind(&config.server_cpulist, "the main thread");
}

/// CONFIG SET of a list for running threads: binds the main thread and those in the background.
pub fn rebind(config: &Config) -> Result<(), String> {
    let cpus = |list: &crate::config::Text| match list.as_bytes() {
        b"" => Ok(None),
        text => affinity::parse(text)
            .map(Some)
            .ok_or("not a list of processors".to_string()),
    };
    let (main, bio) = (cpus(&config.server_cpulist)?, cpus(&config.bio_cpulist)?);
    if let Some(main) = main {
        affinity::set(&main).map_err(|e| os_text(&e))?;
    }
    if let Some(bio) = bio {
        affinity::set_others(&bio, "bio_").map_err(|e| os_text(&e))?;
    }
    Ok(())
}

/// Whether the system gives every process transparent huge pages.
pub fn huge_pages_always() -> bool {
    std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled")
        .is_ok_and(|text| text.contains("[always]"))
}

fn read_number(path: &str) -> Option<i64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Text;

    #[test]
    fn titles() {
        let mut c = Config::default();
        let show = |c: &Config| String::from_utf8(title(c, "/x.conf", "redis-server")).unwrap();
        assert_eq!(show(&c), "redis-server *:6379");
        c.cluster_enabled = true;
        assert_eq!(show(&c), "redis-server *:6379 [cluster]");
        c.port = 0;
        c.unixsocket = "/s".into();
        assert_eq!(show(&c), "redis-server /s [cluster]");
        c.proc_title_template = Text::from(&b"T {title} {port} {config-file} {unixsocket}  "[..]);
        assert_eq!(show(&c), "T redis-server 0 /x.conf /s");
    }
}
