//! The types of configuration values that are more than a number, a boolean or a text.
//!
//! Every choice among names is an enum declared by [`choices!`], which keeps the variant and its spelling in one line; the
//! first spelling of a value is the one CONFIG GET and CONFIG REWRITE print, the further ones are accepted synonyms. The order of the lines is the order in which error messages list the names, so it follows 8.2.3.
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A configured byte string. Passwords, paths and names may hold any byte, hence not a `String`.
#[derive(Clone, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Text(Vec<u8>);

impl Text {
    /// The bytes as configured.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value as a file system path (bytes are taken as they are).
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The value as text for messages; bytes that are not UTF-8 are replaced.
    pub fn to_str_lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// True when unset: an empty text and an absent one are the same thing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Text {
    fn from(s: &str) -> Self {
        Text(s.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Text {
    fn from(s: &[u8]) -> Self {
        Text(s.to_vec())
    }
}

impl From<Vec<u8>> for Text {
    fn from(s: Vec<u8>) -> Self {
        Text(s)
    }
}

impl std::ops::Deref for Text {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// A type whose values are picked among fixed names.
pub trait Choice: Copy + PartialEq + 'static {
    /// Name and value, in the order in which messages list them; the first name of a value is the canonical one.
    const NAMES: &'static [(&'static str, Self)];

    /// The canonical name of the value.
    fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, v)| *v == self)
            .map_or("", |(n, _)| n)
    }

    /// The value named by `text`, ASCII case ignored.
    fn named(text: &[u8]) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(n, _)| n.as_bytes().eq_ignore_ascii_case(text))
            .map(|(_, v)| *v)
    }
}

macro_rules! choices {
    ($($(#[$doc:meta])* $ty:ident { $($(#[$vdoc:meta])* $variant:ident = $($name:literal)|+),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $ty { $($(#[$vdoc])* $variant),+ }
        impl Choice for $ty {
            const NAMES: &'static [(&'static str, Self)] = &[$($(($name, $ty::$variant)),+),+];
        }
    )+};
}

choices! {
    /// What happens to writes when `maxmemory` is reached.
    EvictionPolicy {
        /// Least recently used among keys with a time to live.
        VolatileLru = "volatile-lru",
        /// Least frequently used among keys with a time to live.
        VolatileLfu = "volatile-lfu",
        /// Any key with a time to live.
        VolatileRandom = "volatile-random",
        /// The key nearest to its expiry.
        VolatileTtl = "volatile-ttl",
        /// Least recently used of all keys.
        AllkeysLru = "allkeys-lru",
        /// Least frequently used of all keys.
        AllkeysLfu = "allkeys-lfu",
        /// Any key.
        AllkeysRandom = "allkeys-random",
        /// Nothing is evicted, writes that need memory fail.
        NoEviction = "noeviction",
    }
    /// When the append only file is forced to disk.
    AppendFsync {
        /// Once a second, by a background thread.
        EverySec = "everysec",
        /// Before the replies of the writes leave.
        Always = "always",
        /// Whenever the operating system likes.
        No = "no",
    }
    /// How much the log tells.
    LogLevel {
        /// Everything.
        Debug = "debug",
        /// Much, without being a mess.
        Verbose = "verbose",
        /// What an operator wants to know.
        Notice = "notice",
        /// Only what matters.
        Warning = "warning",
        /// Silence.
        Nothing = "nothing",
    }
    /// Who supervises the process.
    Supervised {
        /// upstart: stop once with SIGSTOP when ready.
        Upstart = "upstart",
        /// systemd: notify the socket in NOTIFY_SOCKET.
        Systemd = "systemd",
        /// Whichever the environment shows.
        Auto = "auto",
        /// Nobody.
        No = "no",
    }
    /// The facility of syslog messages.
    SyslogFacility {
        /// LOG_USER.
        User = "user",
        /// LOG_LOCAL0.
        Local0 = "local0",
        /// LOG_LOCAL1.
        Local1 = "local1",
        /// LOG_LOCAL2.
        Local2 = "local2",
        /// LOG_LOCAL3.
        Local3 = "local3",
        /// LOG_LOCAL4.
        Local4 = "local4",
        /// LOG_LOCAL5.
        Local5 = "local5",
        /// LOG_LOCAL6.
        Local6 = "local6",
        /// LOG_LOCAL7.
        Local7 = "local7",
    }
    /// How a replica loads a full sync that comes without a file.
    DisklessLoad {
        /// Write it to a file first, then load the file.
        Disabled = "disabled",
        /// Straight from the socket, when there is no data to lose.
        OnEmptyDb = "on-empty-db",
        /// Straight from the socket beside the old data, which comes back when the transfer fails.
        SwapDb = "swapdb",
    }
    /// Who may use a dangerous family of commands or settings.
    EnableProtected {
        /// Nobody.
        No = "no",
        /// Everybody.
        Yes = "yes",
        /// Connections from this host.
        Local = "local",
    }
    /// Which payloads are checked to the last entry.
    SanitizeDump {
        /// None: only the outer structure is checked.
        No = "no",
        /// RDB files and RESTORE.
        Yes = "yes",
        /// RESTORE by ordinary clients, not by a master link or while loading.
        Clients = "clients",
    }
    /// Whether TLS clients must present a certificate.
    TlsAuthClients {
        /// They need none.
        No = "no",
        /// They must.
        Yes = "yes",
        /// They may; if so it must be valid.
        Optional = "optional",
    }
    /// What a cluster node tells clients as its endpoint.
    EndpointType {
        /// The address.
        Ip = "ip",
        /// The announced host name.
        Hostname = "hostname",
        /// NULL: clients keep using the one they know.
        UnknownEndpoint = "unknown-endpoint",
    }
    /// What to do when a replicated or replayed command fails.
    PropagationError {
        /// Count and continue.
        Ignore = "ignore",
        /// Stop the server.
        Panic = "panic",
        /// Stop the server when it is a replica.
        PanicOnReplicas = "panic-on-replicas",
    }
    /// The Pub/Sub permissions of a new ACL user.
    AclPubsubDefault {
        /// Every channel.
        AllChannels = "allchannels",
        /// None.
        ResetChannels = "resetchannels",
    }
    /// How `oom-score-adj-values` are written to the kernel.
    OomScoreAdj {
        /// Not at all.
        No = "no",
        /// Relative to the value the process started with.
        Relative = "yes" | "relative",
        /// As they are.
        Absolute = "absolute",
    }
}

