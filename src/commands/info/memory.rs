//! The Memory section.

use super::{Around, Lines, human, percent};
use crate::config::Choice;
use crate::sys::{alloc, process};

pub(super) fn memory(l: &mut Lines, a: &Around<'_>) {
    let s = a.server;
    let used = s.used_memory() as u64;
    // The peak is noted by cron; what is above it now is the new one.
    let peak = (s.stats.peak_memory as u64).max(used);
    let rss = process::resident_bytes() as u64;
    let startup = s.stats.startup_memory as u64;
    let clients: u64 = a.clients().map(|c| c.mem_bytes() as u64).sum();
    let overhead = startup + clients + s.keyspace_overhead() as u64;
    let dataset = used.saturating_sub(overhead);
    l.bytes("used_memory", used);
    l.bytes("used_memory_rss", rss);
    l.bytes("used_memory_peak", peak);
    l.put("used_memory_peak_time", s.stats.peak_memory_s);
    l.put("used_memory_peak_perc", percent(used as f64, peak as f64));
    l.put("used_memory_overhead", overhead);
    l.put("used_memory_startup", startup);
    l.put("used_memory_dataset", dataset);
    let net = used.saturating_sub(startup);
    l.put(
        "used_memory_dataset_perc",
        percent(dataset as f64, net as f64),
    );
    let je = alloc::stats();
    l.put("allocator_allocated", je.allocated);
    l.put("allocator_active", je.active);
    l.put("allocator_resident", je.resident);
    l.put("allocator_muzzy", je.muzzy);
    l.bytes("total_system_memory", process::total_memory_bytes());
    scripts(l);
    l.bytes("maxmemory", s.config.maxmemory);
    l.put("maxmemory_policy", s.config.maxmemory_policy.name());
    fragmentation(l, &je, rss, used);
    l.put("mem_not_counted_for_evict", s.memory_not_counted());
    l.put("mem_replication_backlog", 0);
    l.put("mem_total_replication_buffers", 0);
    l.put("mem_replica_full_sync_buffer", 0);
    l.put("mem_clients_slaves", 0);
    l.put("mem_clients_normal", clients);
    l.put("mem_cluster_links", 0);
    l.put("mem_aof_buffer", 0);
    l.put("mem_allocator", alloc::version());
    l.put("mem_overhead_db_hashtable_rehashing", 0);
    l.put("active_defrag_running", 0);
    l.put("lazyfree_pending_objects", s.ks.lazy.pending());
    l.put("lazyfreed_objects", s.ks.lazy.freed());
}

/// Scripts have no room yet: nothing is used for them.
fn scripts(l: &mut Lines) {
    l.put("used_memory_lua", 0);
    l.put("used_memory_vm_eval", 0);
    l.put("used_memory_lua_human", human(0));
    l.put("used_memory_scripts_eval", 0);
    l.put("number_of_cached_scripts", 0);
    l.put("number_of_functions", 0);
    l.put("number_of_libraries", 0);
    l.put("used_memory_vm_functions", 0);
    l.bytes("used_memory_vm_total", 0);
    l.put("used_memory_functions", 0);
    l.bytes("used_memory_scripts", 0);
}

fn fragmentation(l: &mut Lines, je: &alloc::AllocStats, rss: u64, used: u64) {
    let ratio = |a: usize, b: usize| a as f64 / b.max(1) as f64;
    let signed = |a: u64, b: u64| a as i64 - b as i64;
    l.raw(format_args!(
        "allocator_frag_ratio:{:.2}",
        ratio(je.active, je.allocated)
    ));
    l.put(
        "allocator_frag_bytes",
        signed(je.active as u64, je.allocated as u64),
    );
    l.raw(format_args!(
        "allocator_rss_ratio:{:.2}",
        ratio(je.resident, je.active)
    ));
    l.put(
        "allocator_rss_bytes",
        signed(je.resident as u64, je.active as u64),
    );
    l.raw(format_args!(
        "rss_overhead_ratio:{:.2}",
        ratio(rss as usize, je.resident)
    ));
    l.put("rss_overhead_bytes", signed(rss, je.resident as u64));
    l.raw(format_args!(
        "mem_fragmentation_ratio:{:.2}",
        ratio(rss as usize, used as usize)
    ));
    l.put("mem_fragmentation_bytes", signed(rss, used));
}
