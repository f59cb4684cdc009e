//! The command row: everything the server knows of a command except its code, as one `static` beside the function.
//!
//! A row reads like what COMMAND and COMMAND DOCS answer about the command, because both are derived from it:
//!
//! ```ignore
//! pub static SET: Command = Command {
//!     name: "set",
//!     handler: set,
//!     arity: -3,
//!     flags: flags("write denyoom"),
//!     acl: acl("string"),
//!     keys: &[KeySpec::at(1, "RW access update variable_flags").notes("GET also reads the old value")],
//!     key_func: Some(set_keys),
//!     group: Group::String,
//!     since: "1.0.0",
//!     complexity: "O(1)",
//!     summary: "Stores a string under a key, whatever the key held before.",
//!     args: "key@0 value [condition(NX | XX)]{2.6.12} [GET]{6.2.0} ...",
//!     ..Command::DEFAULT
//! };
//! ```
//!
//! Words (`flags`, `acl`, the flags of a key spec) are the protocol's own words, turned into bits while compiling: a
//! misspelt word does not build. What follows from something else is not written: the categories implied by flags
//! ([`Command::categories`]), `movablekeys` ([`Command::reply_flags`]), and the legacy first/last/step triple.
//!
//! Rows are `static`, never `const`: a row's address is its identity in the registry. A container command (CONFIG) has no
//! handler of its own and lists its subcommand rows, whose names are written in full (`config|get`).
//!
//! Extending: a new flag or category is one line in the tables below; a new fact of a row is a field here, its default in
//! [`Command::DEFAULT`], and its line in `commands/introspect`.

use super::keys::KeyFunc;
use super::{Ctx, Outcome};
use bitflags::bitflags;

/// What runs a command. The reply goes through the context; the outcome says how to go on.
pub type Handler = fn(&mut Ctx<'_>) -> Outcome;

/// One command or subcommand. See the file header for how a row is written.
pub struct Command {
    /// Lower case; a subcommand's is written in full: `config|get`.
    pub name: &'static str,
    /// The function that runs it; left at the default for a pure container.
    pub handler: Handler,
    /// Number of arguments counting the command's own words: exact if positive, at least `-arity` if negative.
    pub arity: i32,
    /// Written flags; see [`Command::reply_flags`] for those reported.
    pub flags: CommandFlags,
    /// Written ACL categories; see [`Command::categories`] for the whole set.
    pub acl: AclCategories,
    /// Where the keys are, in the order COMMAND INFO reports.
    pub keys: &'static [KeySpec],
    /// Finds the keys where the specs cannot (`incomplete`, `variable_flags` or unknown searches).
    pub key_func: Option<KeyFunc>,
    /// The argument that names the first element (member, field) of the collection at key 1 that is looked up, whatever the
    /// other arguments are; 0: none. What can be prefetched unseen.
    pub element: u8,
    /// The family in the documentation.
    pub group: Group,
    /// Version that introduced it; empty for internal commands, which report none.
    pub since: &'static str,
    /// Cost in O() notation; empty when none is reported.
    pub complexity: &'static str,
    /// One short sentence.
    pub summary: &'static str,
    /// Version that deprecated it, or empty.
    pub deprecated_since: &'static str,
    /// What to use instead when deprecated, or empty.
    pub replaced_by: &'static str,
    /// An internal command of the server (`doc_flags: syscmd`).
    pub syscmd: bool,
    /// What changed in which version: `(version, change)`.
    pub history: &'static [(&'static str, &'static str)],
    /// Hints for clients and proxies (`request_policy:all_shards`).
    pub tips: &'static [&'static str],
    /// The argument tree, in the grammar of `args_grammar.rs`.
    pub args: &'static str,
    /// Rows of the subcommands of a container.
    pub subcommands: &'static [&'static Command],
}

