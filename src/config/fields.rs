//! The [`Config`]: a plain struct with one typed field per directive, and the value each has when nothing is configured.
//!
//! This is what the rest of the server reads: `config.port`, `config.maxmemory`. Names, spellings, bounds and how a text
//! becomes a value are the business of the rows (`rows/`), which reach the fields through accessors; the default stands here,
//! once, and the rows, CONFIG REWRITE and the tests take it from `Config::default()`.
//!
//! A new directive is one line here, one row in `rows/`, one paragraph in the top-level `redis.conf`.
use super::values::*;

macro_rules! config {
    ($($(#[$doc:meta])* $field:ident: $ty:ty = $default:expr,)+) => {
        /// Every setting of the server, typed. Cheap enough to clone for a CONFIG SET that may have to be rolled back.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config { $($(#[$doc])* pub $field: $ty,)+ }
        impl Default for Config {
            fn default() -> Self {
                Config { $($field: $default,)+ }
            }
        }
    };
}

const KB: u64 = 1024;
const MB: u64 = 1024 * KB;

config! {
    // Network.
    /// Addresses to listen on; a leading `-` makes an unavailable one no error, `*` and `::*` mean all. Empty: listen nowhere (TCP).
    bind: Vec<String> = vec!["*".into(), "-::*".into()],
    /// Local address of outgoing connections (replication, cluster bus); empty lets the system choose.
    bind_source_addr: Text = Text::default(),
    /// Refuse remote clients while there is no password.
    protected_mode: bool = true,
    /// Who may use DEBUG.
    enable_debug_command: EnableProtected = EnableProtected::No,
    /// Who may use MODULE.
    enable_module_command: EnableProtected = EnableProtected::No,
    /// Who may CONFIG SET protected settings (`dir`, `dbfilename`).
    enable_protected_configs: EnableProtected = EnableProtected::No,
    /// TCP port; 0 is none.
    port: u16 = 6379,
    /// TCP port of the metrics; 0 is none. Not upstream's.
    metrics_port: u16 = 0,
    /// Turns of the loop begin up to so long apart while many clients are at work, us.
    wakeup_coalescing_us: u32 = 100,
    /// Backlog of listening sockets.
    tcp_backlog: i32 = 511,
    /// Path of the unix socket; empty is none.
    unixsocket: Text = Text::default(),
    /// Mode of the unix socket, as a number (written in octal); 0 leaves it to the umask.
    unixsocketperm: u32 = 0,
    /// Seconds after which an idle client is closed; 0 is never.
    timeout: u32 = 0,
    /// Seconds between keepalive probes; 0 is off.
    tcp_keepalive: u32 = 300,
    /// Mark (SO_MARK and kin) set on listening sockets; 0 is none.
    socket_mark_id: u32 = 0,
    /// Most clients connected at once.
    maxclients: u32 = 10000,
    /// Connections accepted per listener and turn of the event loop.
    max_new_connections_per_cycle: u32 = 10,
    /// TLS connections accepted per listener and turn.
    max_new_tls_connections_per_cycle: u32 = 1,
    /// Threads for socket reads and writes.
    io_threads: u32 = 1,
    /// Longest bulk string a client may send, bytes.
    proto_max_bulk_len: u64 = 512 * MB,
    /// Longest query buffer of a client, bytes.
    client_query_buffer_limit: u64 = 1024 * MB,
    /// Output buffer limits: normal, replica, pubsub.
    client_output_buffer_limit: [OutputLimit; 3] = [
        OutputLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 },
        OutputLimit { hard_bytes: 256 * MB, soft_bytes: 64 * MB, soft_seconds: 60 },
        OutputLimit { hard_bytes: 32 * MB, soft_bytes: 8 * MB, soft_seconds: 60 },
    ],

    // TLS.
    /// TLS port; 0 is none.
    tls_port: u16 = 0,
    /// Size of the session cache, sessions.
    tls_session_cache_size: u32 = 20 * 1024,
    /// Seconds a cached session lives.
    tls_session_cache_timeout: u32 = 300,
    /// TLS on the cluster bus.
    tls_cluster: bool = false,
    /// TLS towards the master.
    tls_replication: bool = false,
    /// Whether clients present certificates.
    tls_auth_clients: TlsAuthClients = TlsAuthClients::Yes,
    /// Prefer the server's order of ciphers.
    tls_prefer_server_ciphers: bool = false,
    /// Keep sessions for resumption.
    tls_session_caching: bool = true,
    /// Certificate file, PEM.
    tls_cert_file: Text = Text::default(),
    /// Private key file, PEM.
    tls_key_file: Text = Text::default(),
    /// Pass phrase of the key file.
    tls_key_file_pass: Text = Text::default(),
    /// Certificate used when connecting to others.
    tls_client_cert_file: Text = Text::default(),
    /// Its private key.
    tls_client_key_file: Text = Text::default(),
    /// Its pass phrase.
    tls_client_key_file_pass: Text = Text::default(),
    /// Diffie-Hellman parameters file.
    tls_dh_params_file: Text = Text::default(),
    /// CA bundle file.
    tls_ca_cert_file: Text = Text::default(),
    /// CA directory.
    tls_ca_cert_dir: Text = Text::default(),
    /// Protocol versions, space separated; empty is the default set.
    tls_protocols: Text = Text::default(),
    /// Ciphers up to TLS 1.2.
    tls_ciphers: Text = Text::default(),
    /// Cipher suites of TLS 1.3.
    tls_ciphersuites: Text = Text::default(),

    // Process and logging.
    /// Go to the background.
    daemonize: bool = false,
    /// Who supervises.
    supervised: Supervised = Supervised::No,
    /// Where the process id is written; empty: only when daemonized, to the default path.
    pidfile: Text = Text::default(),
    /// Log level.
    loglevel: LogLevel = LogLevel::Notice,
    /// Log file; empty is standard output.
    logfile: Text = Text::default(),
    /// Log to syslog.
    syslog_enabled: bool = false,
    /// Name in syslog.
    syslog_ident: Text = "redis".into(),
    /// Facility in syslog.
    syslog_facility: SyslogFacility = SyslogFacility::Local0,
    /// Leave a report in the log when crashing.
    crash_log_enabled: bool = true,
    /// Test memory when crashing.
    crash_memcheck_enabled: bool = true,
    /// Keep user data out of the log.
    hide_user_data_from_log: bool = false,
    /// Databases, numbered from 0.
    databases: u32 = 16,
    /// Show the logo even when not on a terminal.
    always_show_logo: bool = false,
    /// Change the process title.
    set_proc_title: bool = true,
    /// Template of the title.
    proc_title_template: Text = "{title} {listen-addr} {server-mode}".into(),
    /// Locale of string comparison (SORT ALPHA); empty is the environment's.
    locale_collate: Text = Text::default(),
    /// Cron runs per second, 1 to 500.
    hz: u32 = 10,
    /// Raise hz with the number of clients.
    dynamic_hz: bool = true,
    /// CPUs of the main thread.
    server_cpulist: Text = Text::default(),
    /// CPUs of background threads.
    bio_cpulist: Text = Text::default(),
    /// CPUs of the AOF rewrite child.
    aof_rewrite_cpulist: Text = Text::default(),
    /// CPUs of the snapshot child.
    bgsave_cpulist: Text = Text::default(),
    /// Names of start-up warnings to leave out.
    ignore_warnings: Text = Text::default(),
    /// Adjust the OOM score.
    oom_score_adj: OomScoreAdj = OomScoreAdj::No,
    /// OOM score of master, replica and child.
    oom_score_adj_values: [i32; 3] = [0, 200, 800],
    /// Disable transparent huge pages for the process.
    disable_thp: bool = true,
    /// Let the allocator purge in a background thread.
    jemalloc_bg_thread: bool = true,
    /// Seconds to wait for replicas at shutdown.
    shutdown_timeout: u32 = 10,
    /// What SIGINT does.
    shutdown_on_sigint: ShutdownFlags = ShutdownFlags::empty(),
    /// What SIGTERM does.
    shutdown_on_sigterm: ShutdownFlags = ShutdownFlags::empty(),
    /// The Redis version reported to clients (INFO, HELLO), which gate features on it.
    redis_compat_version: Text = "8.2.3".into(),

    // Snapshots and the working directory.
    /// Save points; empty is none.
    save: Vec<SavePoint> = vec![
        SavePoint { seconds: 3600, changes: 1 },
        SavePoint { seconds: 300, changes: 100 },
        SavePoint { seconds: 60, changes: 10000 },
    ],
    /// Refuse writes after a failed snapshot.
    stop_writes_on_bgsave_error: bool = true,
    /// LZF-compress strings in RDB files.
    rdbcompression: bool = true,
    /// CRC-64 at the end of RDB files.
    rdbchecksum: bool = true,
    /// Deep checks of dump payloads.
    sanitize_dump_payload: SanitizeDump = SanitizeDump::No,
    /// Name of the RDB file, in `dir`.
    dbfilename: Text = "dump.rdb".into(),
    /// Remove RDB files made for replication when persistence is off.
    rdb_del_sync_files: bool = false,
    /// Working directory as last set; empty: the one the process was started in. CONFIG GET reports the current directory.
    dir: Text = Text::default(),
    /// fsync RDB files every few megabytes while writing.
    rdb_save_incremental_fsync: bool = true,

    // Append only file.
    /// Keep an append only file.
    appendonly: bool = false,
    /// Base name of its files.
    appendfilename: Text = "appendonly.aof".into(),
    /// Directory of its files, inside `dir`.
    appenddirname: Text = "appendonlydir".into(),
    /// When it is forced to disk.
    appendfsync: AppendFsync = AppendFsync::EverySec,
    /// Do not fsync while a child writes.
    no_appendfsync_on_rewrite: bool = false,
    /// Growth in percent that starts a rewrite; 0 is never.
    auto_aof_rewrite_percentage: u32 = 100,
    /// Size below which none is started, bytes.
    auto_aof_rewrite_min_size: u64 = 64 * MB,
    /// Load an AOF whose last command is cut off.
    aof_load_truncated: bool = true,
    /// Start rewritten files with an RDB part.
    aof_use_rdb_preamble: bool = true,
    /// Annotate the file with time stamps.
    aof_timestamp_enabled: bool = false,
    /// fsync the rewritten file every few megabytes.
    aof_rewrite_incremental_fsync: bool = true,

    // Memory.
    /// Limit of used memory in bytes; 0 is none.
    maxmemory: u64 = 0,
    /// What to evict.
    maxmemory_policy: EvictionPolicy = EvictionPolicy::NoEviction,
    /// Keys sampled per eviction.
    maxmemory_samples: u32 = 5,
    /// How long eviction may take, 0 to 100.
    maxmemory_eviction_tenacity: u32 = 10,
    /// Limit of the memory of all clients together.
    maxmemory_clients: BytesOrPercent = BytesOrPercent::Bytes(0),
    /// A replica leaves eviction to its master.
    replica_ignore_maxmemory: bool = true,
    /// Effort of the active expiry cycle, 1 to 10.
    active_expire_effort: u32 = 1,
    /// LFU: logarithmic factor of the counter.
    lfu_log_factor: u32 = 10,
    /// LFU: minutes after which the counter decays.
    lfu_decay_time: u32 = 1,
    /// Free evicted values in the background.
    lazyfree_lazy_eviction: bool = false,
    /// Free expired values in the background.
    lazyfree_lazy_expire: bool = false,
    /// Free overwritten values in the background.
    lazyfree_lazy_server_del: bool = false,
    /// A replica empties itself in the background before a full sync.
    replica_lazy_flush: bool = false,
    /// DEL acts as UNLINK.
    lazyfree_lazy_user_del: bool = false,
    /// FLUSHALL, FLUSHDB and their script forms without SYNC act as ASYNC.
    lazyfree_lazy_user_flush: bool = false,
    /// Rehash a little while idle (accepted, our tables need none).
    activerehashing: bool = true,
    /// Active defragmentation.
    activedefrag: bool = false,
    /// The same for what mass deletions leave behind (ours).
    compact_after_deletes: bool = true,
    /// Bytes of fragmentation below which none is done.
    active_defrag_ignore_bytes: u64 = 100 * MB,
    /// Percent of fragmentation that starts it.
    active_defrag_threshold_lower: u32 = 10,
    /// Percent of fragmentation at which the effort is greatest.
    active_defrag_threshold_upper: u32 = 100,
    /// Least CPU percentage.
    active_defrag_cycle_min: u32 = 1,
    /// Greatest CPU percentage.
    active_defrag_cycle_max: u32 = 25,
    /// Fields of a collection handled at once.
    active_defrag_max_scan_fields: u64 = 1000,
    /// Keys remembered for client side caching; 0 is no limit.
    tracking_table_max_keys: usize = 1_000_000,

    // Encodings.
    /// Most fields of a listpack hash.
    hash_max_listpack_entries: usize = 512,
    /// Longest field or value of a listpack hash, bytes.
    hash_max_listpack_value: usize = 64,
    /// Most entries (positive) or size class (-1 to -5) of a list node.
    list_max_listpack_size: i32 = -2,
    /// Nodes at each end of a list that stay uncompressed; 0 compresses none.
    list_compress_depth: u32 = 0,
    /// Most members of an intset.
    set_max_intset_entries: usize = 512,
    /// Most members of a listpack set.
    set_max_listpack_entries: usize = 128,
    /// Longest member of a listpack set, bytes.
    set_max_listpack_value: usize = 64,
    /// Most members of a listpack sorted set.
    zset_max_listpack_entries: usize = 128,
    /// Longest member of a listpack sorted set, bytes.
    zset_max_listpack_value: usize = 64,
    /// Longest sparse HyperLogLog, bytes.
    hll_sparse_max_bytes: usize = 3000,
    /// Most bytes of a stream node; 0 is no limit.
    stream_node_max_bytes: usize = 4096,
    /// Most entries of a stream node; 0 is no limit.
    stream_node_max_entries: u64 = 100,
    /// Vector sets run commands in the main thread (accepted).
    vset_force_single_threaded_execution: bool = false,

    // Replication.
    /// The master; none makes this server one.
    replicaof: Option<MasterAddr> = None,
    /// User at the master; empty is the default user.
    masteruser: Text = Text::default(),
    /// Password at the master; empty is none.
    masterauth: Text = Text::default(),
    /// Answer from old data while the link to the master is down.
    replica_serve_stale_data: bool = true,
    /// A replica takes no writes.
    replica_read_only: bool = true,
    /// Sync without a file.
    repl_diskless_sync: bool = true,
    /// Seconds to wait for more replicas before a diskless sync.
    repl_diskless_sync_delay: u32 = 5,
    /// Replicas that make the wait end; 0 is none.
    repl_diskless_sync_max_replicas: u32 = 0,
    /// How a replica loads.
    repl_diskless_load: DisklessLoad = DisklessLoad::Disabled,
    /// Seconds between PINGs to replicas.
    repl_ping_replica_period: u32 = 10,
    /// Seconds of silence after which a link is given up.
    repl_timeout: u32 = 60,
    /// Leave Nagle's algorithm on towards replicas.
    repl_disable_tcp_nodelay: bool = false,
    /// Bytes of the backlog.
    repl_backlog_size: u64 = MB,
    /// Seconds without replicas after which it is freed; 0 is never.
    repl_backlog_ttl: u64 = 3600,
    /// Priority for Sentinel; 0 is never promoted.
    replica_priority: u32 = 100,
    /// Sentinel lists this replica.
    replica_announced: bool = true,
    /// Address told to the master; empty is that of the connection.
    replica_announce_ip: Text = Text::default(),
    /// Port told to the master; 0 is `port`.
    replica_announce_port: u16 = 0,
    /// Replicas needed to take writes; 0 is off.
    min_replicas_to_write: u32 = 0,
    /// Seconds of lag within which a replica counts.
    min_replicas_max_lag: u32 = 10,
    /// Bytes a replica buffers during a full sync; 0 follows the replica output limit.
    replica_full_sync_buffer_limit: u64 = 0,
    /// A replica goes on when it cannot write to disk.
    replica_ignore_disk_write_errors: bool = false,
    /// What a failing replicated command means.
    propagation_error_behavior: PropagationError = PropagationError::Ignore,

    // Access.
    /// Password of the default user; empty is none.
    requirepass: Text = Text::default(),
    /// ACL file; empty: users come from the configuration.
    aclfile: Text = Text::default(),
    /// Entries of the ACL log.
    acllog_max_len: u64 = 128,
    /// Channel permissions of new users.
    acl_pubsub_default: AclPubsubDefault = AclPubsubDefault::ResetChannels,
    /// `user` lines: the words after `user`, one list per line, checked by the ACL room.
    user: Vec<Vec<Text>> = Vec::new(),
    /// `rename-command` lines, in order: old name, new name (empty removes the command).
    rename_command: Vec<(Text, Text)> = Vec::new(),

    // Scripts, events, observation.
    /// Milliseconds after which a script or module counts as slow.
    busy_reply_threshold: u64 = 5000,
    /// Keyspace events.
    notify_keyspace_events: NotifyFlags = NotifyFlags::empty(),
    /// Microseconds from which a command is logged as slow; negative is never, 0 is always.
    slowlog_log_slower_than: i64 = 10000,
    /// Entries of the slow log.
    slowlog_max_len: u64 = 128,
    /// Milliseconds from which an event counts for the latency monitor; 0 is off.
    latency_monitor_threshold: u64 = 0,
    /// Keep latency histograms per command.
    latency_tracking: bool = true,
    /// Percentiles INFO reports of them.
    latency_tracking_info_percentiles: Vec<f64> = vec![50.0, 99.0, 99.9],

    // Cluster.
    /// Cluster mode.
    cluster_enabled: bool = false,
    /// The file in which the node keeps its view.
    cluster_config_file: Text = "nodes.conf".into(),
    /// Milliseconds after which a node counts as failing.
    cluster_node_timeout: u64 = 15000,
    /// Port of the bus; 0 is `port` + 10000.
    cluster_port: u16 = 0,
    /// Factor of the node timeout beyond which a replica is too old to take over; 0 is never.
    cluster_replica_validity_factor: u32 = 10,
    /// Replicas a master keeps when one migrates.
    cluster_migration_barrier: u32 = 1,
    /// Replicas migrate to orphaned masters.
    cluster_allow_replica_migration: bool = true,
    /// Stop answering when slots are not covered.
    cluster_require_full_coverage: bool = true,
    /// A replica does not start failovers.
    cluster_replica_no_failover: bool = false,
    /// Answer reads while the cluster is down.
    cluster_allow_reads_when_down: bool = false,
    /// Answer shard Pub/Sub while the cluster is down.
    cluster_allow_pubsubshard_when_down: bool = true,
    /// Bytes of a link's send buffer; 0 is no limit.
    cluster_link_sendbuf_limit: u64 = 0,
    /// Host name told to the cluster.
    cluster_announce_hostname: Text = Text::default(),
    /// Name for people, in logs.
    cluster_announce_human_nodename: Text = Text::default(),
    /// Address told to the cluster; empty is detected.
    cluster_announce_ip: Text = Text::default(),
    /// Port told to the cluster; 0 is `port`.
    cluster_announce_port: u16 = 0,
    /// TLS port told to the cluster.
    cluster_announce_tls_port: u16 = 0,
    /// Bus port told to the cluster.
    cluster_announce_bus_port: u16 = 0,
    /// What clients are told as the endpoint.
    cluster_preferred_endpoint_type: EndpointType = EndpointType::Ip,
    /// Percent of commands checked for cluster compatibility.
    cluster_compatibility_sample_ratio: u32 = 0,
    /// Count per-slot statistics.
    cluster_slot_stats_enabled: bool = false,

    // For tests of servers: hidden from CONFIG GET *.
    /// Microseconds slept per key while loading; negative sleeps one microsecond per so many keys.
    key_load_delay: i64 = 0,
    /// Microseconds slept per key while saving; negative as above.
    rdb_key_save_delay: i64 = 0,
    /// Bytes loaded between two looks at the clients.
    loading_process_events_interval_bytes: u32 = 512 * 1024,
    /// Leave old append only files in place.
    aof_disable_auto_gc: bool = false,
    /// Lua functions that upstream removed.
    lua_enable_deprecated_api: bool = false,
    /// Commands of a batch whose keys are prefetched.
    prefetch_batch_max_size: u32 = 16,
    /// A second connection for the snapshot of a full sync.
    repl_rdb_channel: bool = true,
    /// A panic exits instead of aborting.
    use_exit_on_panic: bool = false,
    /// Milliseconds after which a stuck event loop is logged; 0 is off.
    watchdog_period: u32 = 0,

    // Sentinel.
    /// `sentinel` lines of a Sentinel's configuration: the words after `sentinel`, checked by the Sentinel room.
    sentinel: Vec<Vec<Text>> = Vec::new(),
}

impl Config {
    /// Whether the release named by `redis-compat-version` is older than this one: what changed its form then is told in the
    /// old form.
    pub fn compat_before(&self, major: u32, minor: u32) -> bool {
        let version = self.redis_compat_version.to_str_lossy();
        let mut parts = version
            .split('.')
            .map(|p| p.parse::<u32>().unwrap_or(u32::MAX));
        let named = (parts.next().unwrap_or(u32::MAX), parts.next().unwrap_or(0));
        named < (major, minor)
    }
}
