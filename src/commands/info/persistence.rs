//! The Persistence section.
//!
//! [`Figures`] is the seam for the rooms that save, load and rewrite: they fill it in `figures`; its default is a server that
//! never did any of it.

use super::{Around, Lines};
use crate::persist::aof::AofState;
use crate::server::{Server, ServerState};

/// What the Persistence section tells beside the dirty count. Times are Unix seconds, durations seconds (-1: none).
struct Figures {
    loading: bool,
    async_loading: bool,
    cow_bytes: [u64; 2],
    cow_age_s: i64,
    fork_percent: f64,
    keys_processed: u64,
    keys_total: u64,
    bgsave_running: bool,
    last_save_s: i64,
    last_bgsave_ok: bool,
    last_bgsave_took_s: i64,
    bgsave_running_s: i64,
    saves: u64,
    last_cow_bytes: u64,
    loaded: [u64; 2],
}

fn figures(server: &Server) -> Figures {
    let p = &server.persist;
    let child = p.child.as_ref();
    Figures {
        loading: server.state.contains(ServerState::LOADING),
        async_loading: server.state.contains(ServerState::ASYNC_LOADING),
        cow_bytes: child.map_or([0; 2], |c| [c.cow_peak, c.cow]),
        cow_age_s: child
            .and_then(|c| c.cow_at)
            .map_or(0, |at| at.elapsed().as_secs() as i64),
        fork_percent: child.map_or(0.0, |c| c.keys as f64 * 100.0 / c.keys_total.max(1) as f64),
        keys_processed: child.map_or(0, |c| c.keys),
        keys_total: child.map_or(0, |c| c.keys_total),
        bgsave_running: p.rdb_child(),
        last_save_s: p.last_save_s,
        last_bgsave_ok: p.last_bgsave_ok,
        last_bgsave_took_s: p.last_bgsave_time_s,
        bgsave_running_s: p.current_bgsave_time_s(server.clock.now_s()),
        saves: p.rdb_saves,
        last_cow_bytes: p.rdb_last_cow_size,
        loaded: [p.last_load_keys_expired, p.last_load_keys_loaded],
    }
}

pub(super) fn persistence(l: &mut Lines, a: &Around<'_>) {
    let f = figures(a.server);
    let word = |ok: bool| if ok { "ok" } else { "err" };
    l.put("loading", u8::from(f.loading));
    l.put("async_loading", u8::from(f.async_loading));
    l.put("current_cow_peak", f.cow_bytes[0]);
    l.put("current_cow_size", f.cow_bytes[1]);
    l.put("current_cow_size_age", f.cow_age_s);
    l.raw(format_args!("current_fork_perc:{:.2}", f.fork_percent));
    l.put("current_save_keys_processed", f.keys_processed);
    l.put("current_save_keys_total", f.keys_total);
    l.put("rdb_changes_since_last_save", a.server.ks.fx.dirty);
    l.put("rdb_bgsave_in_progress", u8::from(f.bgsave_running));
    l.put("rdb_last_save_time", f.last_save_s);
    l.put("rdb_last_bgsave_status", word(f.last_bgsave_ok));
    l.put("rdb_last_bgsave_time_sec", f.last_bgsave_took_s);
    l.put("rdb_current_bgsave_time_sec", f.bgsave_running_s);
    l.put("rdb_saves", f.saves);
    l.put("rdb_last_cow_size", f.last_cow_bytes);
    l.put("rdb_last_load_keys_expired", f.loaded[0]);
    l.put("rdb_last_load_keys_loaded", f.loaded[1]);
    let (p, now_s) = (&a.server.persist, a.server.clock.now_s());
    let aof = &p.aof;
    l.put("aof_enabled", u8::from(aof.state != AofState::Off));
    l.put("aof_rewrite_in_progress", u8::from(p.aof_child()));
    l.put("aof_rewrite_scheduled", u8::from(aof.rewrite_scheduled));
    l.put("aof_last_rewrite_time_sec", aof.last_rewrite_took_s);
    l.put(
        "aof_current_rewrite_time_sec",
        p.current_rewrite_time_s(now_s),
    );
    l.put("aof_last_bgrewrite_status", word(aof.last_rewrite_ok));
    l.put("aof_rewrites", aof.rewrites);
    l.put("aof_rewrites_consecutive_failures", aof.failures);
    l.put("aof_last_write_status", word(aof.error().is_none()));
    l.put("aof_last_cow_size", aof.last_cow_size);
    l.put("module_fork_in_progress", 0);
    l.put("module_fork_last_cow_size", 0);
    if aof.state != AofState::Off {
        l.put("aof_current_size", aof.size());
        l.put("aof_base_size", aof.base_size);
        l.put("aof_pending_rewrite", 0);
        l.put("aof_buffer_length", aof.log.buffered());
        l.put("aof_pending_bio_fsync", aof.syncer.syncing());
        l.put("aof_delayed_fsync", aof.log.delayed_fsync);
    }
    if let Some(loading) = &p.loading {
        l.put("loading_start_time", loading.started_s);
        l.put("loading_total_bytes", loading.total_bytes);
        l.put("loading_rdb_used_mem", loading.rdb_used_memory);
        l.put("loading_loaded_bytes", loading.loaded_bytes);
        l.raw(format_args!("loading_loaded_perc:{:.2}", loading.percent()));
        l.put("loading_eta_seconds", loading.eta_s(now_s));
    }
}
