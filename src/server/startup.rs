//! From the command line to a listening server, in upstream's order: configuration, log, supervision, going to the background
//! (while there is one thread), limits, the server itself, pid file, title, listening sockets, data, ready.
//!
//! What is wrong with the configuration goes to standard error before anything else happens; what is wrong with the machine
//! goes to the log. Both end with exit code 1.

use super::host::{self, Host, OomRole, OomScore, Supervisor};
use super::*;
use crate::acl::Acl;
use crate::config::{CommandLine, ConfigError};
use crate::exec;
use crate::exec::command::Command;
use crate::keyspace::effects::Listening;
use crate::keyspace::lazyfree::LazyFree;
use crate::net::listen::ListenError;
use crate::persist::Persist;
use crate::persist::aof::syncer::Syncer;
use crate::sys::{crash, process, scheduling, signal};

/// Why the server could not start. Display is the line for the log.
#[derive(Debug)]
pub enum StartError {
    /// A port of this kind (`tcp`, `tls`) could not be listened on (why was logged).
    Tcp(u16, &'static str),
    /// The unix socket could not be listened on.
    Unix(ListenError),
    /// There is nothing to listen on.
    NowhereToListen,
    /// Something of the system failed.
    Io(&'static str, std::io::Error),
    /// It was logged already.
    Logged,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Tcp(port, kind) => {
                write!(f, "Failed listening on port {port} ({kind}), aborting.")
            }
            StartError::Unix(e) => {
                let text = e.to_string();
                let why = text.strip_prefix(&e.address).unwrap_or(&text);
                write!(f, "Failed opening Unix socket{why}")
            }
            StartError::NowhereToListen => {
                f.write_str("Configured to not listen anywhere, exiting.")
            }
            StartError::Io(what, e) => write!(f, "{what}: {}", host::os_text(e)),
            StartError::Logged => Ok(()),
        }
    }
}

