//! CONFIG SET taking effect: what a changed directive asks for beyond its field ([`Apply`]), all or nothing.
//!
//! The new configuration is in place while the hooks run; each hook sees the old one beside it. When a hook refuses, the old
//! configuration comes back and the hooks that ran, the refusing one included, run once more under it.

use super::host::{self, OomRole};
use super::{Server, logging};
use crate::config::values::AppendFsync;
use crate::config::{Apply, Config, Prepared, Reason, SetError};
use crate::net::Listener;
use crate::sys::{alloc, crash, process};

/// Said when certificates or TLS settings do not work out.
const NO_TLS: &str = "Unable to update TLS configuration. Check server logs.";

impl Server {
    /// Makes a checked CONFIG SET take effect.
    pub fn change_settings(&mut self, prepared: Prepared) -> Result<(), SetError> {
        let Prepared { config, changed } = prepared;
        let old = std::mem::replace(&mut self.config, config);
        let mut done: Vec<Apply> = Vec::new();
        for (row, name) in changed {
            if row.apply == Apply::None || done.contains(&row.apply) {
                continue;
            }
            done.push(row.apply);
            if let Err(reason) = self.apply(row.apply, &old) {
                let refused = std::mem::replace(&mut self.config, old);
                for again in done {
                    // The old settings worked before; should one not any more, there is nothing better to go back to.
                    let _ = self.apply(again, &refused);
                }
                return Err(SetError::Failed { name, reason });
            }
        }
        self.settings_changed();
        Ok(())
    }

    fn apply(&mut self, what: Apply, before: &Config) -> Result<(), Reason> {
        match what {
            Apply::Bind => self
                .listen_anew()
                .map_err(|()| Reason::Text("Failed to bind to specified addresses.")),
            Apply::Port => {
                let moved = self.listen_anew();
                self.show_title();
                moved
                    .map_err(|()| Reason::Text("Unable to listen on this port. Check server logs."))
            }
            Apply::TlsPort => {
                self.reload_tls()?;
                let moved = self.listen_anew();
                self.show_title();
                moved
                    .map_err(|()| Reason::Text("Unable to listen on this port. Check server logs."))
            }
            Apply::Tls => self.reload_tls(),
            Apply::MaxClients => self.check_maxclients(before),
            Apply::MaxMemory => {
                self.check_maxmemory();
                Ok(())
            }
            Apply::LogLevel => {
                logging::set_level(self.config.loglevel);
                Ok(())
            }
            Apply::AppendOnly => self.switch_append_only(),
            Apply::AppendFsync => {
                // Under `always` what earlier turns left to the thread must not be behind what comes now.
                if self.config.appendfsync == AppendFsync::Always {
                    self.persist.aof.syncer.drain();
                }
                Ok(())
            }
            Apply::Dir => self.change_directory(before),
            Apply::RequirePass => {
                self.set_default_password(None);
                Ok(())
            }
            Apply::Locale => {
                if process::set_collation(self.config.locale_collate.as_bytes()) {
                    Ok(())
                } else {
                    Err(Reason::Text("Invalid locale name"))
                }
            }
            Apply::OomScoreAdj => self.write_oom_score(),
            Apply::ProcTitle => {
                self.show_title();
                Ok(())
            }
            Apply::JemallocThread => {
                alloc::set_background_thread(self.config.jemalloc_bg_thread);
                Ok(())
            }
            Apply::Watchdog => {
                self.set_watchdog();
                Ok(())
            }
            Apply::Cpus => host::rebind(&self.config)
                .map_err(|e| Reason::Os(format!("Unable to set the processors: {e}"))),
            Apply::CrashLog => {
                crash::install(self.config.crash_log_enabled);
                Ok(())
            }
            Apply::ActiveDefrag if self.config.activedefrag && !self.defrag.prepare() => {
                Err(Reason::Text(
                    "Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified Jemalloc like the one shipped by default with the Redis source distribution",
                ))
            }
            Apply::ActiveDefrag => {
                self.defrag_switched();
                Ok(())
            }
            Apply::Trim => {
                self.slowlog.trim(self.config.slowlog_max_len as usize);
                self.acl.log.trim(self.config.acllog_max_len as usize);
                Ok(())
            }
            Apply::LatencyTracking => {
                if !self.config.latency_tracking {
                    self.command_stats.iter_mut().for_each(|s| s.latency = None);
                }
                Ok(())
            }
            Apply::ReplBacklogSize => {
                let bytes = self.config.repl_backlog_size;
                if let Some(history) = &mut self.repl.backlog {
                    history.resize(bytes);
                }
                Ok(())
            }
            Apply::MinReplicas => {
                self.refresh_good_replicas();
                Ok(())
            }
            // Read where they are needed, or their rooms are not there yet.
            Apply::None | Apply::Hz | Apply::Save | Apply::MaxMemoryClients | Apply::Cluster => {
                Ok(())
            }
        }
    }