impl Command {
    /// What a row leaves unsaid.
    pub const DEFAULT: Command = Command {
        name: "",
        handler: container,
        arity: -2,
        flags: CommandFlags::empty(),
        acl: AclCategories::empty(),
        keys: &[],
        key_func: None,
        element: 0,
        group: Group::Generic,
        since: "",
        complexity: "",
        summary: "",
        deprecated_since: "",
        replaced_by: "",
        syscmd: false,
        history: &[],
        tips: &[],
        args: "",
        subcommands: &[],
    };

    /// Whether `argc` arguments (the command's own words included) suit the arity.
    #[inline]
    pub const fn arity_fits(&self, argc: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity >= 0 {
            argc == wanted
        } else {
            argc >= wanted
        }
    }

    /// The part after `|` for a subcommand, else the whole name.
    pub fn last_word(&self) -> &'static str {
        self.name.rsplit('|').next().unwrap_or(self.name)
    }

    /// Whether it only exists to hold subcommands. COMMAND is no pure container: its handler answers without one.
    pub const fn has_subcommands(&self) -> bool {
        !self.subcommands.is_empty()
    }

    /// Flags as COMMAND reports them: the written ones plus `movablekeys` where the legacy triple does not tell all keys.
    pub fn reply_flags(&self) -> CommandFlags {
        if self.legacy_range().movable {
            self.flags | CommandFlags::MOVABLEKEYS
        } else {
            self.flags
        }
    }

    /// Every ACL category it belongs to: the written ones plus those its flags imply.
    pub const fn categories(&self) -> AclCategories {
        use CommandFlags as F;
        let mut all = self.acl;
        if self.flags.contains(F::WRITE) {
            all = all.union(AclCategories::WRITE);
        }
        // Compat: a read-only script runner (EVAL_RO, FCALL_RO) reads through its script, so upstream leaves it out of @read.
        if self.flags.contains(F::READONLY) && !self.acl.contains(AclCategories::SCRIPTING) {
            all = all.union(AclCategories::READ);
        }
        if self.flags.contains(F::ADMIN) {
            all = all
                .union(AclCategories::ADMIN)
                .union(AclCategories::DANGEROUS);
        }
        if self.flags.contains(F::PUBSUB) {
            all = all.union(AclCategories::PUBSUB);
        }
        if self.flags.contains(F::BLOCKING) {
            all = all.union(AclCategories::BLOCKING);
        }
        all.union(if self.flags.contains(F::FAST) {
            AclCategories::FAST
        } else {
            AclCategories::SLOW
        })
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Command({})", self.name)
    }
}

/// The default handler. A container is never called: its subcommand is looked up, or the lookup fails, before.
fn container(_: &mut Ctx<'_>) -> Outcome {
    unreachable!("a container command has no code of its own")
}