bitflags::bitflags! {
    /// What SIGTERM and SIGINT do; several words may be given. Empty means `default`: save if save points exist.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct ShutdownFlags: u8 {
        /// Save even without save points.
        const SAVE = 1;
        /// Do not save.
        const NOSAVE = 2;
        /// Do not wait for replicas.
        const NOW = 4;
        /// Exit even when saving failed.
        const FORCE = 8;
    }
}

bitflags::bitflags! {
    /// Keyspace event classes, as the letters of `notify-keyspace-events`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct NotifyFlags: u32 {
        /// `K`: publish on `__keyspace@db__:key`.
        const KEYSPACE = 1;
        /// `E`: publish on `__keyevent@db__:event`.
        const KEYEVENT = 1 << 1;
        /// `g`: DEL, EXPIRE, RENAME and other type-less events.
        const GENERIC = 1 << 2;
        /// `$`: strings.
        const STRING = 1 << 3;
        /// `l`: lists.
        const LIST = 1 << 4;
        /// `s`: sets.
        const SET = 1 << 5;
        /// `h`: hashes.
        const HASH = 1 << 6;
        /// `z`: sorted sets.
        const ZSET = 1 << 7;
        /// `x`: expired keys.
        const EXPIRED = 1 << 8;
        /// `e`: evicted keys.
        const EVICTED = 1 << 9;
        /// `t`: streams.
        const STREAM = 1 << 10;
        /// `m`: a key that was looked up is missing (not part of `A`).
        const KEY_MISS = 1 << 11;
        /// `d`: module types.
        const MODULE = 1 << 13;
        /// `n`: new keys (not part of `A`).
        const NEW = 1 << 14;
        /// `o`: a value was overwritten (not part of `A`).
        const OVERWRITTEN = 1 << 15;
        /// `c`: a key changed its type (not part of `A`).
        const TYPE_CHANGED = 1 << 16;
        /// `A`: all classes but `m`, `n`, `o` and `c`.
        const ALL = Self::GENERIC.bits() | Self::STRING.bits() | Self::LIST.bits() | Self::SET.bits() | Self::HASH.bits()
            | Self::ZSET.bits() | Self::EXPIRED.bits() | Self::EVICTED.bits() | Self::STREAM.bits() | Self::MODULE.bits();
    }
}

/// One `save` point: a snapshot is due when both are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds since the last good save, at least 1.
    pub seconds: u64,
    /// Changes since then, at least 0.
    pub changes: u64,
}

/// One class of `client-output-buffer-limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputLimit {
    /// Bytes at which the client is closed at once; 0 is no limit.
    pub hard_bytes: u64,
    /// Bytes that may not be exceeded for `soft_seconds`; 0 is no limit.
    pub soft_bytes: u64,
    /// Seconds of patience with `soft_bytes`.
    pub soft_seconds: u64,
}

/// A size given in bytes or as a share of `maxmemory` (`maxmemory-clients`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BytesOrPercent {
    /// Bytes; 0 is no limit.
    Bytes(u64),
    /// Percent of `maxmemory`, 1 to 100 when it came through CONFIG SET or a file.
    Percent(u64),
}

impl BytesOrPercent {
    /// The limit in bytes under this `maxmemory`; 0 means none. A percentage of no `maxmemory` is no limit.
    pub fn bytes(self, maxmemory: u64) -> u64 {
        match self {
            BytesOrPercent::Bytes(n) => n,
            BytesOrPercent::Percent(p) => {
                (u128::from(maxmemory) * u128::from(p) / 100).min(u128::from(u64::MAX)) as u64
            }
        }
    }
}

/// The master named by `replicaof`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterAddr {
    /// Host name or address.
    pub host: Text,
    /// TCP port.
    pub port: u16,
}

impl EvictionPolicy {
    /// Whether the access clocks count frequency (LFU) rather than recency.
    #[inline]
    pub fn is_lfu(self) -> bool {
        matches!(
            self,
            EvictionPolicy::VolatileLfu | EvictionPolicy::AllkeysLfu
        )
    }

    /// Whether the access clocks decide, as times of last use.
    #[inline]
    pub fn is_lru(self) -> bool {
        matches!(
            self,
            EvictionPolicy::VolatileLru | EvictionPolicy::AllkeysLru
        )
    }

    /// Whether only keys with a time to live are evicted.
    pub fn is_volatile(self) -> bool {
        matches!(
            self,
            EvictionPolicy::VolatileLru
                | EvictionPolicy::VolatileLfu
                | EvictionPolicy::VolatileRandom
                | EvictionPolicy::VolatileTtl
        )
    }
}
