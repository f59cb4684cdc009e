//! The Memory section.

use super::{Around, Lines, human};
use crate::config::Choice;
use crate::script::Scripts;
use crate::server::memory_report::{MemoryReport, difference, ratio};
use crate::sys::{alloc, process};

pub(super) fn memory(l: &mut Lines, a: &Around<'_>) {
    let s = a.server;
    let m = MemoryReport::of(s, a.client);
    l.bytes("used_memory", m.used as u64);
    l.bytes("used_memory_rss", m.rss as u64);
    l.bytes("used_memory_peak", m.peak as u64);
    l.put("used_memory_peak_time", s.stats.peak_memory_s);
    l.raw(format_args!(
        "used_memory_peak_perc:{:.2}%",
        m.peak_percent()
    ));
    l.put("used_memory_overhead", m.overhead());
    l.put("used_memory_startup", m.startup);
    l.put("used_memory_dataset", m.dataset());
    l.raw(format_args!(
        "used_memory_dataset_perc:{:.2}%",
        m.dataset_percent()
    ));
    l.put("allocator_allocated", m.allocator.allocated);
    l.put("allocator_active", m.allocator.active);
    l.put("allocator_resident", m.allocator.resident);
    l.put("allocator_muzzy", m.allocator.muzzy);
    l.bytes("total_system_memory", process::total_memory_bytes());
    scripts(l, &s.scripts);
    l.bytes("maxmemory", s.config.maxmemory);
    l.put("maxmemory_policy", s.config.maxmemory_policy.name());
    fragmentation(l, &m);
    l.put("mem_not_counted_for_evict", s.memory_not_counted());
    l.put("mem_replication_backlog", m.backlog);
    l.put("mem_total_replication_buffers", m.stream);
    l.put("mem_replica_full_sync_buffer", 0);
    l.put("mem_clients_slaves", m.replicas);
    l.put("mem_clients_normal", m.clients);
    l.put("mem_cluster_links", 0);
    l.put("mem_aof_buffer", m.aof_buffer);
    l.put("mem_allocator", alloc::version());
    l.put("mem_overhead_db_hashtable_rehashing", 0);
    l.put("active_defrag_running", s.defrag.percent);
    l.put("lazyfree_pending_objects", s.ks.lazy.pending());
    l.put("lazyfreed_objects", s.ks.lazy.freed());
}

/// The Lua states and what is kept beside them.
fn scripts(l: &mut Lines, scripts: &Scripts) {
    let (eval, functions) = scripts.vm_bytes();
    let (cached, libraries) = (scripts.cache.mem_bytes(), scripts.libraries.mem_bytes());
    let (library_count, function_count) = scripts.libraries.counts();
    l.put("used_memory_lua", eval);
    l.put("used_memory_vm_eval", eval);
    l.put("used_memory_lua_human", human(eval as u64));
    l.put("used_memory_scripts_eval", cached);
    l.put("number_of_cached_scripts", scripts.cache.len());
    l.put("number_of_functions", function_count);
    l.put("number_of_libraries", library_count);
    l.put("used_memory_vm_functions", functions);
    l.bytes("used_memory_vm_total", (eval + functions) as u64);
    l.put("used_memory_functions", libraries);
    l.bytes("used_memory_scripts", (cached + libraries) as u64);
}

fn fragmentation(l: &mut Lines, m: &MemoryReport) {
    let je = &m.allocator;
    let mut pair = |name: &str, a: usize, b: usize| {
        l.raw(format_args!("{name}_ratio:{:.2}", ratio(a, b)));
        l.put(&format!("{name}_bytes"), difference(a, b));
    };
    pair("allocator_frag", je.active, je.allocated);
    pair("allocator_rss", je.resident, je.active);
    pair("rss_overhead", m.rss, je.resident);
    pair("mem_fragmentation", m.rss, m.used);
}