bitflags! {
    /// What kind of command it is; the bits follow the order of the COMMAND reply.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct CommandFlags: u32 {
        /// May change the dataset.
        const WRITE = 1 << 0;
        /// Reads keys, never changes them.
        const READONLY = 1 << 1;
        /// May use more memory: refused when over `maxmemory`.
        const DENYOOM = 1 << 2;
        /// Provided by a module.
        const MODULE = 1 << 3;
        /// Operates on the server rather than on data.
        const ADMIN = 1 << 4;
        /// Concerns Pub/Sub.
        const PUBSUB = 1 << 5;
        /// Not callable from scripts.
        const NOSCRIPT = 1 << 6;
        /// May park the client.
        const BLOCKING = 1 << 7;
        /// Allowed while the dataset is loading.
        const LOADING = 1 << 8;
        /// Allowed on a replica that lost its master and must not serve stale data.
        const STALE = 1 << 9;
        /// Not shown to MONITOR.
        const SKIP_MONITOR = 1 << 10;
        /// Not entered in the slow log.
        const SKIP_SLOWLOG = 1 << 11;
        /// Implies ASKING in cluster mode.
        const ASKING = 1 << 12;
        /// O(1) or O(log N), never delays the loop.
        const FAST = 1 << 13;
        /// Allowed before AUTH.
        const NO_AUTH = 1 << 14;
        /// Not a write, but may end up in the replication stream (PUBLISH, EVAL, PFCOUNT). Not reported.
        const MAY_REPLICATE = 1 << 15;
        /// Allowed only as far as `enable-debug-command` or `enable-module-command` says. Not reported.
        const PROTECTED = 1 << 16;
        /// Key specs may match no key (EVAL with numkeys 0).
        const NO_MANDATORY_KEYS = 1 << 17;
        /// Refused while a full sync loads into a side copy (`async loading`).
        const NO_ASYNC_LOADING = 1 << 18;
        /// Refused inside MULTI.
        const NO_MULTI = 1 << 19;
        /// The legacy first/last/step triple does not tell all keys. Derived, never written.
        const MOVABLEKEYS = 1 << 20;
        /// Allowed while a script runs past its time limit.
        const ALLOW_BUSY = 1 << 21;
        /// May expire keys it does not name (SCAN, RANDOMKEY), so those deletions are propagated one by one and not wrapped
        /// in MULTI, which could span slots. Not reported.
        const TOUCHES_ARBITRARY_KEYS = 1 << 22;
    }

    /// ACL categories, in the order of ACL CAT.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct AclCategories: u32 {
        /// `@keyspace`
        const KEYSPACE = 1 << 0;
        /// `@read`
        const READ = 1 << 1;
        /// `@write`
        const WRITE = 1 << 2;
        /// `@set`
        const SET = 1 << 3;
        /// `@sortedset`
        const SORTEDSET = 1 << 4;
        /// `@list`
        const LIST = 1 << 5;
        /// `@hash`
        const HASH = 1 << 6;
        /// `@string`
        const STRING = 1 << 7;
        /// `@bitmap`
        const BITMAP = 1 << 8;
        /// `@hyperloglog`
        const HYPERLOGLOG = 1 << 9;
        /// `@geo`
        const GEO = 1 << 10;
        /// `@stream`
        const STREAM = 1 << 11;
        /// `@pubsub`
        const PUBSUB = 1 << 12;
        /// `@admin`
        const ADMIN = 1 << 13;
        /// `@fast`
        const FAST = 1 << 14;
        /// `@slow`
        const SLOW = 1 << 15;
        /// `@blocking`
        const BLOCKING = 1 << 16;
        /// `@dangerous`
        const DANGEROUS = 1 << 17;
        /// `@connection`
        const CONNECTION = 1 << 18;
        /// `@transaction`
        const TRANSACTION = 1 << 19;
        /// `@scripting`
        const SCRIPTING = 1 << 20;
    }

    /// What a command does to the keys of a spec. One of RO, RW, OW, RM; then what it does to the value; then caveats.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct KeyFlags: u16 {
        /// Reads the value (or its metadata).
        const RO = 1 << 0;
        /// Changes the value depending on what it was.
        const RW = 1 << 1;
        /// Overwrites the value whatever it was.
        const OW = 1 << 2;
        /// Removes the key.
        const RM = 1 << 3;
        /// User data of the value reaches the client or another key.
        const ACCESS = 1 << 4;
        /// Changes user data, possibly depending on it.
        const UPDATE = 1 << 5;
        /// Adds user data, cannot change or remove any.
        const INSERT = 1 << 6;
        /// Explicitly removes user data.
        const DELETE = 1 << 7;
        /// Routed like a key, but names something else (a shard channel).
        const NOT_KEY = 1 << 8;
        /// The spec does not find all the keys.
        const INCOMPLETE = 1 << 9;
        /// The flags depend on the arguments: ask `key_func`.
        const VARIABLE_FLAGS = 1 << 10;
    }
}