    /// Takes certificates and TLS settings anew, or leaves the old ones.
    fn reload_tls(&mut self) -> Result<(), Reason> {
        self.load_tls().then_some(()).ok_or(Reason::Text(NO_TLS))
    }

    /// Starts or stops the watchdog. Its period is at least two ticks of cron, which winds it up.
    fn set_watchdog(&mut self) {
        let on = self.config.watchdog_period > 0;
        if on {
            let least = 2000 / self.config.hz.max(1);
            self.config.watchdog_period = self.config.watchdog_period.max(least as _);
        }
        crash::watchdog::install(on);
        crash::watchdog::wind_up(self.config.watchdog_period as u64);
    }

    /// Closes the TCP listeners and opens those the configuration names; why not is logged.
    fn listen_anew(&mut self) -> Result<(), ()> {
        let mut kept = Vec::new();
        for mut l in std::mem::take(&mut self.listeners) {
            let _ = self.poller.remove_listener(&mut l);
            if matches!(l, Listener::Unix(..)) {
                kept.push(l);
            }
        }
        let (mut listeners, result) = match self.open_ports() {
            Ok(l) => (l, Ok(())),
            Err(_) => (Vec::new(), Err(())),
        };
        listeners.append(&mut kept);
        for (i, l) in listeners.iter_mut().enumerate() {
            if let Err(e) = self.poller.add_listener(l, i as u32) {
                log::warn!("Watching a listening socket: {e}");
            }
        }
        // Connections may wait at a socket that was not watched for a moment.
        self.queues.accept_later.clear();
        self.queues.accept = (0..listeners.len() as u32).collect();
        self.listeners = listeners;
        result
    }

    fn check_maxclients(&self, before: &Config) -> Result<(), Reason> {
        if self.config.maxclients <= before.maxclients {
            return Ok(());
        }
        host::raise_open_files(self.config.maxclients)
            .map(|_| ())
            .map_err(|(limit, _)| {
                let possible = limit.saturating_sub(host::RESERVED_FDS);
                Reason::Os(format!(
                    "The operating system is not able to handle the specified number of clients, try with {possible}"
                ))
            })
    }

    fn check_maxmemory(&mut self) {
        let (limit, used) = (self.config.maxmemory, self.used_memory());
        if limit == 0 {
            return;
        }
        if (limit as usize) < used {
            log::warn!(
                "WARNING: the new maxmemory value set via CONFIG SET ({limit}) is smaller than the current memory usage ({used}). This will result in key eviction and/or the inability to accept new write commands depending on the maxmemory-policy."
            );
        }
        // The end of the turn evicts: not in the middle of a transaction, nor twice.
        self.settings_changed();
    }

    fn change_directory(&self, before: &Config) -> Result<(), Reason> {
        if self.config.dir == before.dir {
            return Ok(());
        }
        std::env::set_current_dir(self.config.dir.as_path())
            .map_err(|e| Reason::Os(host::os_text(&e)))
    }

    fn write_oom_score(&mut self) -> Result<(), Reason> {
        if self.host.oom.write(&self.config, OomRole::Master) {
            return Ok(());
        }
        Err(Reason::Text(
            "Failed to set current oom_score_adj. Check server logs.",
        ))
    }

    /// CONFIG RESETSTAT: every counter starts again; the memory peak stays.
    pub fn reset_statistics(&mut self) {
        let s = &self.stats;
        self.stats = super::stats::ServerStats {
            peak_memory: s.peak_memory,
            peak_memory_s: s.peak_memory_s,
            rss: s.rss,
            startup_memory: s.startup_memory,
            startup_vms: s.startup_vms,
            ..Default::default()
        };
        self.ks.stats = Default::default();
        self.ks.lazy.reset_freed();
        self.errors.clear();
        let m = &mut self.master;
        (m.sync_full, m.sync_partial_ok, m.sync_partial_err) = (0, 0, 0);
        m.net_out = 0;
        self.acl.log.denied = Default::default();
        self.command_stats.fill_with(Default::default);
        self.stages.reset();
        self.defrag.reset();
    }
}