/// Runs a server as the command line asks; gives the process' exit code.
pub fn serve(
    line: &CommandLine,
    sentinel: bool,
    commands: &[&'static Command],
    reports: super::Reports,
) -> i32 {
    process::prepare_title();
    let program = std::env::args().next().unwrap_or_default();
    // Before `dir` takes effect.
    let config_file = line.file.as_ref().and_then(|f| std::path::absolute(f).ok());
    let (config, registry) = match configure(line, sentinel, commands) {
        Ok(x) => x,
        Err(e) => {
            eprintln!("{e}");
            return 1;
        }
    };
    let bare = line.file.is_none() && !line.stdin && line.options.is_empty();
    match start(config, registry, config_file, bare, &program, reports) {
        Ok(mut server) => {
            let code = server.run();
            server.leave();
            // Freeing every key one by one would only delay the end.
            std::mem::forget(server);
            code
        }
        Err(StartError::Logged) => 1,
        Err(e) => {
            log::warn!("{e}");
            1
        }
    }
}

/// Reads the configuration and starts the log.
fn configure(
    line: &CommandLine,
    sentinel: bool,
    commands: &[&'static Command],
) -> Result<(Config, Registry), ConfigError> {
    let config = crate::config::load(line, sentinel)?;
    if config.cluster_enabled {
        // Serving all keys where others expect a node that knows its slots would lose data.
        return Err(ConfigError::Whole(
            ">>> 'cluster-enabled yes'\nCluster mode is not part of this version".into(),
        ));
    }
    let mut registry = Registry::new(commands);
    for (from, to) in &config.rename_command {
        registry
            .rename(from.as_bytes(), to.as_bytes())
            .map_err(|e| {
                let words = [from.to_str_lossy(), to.to_str_lossy()].join(" ");
                ConfigError::Whole(format!(">>> 'rename-command {words}'\n{e}"))
            })?;
    }
    let mut acl = Acl::new(exec::acl::facts(&registry));
    super::acl::check_user_lines(&config, &mut acl)?;
    logging::start(&config).map_err(|e| {
        ConfigError::Whole(format!("Can't open the log file: {}", host::os_text(&e)))
    })?;
    Ok((config, registry))
}

fn start(
    mut config: Config,
    registry: Registry,
    config_file: Option<std::path::PathBuf>,
    bare: bool,
    program: &str,
    reports: super::Reports,
) -> Result<Box<Server>, StartError> {
    host::warn_about_memory_settings();
    let supervisor = Supervisor::detect(config.supervised);
    let background = config.daemonize && supervisor == Supervisor::None;
    if background {
        process::daemonize().map_err(|e| StartError::Io("Going to the background", e))?;
    }
    announce(&config, bare, program);
    if !process::set_collation(config.locale_collate.as_bytes()) {
        log::warn!("Failed to configure LOCALE for invalid locale name.");
        return Err(StartError::Logged);
    }
    signal::install();
    crash::watchdog::install(config.watchdog_period > 0);
    crash::install(config.crash_log_enabled);
    crash::log_panics();
    if !host::fit_maxclients(&mut config) {
        return Err(StartError::Logged);
    }
    if config.disable_thp {
        process::disable_huge_pages();
    }
    if !process::precise_sleeps() {
        log::debug!("The kernel keeps its tolerance for sleeps: see wakeup-coalescing-us.");
    }
    logging::this_is_the_server();
    crate::sys::alloc::set_decay();
    host::note_unsupported(&config);
    let cpus = host::bind_background_threads(&config);
    let mut server = Box::new(Server::new(config, registry, config_file)?);
    server.reports = reports;
    if server.config.activedefrag && !server.defrag.prepare() {
        log::warn!(
            "activedefrag yes has no effect: the allocator does not tell how full its slabs are."
        );
        server.config.activedefrag = false;
    }
    host::bind_main_thread(&server.config, cpus);
    if let Err(e) = scheduling::short_slices() {
        log::debug!("The kernel keeps its time slices for the main thread: {e}");
    }
    crash::attach(&*server);
    log::info!("monotonic clock: POSIX clock_gettime");
    server.host = Host {
        supervisor,
        pidfile: host::write_pidfile(&server.config, background),
        program: program.to_string(),
        oom: OomScore::read(),
    };
    server.show_title();
    show_mode(&server.config);
    host::warn_about_backlog(server.config.tcp_backlog);
    if !server.load_users() {
        return Err(StartError::Logged);
    }
    server.listen()?;
    server.listen_for_metrics()?;
    log::info!("Server initialized");
    server.stats.startup_memory = server.used_memory();
    server.stats.startup_vms = server.scripts.vm_total();
    if server.config.jemalloc_bg_thread {
        crate::sys::alloc::set_background_thread(true);
    }
    if !server.load_data() {
        return Err(StartError::Logged);
    }
    if server.shutdown.done().is_some() {
        return Ok(server);
    }
    server.start_as_replica();
    server.start_as_master();
    for kind in server.listener_kinds() {
        log::info!("Ready to accept connections {kind}");
    }
    supervisor.ready();
    let oom = server.config.oom_score_adj;
    if oom != crate::config::OomScoreAdj::No {
        server.host.oom.write(&server.config, OomRole::Master);
    }
    Ok(server)
}

fn announce(config: &Config, bare: bool, program: &str) {
    log::info!("oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo");
    log::info!(
        "Redis version={}, bits=64, commit=00000000, modified=0, pid={}, just started (redstart {})",
        config.redis_compat_version.to_str_lossy(),
        std::process::id(),
        env!("CARGO_PKG_VERSION"),
    );
    if bare {
        log::warn!(
            "Warning: no config file specified, using the default config. In order to specify a config file use {program} /path/to/redis.conf"
        );
    } else {
        log::info!("Configuration loaded");
    }
}

/// The mode, or the logo where somebody looks: on a terminal, or when `always-show-logo` asks for it. Tools look for the
/// words behind "PID:" and "Port:".
fn show_mode(config: &Config) {
    use std::io::IsTerminal;
    let mode = if config.cluster_enabled {
        "cluster"
    } else {
        "standalone"
    };
    let port = if config.port == 0 {
        config.tls_port
    } else {
        config.port
    };
    let on_terminal =
        config.logfile.is_empty() && !config.syslog_enabled && std::io::stdout().is_terminal();
    if !on_terminal && !config.always_show_logo {
        log::info!("Running mode={mode}, port={port}.");
        return;
    }
    let version = env!("CARGO_PKG_VERSION");
    log::info!(target: logging::RAW, "
        .            Redstart {version}
     \\  |  /         speaks Redis {}, 64 bit
   --  (*)  --       Running in {mode} mode
     /  |  \\         Port: {port}
        '            PID: {}
", config.redis_compat_version.to_str_lossy(), std::process::id());
}

impl Server {
    /// A server with this configuration and these commands; it does not listen yet.
    pub fn new(
        config: Config,
        registry: Registry,
        config_file: Option<std::path::PathBuf>,
    ) -> Result<Self, StartError> {
        let clock = Clock::new();
        let seed = crate::sys::entropy::random_u64();
        let poller = Poller::new().map_err(|e| StartError::Io("Opening the poller", e))?;
        let waker = poller.waker();
        let lazy = LazyFree::start(move || {
            // Should it fail, cron comes by before long.
            let _ = waker.wake();
        })
        .map_err(|e| StartError::Io("Starting the freeing thread", e))?;
        let mut server = Server {
            ks: Keyspace::new(config.databases as usize, seed, lazy),
            clients: Clients::new(),
            client_memory: ClientMemory::default(),
            acl: Acl::new(exec::acl::facts(&registry)),
            pubsub: PubSub::new(),
            tracking: Tracking::default(),
            monitors: DenseSet::new(),
            command_stats: vec![CommandStat::default(); registry.len()],
            registry,
            state: ServerState::empty(),
            expired_keys: ExpiredKeys::Delete,
            child_is_saving: false,
            persist: Persist::new(clock.now_s()),
            poller,
            listeners: Vec::new(),
            tls: None,
            links: Default::default(),
            queues: Queues::default(),
            blocking: Default::default(),
            pause: Default::default(),
            propagation: Default::default(),
            master: master::Master::default(),
            repl: Replication::new(clock.now_s()),
            stats: stats::ServerStats::default(),
            errors: stats::ErrorStats::default(),
            memory: Counters::of_this_thread(),
            latency: Default::default(),
            slowlog: slowlog::SlowLog::default(),
            run_id: crate::sys::entropy::random_hex(),
            started_s: clock.now_s(),
            shutdown: shutdown::Shutdown::default(),
            expiry: expiry::Expiry::default(),
            defrag: super::defrag::Defrag::default(),
            eviction: eviction::Eviction::default(),
            scripts: crate::script::Scripts::new(config.lua_enable_deprecated_api),
            wakeups: Default::default(),
            cron_loops: 0,
            metrics: Default::default(),
            stages: Default::default(),
            reports: Default::default(),
            host: Host::default(),
            debug: DebugSwitches::default(),
            config,
            config_file,
            clock,
        };
        server.persist.aof.configure(&server.config);
        let waker = server.poller.waker();
        server.persist.aof.syncer = Syncer::start(Box::new(move || {
            // The loop looks at least as often as cron runs; waking it only makes it sooner.
            let _ = waker.wake();
        }))
        .map_err(|e| StartError::Io("Starting the syncing thread", e))?;
        server.settings_changed();
        Ok(server)
    }

    /// Takes over settings that other rooms keep in a quicker form. Called at start and after CONFIG SET.
    pub fn settings_changed(&mut self) {
        self.latency
            .set_threshold_ms(self.config.latency_monitor_threshold);
        self.client_limit_changed();
        self.state
            .set(ServerState::MAXMEMORY, self.config.maxmemory > 0);
        // A lower limit is enforced at once, not by the next command.
        self.eviction.unfinished = self.config.maxmemory > 0;
        self.update_disk_error();
        if let Err(e) = self
            .persist
            .aof
            .remove_history(self.config.aof_disable_auto_gc)
        {
            log::warn!("Removing the history files of the AOF: {e}");
        }
        self.ks.fx.listening.set(
            Listening::EVENTS,
            !self.config.notify_keyspace_events.is_empty(),
        );
        self.client_limit_changed();
    }

    /// Opens the listening sockets.
    pub fn listen(&mut self) -> Result<(), StartError> {
        if !self.load_tls() {
            log::warn!("Failed to configure TLS. Check logs for more info.");
            return Err(StartError::Logged);
        }
        let c = &self.config;
        let mut listeners = self
            .open_ports()
            .map_err(|(port, kind)| StartError::Tcp(port, kind))?;
        if !c.unixsocket.is_empty() {
            let path = c.unixsocket.as_path().to_owned();
            let unix = Listener::unix(path, c.unixsocketperm, c.tcp_backlog);
            listeners.push(unix.map_err(StartError::Unix)?);
        }
        if listeners.is_empty() {
            return Err(StartError::NowhereToListen);
        }
        for (i, l) in listeners.iter_mut().enumerate() {
            self.poller
                .add_listener(l, i as u32)
                .map_err(|e| StartError::Io("Watching a listening socket", e))?;
        }
        self.listeners = listeners;
        Ok(())
    }

    /// Opens the TCP and the TLS port. Err: the port that could not be listened on, and its kind.
    pub(super) fn open_ports(&self) -> Result<Vec<Listener>, (u16, &'static str)> {
        let c = &self.config;
        let mut out = Vec::new();
        for (port, tls, kind) in [(c.port, false, "tcp"), (c.tls_port, true, "tls")] {
            if port != 0 {
                let opened = Listener::bind_all(&c.bind, port, c.tcp_backlog, tls);
                out.append(&mut opened.map_err(|_| (port, kind))?);
            }
        }
        Ok(out)
    }

    /// The kinds of listening sockets, each once.
    pub fn listener_kinds(&self) -> Vec<&'static str> {
        let mut kinds = Vec::new();
        for l in &self.listeners {
            let kind = l.kind();
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    /// Shows what the process is and where it listens in its title (`set-proc-title`).
    pub fn show_title(&self) {
        if self.config.set_proc_title {
            let file = self.config_file.as_deref().map(|f| f.display().to_string());
            let file = file.unwrap_or_default();
            process::set_title(&host::title(&self.config, &file, &self.host.program));
        }
    }

    /// What is left to do when the server ends: nothing of it shall stay on the machine.
    fn leave(&mut self) {
        self.host.supervisor.notify("STOPPING=1\n");
        self.stop_listening();
        if let Some(path) = self.host.pidfile.take() {
            log::info!("Removing the pid file.");
            let _ = std::fs::remove_file(path);
        }
        log::warn!("Redis is now ready to exit, bye bye...");
    }
}