/// Names of the flags COMMAND reports, in its order.
pub const FLAG_NAMES: &[(&str, u32)] = &[
    ("write", CommandFlags::WRITE.bits()),
    ("readonly", CommandFlags::READONLY.bits()),
    ("denyoom", CommandFlags::DENYOOM.bits()),
    ("module", CommandFlags::MODULE.bits()),
    ("admin", CommandFlags::ADMIN.bits()),
    ("pubsub", CommandFlags::PUBSUB.bits()),
    ("noscript", CommandFlags::NOSCRIPT.bits()),
    ("blocking", CommandFlags::BLOCKING.bits()),
    ("loading", CommandFlags::LOADING.bits()),
    ("stale", CommandFlags::STALE.bits()),
    ("skip_monitor", CommandFlags::SKIP_MONITOR.bits()),
    ("skip_slowlog", CommandFlags::SKIP_SLOWLOG.bits()),
    ("asking", CommandFlags::ASKING.bits()),
    ("fast", CommandFlags::FAST.bits()),
    ("no_auth", CommandFlags::NO_AUTH.bits()),
    ("no_mandatory_keys", CommandFlags::NO_MANDATORY_KEYS.bits()),
    ("no_async_loading", CommandFlags::NO_ASYNC_LOADING.bits()),
    ("no_multi", CommandFlags::NO_MULTI.bits()),
    ("movablekeys", CommandFlags::MOVABLEKEYS.bits()),
    ("allow_busy", CommandFlags::ALLOW_BUSY.bits()),
];

/// Flags a row may carry that COMMAND does not report.
const HIDDEN_FLAG_NAMES: &[(&str, u32)] = &[
    ("may_replicate", CommandFlags::MAY_REPLICATE.bits()),
    ("protected", CommandFlags::PROTECTED.bits()),
    (
        "touches_arbitrary_keys",
        CommandFlags::TOUCHES_ARBITRARY_KEYS.bits(),
    ),
];

/// Category names without `@`, in the order of ACL CAT and of COMMAND.
pub const CATEGORY_NAMES: &[(&str, u32)] = &[
    ("keyspace", AclCategories::KEYSPACE.bits()),
    ("read", AclCategories::READ.bits()),
    ("write", AclCategories::WRITE.bits()),
    ("set", AclCategories::SET.bits()),
    ("sortedset", AclCategories::SORTEDSET.bits()),
    ("list", AclCategories::LIST.bits()),
    ("hash", AclCategories::HASH.bits()),
    ("string", AclCategories::STRING.bits()),
    ("bitmap", AclCategories::BITMAP.bits()),
    ("hyperloglog", AclCategories::HYPERLOGLOG.bits()),
    ("geo", AclCategories::GEO.bits()),
    ("stream", AclCategories::STREAM.bits()),
    ("pubsub", AclCategories::PUBSUB.bits()),
    ("admin", AclCategories::ADMIN.bits()),
    ("fast", AclCategories::FAST.bits()),
    ("slow", AclCategories::SLOW.bits()),
    ("blocking", AclCategories::BLOCKING.bits()),
    ("dangerous", AclCategories::DANGEROUS.bits()),
    ("connection", AclCategories::CONNECTION.bits()),
    ("transaction", AclCategories::TRANSACTION.bits()),
    ("scripting", AclCategories::SCRIPTING.bits()),
];

/// Names of the key flags, in the order COMMAND reports them.
pub const KEY_FLAG_NAMES: &[(&str, u32)] = &[
    ("RO", KeyFlags::RO.bits() as u32),
    ("RW", KeyFlags::RW.bits() as u32),
    ("OW", KeyFlags::OW.bits() as u32),
    ("RM", KeyFlags::RM.bits() as u32),
    ("access", KeyFlags::ACCESS.bits() as u32),
    ("update", KeyFlags::UPDATE.bits() as u32),
    ("insert", KeyFlags::INSERT.bits() as u32),
    ("delete", KeyFlags::DELETE.bits() as u32),
    ("not_key", KeyFlags::NOT_KEY.bits() as u32),
    ("incomplete", KeyFlags::INCOMPLETE.bits() as u32),
    ("variable_flags", KeyFlags::VARIABLE_FLAGS.bits() as u32),
];

