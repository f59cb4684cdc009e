//! From a configuration to a listening server.

use super::*;
use crate::exec::command::Command;
use crate::keyspace::effects::Listening;
use crate::keyspace::lazyfree::LazyFree;
use crate::net::listen::ListenError;

/// Why the server could not start.
#[derive(Debug)]
pub enum StartError {
    /// An address could not be listened on.
    Listen(ListenError),
    /// Something of the system failed.
    Io(&'static str, std::io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Listen(e) => write!(
                f,
                "Could not create server TCP listening socket {}: {}",
                e.address, e.error
            ),
            StartError::Io(what, e) => write!(f, "{what}: {e}"),
        }
    }
}

fn first_key_at_1(row: &Command) -> bool {
    use crate::exec::command::BeginSearch;
    row.keys
        .first()
        .is_some_and(|k| matches!(k.begin, BeginSearch::Index(1)))
}

impl Server {
    /// A server with this configuration and these commands; it does not listen yet.
    pub fn new(
        config: Config,
        config_file: Option<std::path::PathBuf>,
        commands: &[&'static Command],
    ) -> Result<Self, StartError> {
        let registry = Registry::new(commands);
        let clock = Clock::new();
        let seed = crate::sys::entropy::random_u64();
        let lazy =
            LazyFree::start().map_err(|e| StartError::Io("Starting the freeing thread", e))?;
        let poller = Poller::new().map_err(|e| StartError::Io("Opening the poller", e))?;
        let mut server = Server {
            ks: Keyspace::new(config.databases as usize, seed, lazy),
            clients: Clients::new(),
            command_stats: vec![CommandStat::default(); registry.len()],
            first_key_at_1: registry
                .ids()
                .map(|id| first_key_at_1(registry.row(id)))
                .collect(),
            registry,
            state: ServerState::empty(),
            expired_keys: ExpiredKeys::Delete,
            child_is_saving: false,
            poller,
            listeners: Vec::new(),
            queues: Queues::default(),
            blocking: Default::default(),
            pause: Default::default(),
            propagation: Default::default(),
            stats: stats::ServerStats::default(),
            errors: stats::ErrorStats::default(),
            memory: Counters::of_this_thread(),
            slowlog: slowlog::SlowLog::default(),
            run_id: crate::sys::entropy::random_hex(),
            started_s: clock.now_s(),
            shutdown: shutdown::Shutdown::default(),
            expiry: expiry::Expiry::default(),
            eviction: eviction::Eviction::default(),
            cron_loops: 0,
            config,
            config_file,
            clock,
        };
        server.settings_changed();
        Ok(server)
    }

    /// Takes over settings that other rooms keep in a quicker form. Called at start and after CONFIG SET.
    pub fn settings_changed(&mut self) {
        self.state
            .set(ServerState::MAXMEMORY, self.config.maxmemory > 0);
        // A lower limit is enforced at once, not by the next command.
        self.eviction.unfinished = self.config.maxmemory > 0;
        self.ks.fx.listening.set(
            Listening::EVENTS,
            !self.config.notify_keyspace_events.is_empty(),
        );
    }

    /// Opens the listening sockets.
    pub fn listen(&mut self) -> Result<(), StartError> {
        let c = &self.config;
        let mut listeners = if c.port == 0 {
            Vec::new()
        } else {
            Listener::bind_all(&c.bind, c.port, c.tcp_backlog).map_err(StartError::Listen)?
        };
        if !c.unixsocket.is_empty() {
            listeners.push(
                Listener::unix(
                    c.unixsocket.as_path().to_owned(),
                    c.unixsocketperm,
                    c.tcp_backlog,
                )
                .map_err(StartError::Listen)?,
            );
        }
        for (i, l) in listeners.iter_mut().enumerate() {
            self.poller
                .add_listener(l, i as u32)
                .map_err(|e| StartError::Io("Watching a listening socket", e))?;
        }
        self.listeners = listeners;
        Ok(())
    }
}