/// The names of the bits set in `bits`, in table order.
pub fn names_of(
    table: &'static [(&'static str, u32)],
    bits: u32,
) -> impl Iterator<Item = &'static str> + Clone {
    table
        .iter()
        .filter(move |(_, bit)| bits & bit != 0)
        .map(|(name, _)| *name)
}

/// Flags from their words: `flags("readonly fast")`. Meant for rows: an unknown word stops the build.
pub const fn flags(words: &str) -> CommandFlags {
    CommandFlags::from_bits_retain(bits_of(&[FLAG_NAMES, HIDDEN_FLAG_NAMES], words))
}

/// ACL categories from their words, without `@`. Meant for rows.
pub const fn acl(words: &str) -> AclCategories {
    AclCategories::from_bits_retain(bits_of(&[CATEGORY_NAMES], words))
}

/// Key flags from their words. Meant for key specs.
pub const fn key_flags(words: &str) -> KeyFlags {
    KeyFlags::from_bits_retain(bits_of(&[KEY_FLAG_NAMES], words) as u16)
}

/// The union of the bits of space separated words.
const fn bits_of(tables: &[&[(&str, u32)]], words: &str) -> u32 {
    let text = words.as_bytes();
    let (mut bits, mut start) = (0, 0);
    while start < text.len() {
        let mut end = start;
        while end < text.len() && text[end] != b' ' {
            end += 1;
        }
        bits |= bit_of(tables, text, start, end);
        start = end + 1;
    }
    bits
}

/// The bit of the word `text[start..end]`.
const fn bit_of(tables: &[&[(&str, u32)]], text: &[u8], start: usize, end: usize) -> u32 {
    let mut t = 0;
    while t < tables.len() {
        let mut i = 0;
        while i < tables[t].len() {
            if same(tables[t][i].0.as_bytes(), text, start, end) {
                return tables[t][i].1;
            }
            i += 1;
        }
        t += 1;
    }
    panic!("unknown word in a command row")
}

/// Whether `text[start..end]` is `name` (slices cannot be compared while compiling).
const fn same(name: &[u8], text: &[u8], start: usize, end: usize) -> bool {
    if name.len() != end - start {
        return false;
    }
    let mut i = 0;
    while i < name.len() {
        if name[i] != text[start + i] {
            return false;
        }
        i += 1;
    }
    true
}

/// The documentation family of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "each is the family of its name")]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Pubsub,
    Transactions,
    Connection,
    Server,
    Scripting,
    Hyperloglog,
    Cluster,
    Sentinel,
    Geo,
    Stream,
    Bitmap,
    Module,
}

impl Group {
    /// The name COMMAND DOCS gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::Pubsub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Scripting => "scripting",
            Group::Hyperloglog => "hyperloglog",
            Group::Cluster => "cluster",
            Group::Sentinel => "sentinel",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
            Group::Module => "module",
        }
    }
}

/// Where some of a command's keys are and what happens to them: where to begin, then how to go on from there.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// What the command does to these keys.
    pub flags: KeyFlags,
    /// Where the search begins.
    pub begin: BeginSearch,
    /// Which arguments from there on are keys.
    pub find: FindKeys,
    /// A remark reported by COMMAND INFO, or empty.
    pub notes: &'static str,
}

/// Where the search for keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginSearch {
    /// At a fixed argument.
    Index(i32),
    /// After the first argument equal to `keyword` (any case), searched from `start_from`; a negative one counts from the
    /// end and searches backwards.
    Keyword {
        /// The word, upper case.
        keyword: &'static str,
        /// First argument looked at.
        start_from: i32,
    },
    /// The specs cannot tell.
    Unknown,
}

/// Which arguments are keys, counted from the beginning of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindKeys {
    /// Every `step`-th argument up to `last_key`, which is relative to the beginning, or to the end if negative.
    Range {
        /// Last key, 0 being the first argument of the search, -1 the last of the command.
        last_key: i32,
        /// Distance of two keys.
        step: i32,
        /// With `last_key` -1: stop after a `limit`-th part of the remaining arguments; 0 and 1 mean no limit.
        limit: i32,
    },
    /// An argument tells how many keys follow.
    KeyNum {
        /// Where the number is.
        num_idx: i32,
        /// Where the first key is.
        first_key: i32,
        /// Distance of two keys.
        step: i32,
    },
    /// The specs cannot tell.
    Unknown,
}

impl KeySpec {
    /// One key at argument `index` (the command's name is 0); `words` are its flags: `KeySpec::at(1, "RO access")`.
    pub const fn at(index: i32, words: &str) -> KeySpec {
        KeySpec {
            flags: key_flags(words),
            begin: BeginSearch::Index(index),
            find: FindKeys::Range {
                last_key: 0,
                step: 1,
                limit: 0,
            },
            notes: "",
        }
    }

    /// One key after `keyword`, searched from `start_from`.
    pub const fn after(keyword: &'static str, start_from: i32, words: &str) -> KeySpec {
        KeySpec {
            begin: BeginSearch::Keyword {
                keyword,
                start_from,
            },
            ..KeySpec::at(0, words)
        }
    }

    /// Keys that no spec can find; the row has a `key_func`.
    pub const fn unknown(words: &str) -> KeySpec {
        KeySpec {
            begin: BeginSearch::Unknown,
            find: FindKeys::Unknown,
            ..KeySpec::at(0, words)
        }
    }

    /// Every `step`-th argument up to `last_key` instead of just one.
    pub const fn range(self, last_key: i32, step: i32, limit: i32) -> KeySpec {
        KeySpec {
            find: FindKeys::Range {
                last_key,
                step,
                limit,
            },
            ..self
        }
    }

    /// A counted run of keys: the count is where the search begins and the keys follow it.
    pub const fn counted(self) -> KeySpec {
        KeySpec {
            find: FindKeys::KeyNum {
                num_idx: 0,
                first_key: 1,
                step: 1,
            },
            ..self
        }
    }

    /// Adds a remark.
    pub const fn notes(self, notes: &'static str) -> KeySpec {
        KeySpec { notes, ..self }
    }
}

/// The legacy way to tell keys: first, last (negative counts from the end), step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LegacyRange {
    /// First key, or 0 for none.
    pub first: i32,
    /// Last key.
    pub last: i32,
    /// Distance of two keys.
    pub step: i32,
    /// Whether there are keys this triple does not tell.
    pub movable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    static SET: Command = Command {
        name: "set",
        arity: -3,
        flags: flags("write denyoom"),
        acl: acl("string"),
        keys: &[KeySpec::at(1, "RW access update variable_flags")],
        group: Group::String,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Stores a string under a key, whatever the key held before.",
        args: "key@0 value",
        ..Command::DEFAULT
    };

    #[test]
    fn words_become_bits_and_come_back_in_order() {
        assert_eq!(flags(""), CommandFlags::empty());
        assert_eq!(
            flags("fast readonly"),
            CommandFlags::READONLY | CommandFlags::FAST
        );
        let names: Vec<_> =
            names_of(FLAG_NAMES, flags("fast stale write may_replicate").bits()).collect();
        assert_eq!(names, ["write", "stale", "fast"]);
    }

    #[test]
    fn categories_follow_from_flags() {
        let names: Vec<_> = names_of(CATEGORY_NAMES, SET.categories().bits()).collect();
        assert_eq!(names, ["write", "string", "slow"]);
    }

    #[test]
    fn arity_is_exact_or_a_minimum() {
        assert!(!SET.arity_fits(2) && SET.arity_fits(3) && SET.arity_fits(9));
        static EXACT: Command = Command {
            name: "get",
            arity: 2,
            ..Command::DEFAULT
        };
        assert!(!EXACT.arity_fits(1) && EXACT.arity_fits(2) && !EXACT.arity_fits(3));
    }
}
