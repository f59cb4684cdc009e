//! Which arguments of a command are keys, and what the command does to each: asked by ACL, cluster routing, tracking,
//! prefetch, COMMAND GETKEYS.
//!
//! The answer comes from the row's key specs: where a search begins (a fixed index, or after a keyword) and how it goes
//! on (a range, or a counted run). Where specs cannot tell (SORT's STORE, MIGRATE's empty key, SET's flags depending on
//! GET) the row has a `key_func`. The output is a small fixed buffer, so asking allocates only past [`KeyRefs::INLINE`]
//! keys; a reused buffer never allocates twice.
//!
//! Extending: a command whose keys the specs do not tell gets a function in `commands`, beside its row, built from
//! [`KeyRefs::push`] and, where part of the keys follow specs, [`find_by_specs`].

use super::command::{
    BeginSearch, Command, CommandFlags, FindKeys, KeyFlags, KeySpec, LegacyRange,
};

/// A command's arguments, its own words first. Implemented by whatever holds them: ranges into a query buffer, a saved
/// transaction, a slice in a test.
pub trait Argv {
    /// How many there are.
    fn argc(&self) -> usize;
    /// The bytes of argument `i`, which is below `argc`.
    fn arg(&self, i: usize) -> &[u8];
}

impl Argv for crate::resp::Args<'_> {
    fn argc(&self) -> usize {
        self.len()
    }
    fn arg(&self, i: usize) -> &[u8] {
        self.at(i)
    }
}

impl Argv for [&[u8]] {
    fn argc(&self) -> usize {
        self.len()
    }
    fn arg(&self, i: usize) -> &[u8] {
        self[i]
    }
}

impl Argv for [Vec<u8>] {
    fn argc(&self) -> usize {
        self.len()
    }
    fn arg(&self, i: usize) -> &[u8] {
        &self[i]
    }
}

impl<A: Argv + ?Sized> Argv for &A {
    fn argc(&self) -> usize {
        (**self).argc()
    }
    fn arg(&self, i: usize) -> &[u8] {
        (**self).arg(i)
    }
}

/// Finds the keys of a command whose specs do not tell them all. The number of arguments fits the arity.
pub type KeyFunc = fn(&Command, &dyn Argv, &mut KeyRefs) -> Result<(), KeyError>;

/// Why keys could not be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The arguments do not fit the command: a count is no number or runs past the end, a keyword is missing.
    Invalid,
}

/// A key among the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRef {
    /// Index of the argument.
    pub pos: u32,
    /// What the command does to it.
    pub flags: KeyFlags,
}

/// The keys found, in the order the specs tell them.
#[derive(Debug)]
pub struct KeyRefs {
    len: usize,
    inline: [KeyRef; KeyRefs::INLINE],
    /// Takes over once the inline part is full (holding all keys, so that a slice can be handed out).
    spill: Vec<KeyRef>,
}

impl Default for KeyRefs {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyRefs {
    /// Keys held without allocation.
    pub const INLINE: usize = 8;

    /// An empty buffer.
    pub const fn new() -> Self {
        KeyRefs {
            len: 0,
            inline: [KeyRef {
                pos: 0,
                flags: KeyFlags::empty(),
            }; Self::INLINE],
            spill: Vec::new(),
        }
    }

    /// Forgets the keys, keeps the room.
    pub fn clear(&mut self) {
        self.len = 0;
        self.spill.clear();
    }

    /// Adds a key.
    pub fn push(&mut self, pos: usize, flags: KeyFlags) {
        let key = KeyRef {
            pos: pos as u32,
            flags,
        };
        if self.len < Self::INLINE {
            self.inline[self.len] = key;
        } else {
            if self.len == Self::INLINE {
                self.spill.extend_from_slice(&self.inline);
            }
            self.spill.push(key);
        }
        self.len += 1;
    }

    /// The keys found so far.
    pub fn as_slice(&self) -> &[KeyRef] {
        if self.len <= Self::INLINE {
            &self.inline[..self.len]
        } else {
            &self.spill
        }
    }
}

impl std::ops::Deref for KeyRefs {
    type Target = [KeyRef];
    fn deref(&self) -> &[KeyRef] {
        self.as_slice()
    }
}

/// What [`find`] looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Keys: for ACL, tracking, prefetch, COMMAND GETKEYS.
    Keys,
    /// Also what is hashed to a slot like a key, the channels of sharded Pub/Sub: for cluster routing.
    KeysAndShardChannels,
}

/// Finds every key of a call of `command`, replacing what `out` held.
///
/// # Errors
/// [`KeyError::Invalid`] when the arguments, their number to begin with, do not fit the command; `out` is then meaningless.
pub fn find(
    command: &Command,
    argv: &dyn Argv,
    wanted: Wanted,
    out: &mut KeyRefs,
) -> Result<(), KeyError> {
    out.clear();
    if !command.arity_fits(argv.argc()) {
        return Err(KeyError::Invalid);
    }
    match command.key_func {
        Some(find) => find(command, argv, out),
        None => find_by_specs(command, argv, wanted, out),
    }
}

/// Finds the keys the specs tell, adding to `out`. A part of a row that finds nothing (an absent keyword, a spec that
/// cannot tell) adds nothing, as in upstream.
///
/// # Errors
/// [`KeyError::Invalid`] when a spec points outside of the arguments or a count is no number.
pub fn find_by_specs(
    command: &Command,
    argv: &dyn Argv,
    wanted: Wanted,
    out: &mut KeyRefs,
) -> Result<(), KeyError> {
    for spec in command.keys {
        if spec.flags.contains(KeyFlags::NOT_KEY) && wanted == Wanted::Keys {
            continue;
        }
        let Some(first) = begin_of(spec, argv) else {
            continue;
        };
        match range_of(spec, first, argv) {
            Some((first, last, step)) => {
                let mut pos = first;
                while pos <= last {
                    out.push(pos as usize, spec.flags);
                    pos += step;
                }
            }
            None if command.flags.contains(CommandFlags::NO_MANDATORY_KEYS) => {}
            None => return Err(KeyError::Invalid),
        }
    }
    Ok(())
}

/// Where the search of a spec begins, or `None` when its keyword is absent or the spec cannot tell.
fn begin_of(spec: &KeySpec, argv: &dyn Argv) -> Option<i64> {
    let argc = argv.argc() as i64;
    match spec.begin {
        BeginSearch::Index(index) => Some(i64::from(index)),
        BeginSearch::Unknown => None,
        BeginSearch::Keyword {
            keyword,
            start_from,
        } => {
            let is_keyword =
                |i: &i64| crate::resp::is_word(argv.arg(*i as usize), keyword.as_bytes());
            // The last argument cannot be the keyword, as something has to follow it.
            let found = if start_from >= 0 {
                (i64::from(start_from)..argc - 1).find(is_keyword)
            } else {
                (2..=argc + i64::from(start_from)).rev().find(is_keyword)
            };
            found.map(|i| i + 1)
        }
    }
}

/// First key, last key and step of a spec whose search begins at `first`; `None` when that leaves the arguments.
fn range_of(spec: &KeySpec, first: i64, argv: &dyn Argv) -> Option<(i64, i64, i64)> {
    let argc = argv.argc() as i64;
    let (first, last, step) = match spec.find {
        FindKeys::Range {
            last_key,
            step,
            limit,
        } => {
            let last = match (last_key, limit) {
                (0.., _) => first + i64::from(last_key),
                (_, 0 | 1) => argc + i64::from(last_key),
                _ => first + (argc - first) / i64::from(limit) + i64::from(last_key),
            };
            (first, last, i64::from(step))
        }
        FindKeys::KeyNum {
            num_idx,
            first_key,
            step,
        } => {
            let at = usize::try_from(first + i64::from(num_idx))
                .ok()
                .filter(|&at| at < argv.argc())?;
            let count = parse_count(argv.arg(at)).filter(|n| (1..=argc).contains(n))?;
            let begin = first + i64::from(first_key);
            (
                begin,
                begin + (count - 1) * i64::from(step),
                i64::from(step),
            )
        }
        FindKeys::Unknown => return Some((0, -1, 1)),
    };
    (step > 0 && first > 0 && first < argc && last < argc && last >= first)
        .then_some((first, last, step))
}

/// A plain decimal number of keys.
fn parse_count(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text)
        .ok()
        .filter(|t| !t.starts_with('+'))?
        .parse()
        .ok()
}

impl Command {
    /// Whether it can have keys at all, channels not counted.
    pub fn may_have_keys(&self) -> bool {
        self.key_func.is_some()
            || self
                .keys
                .iter()
                .any(|spec| !spec.flags.contains(KeyFlags::NOT_KEY))
    }

    /// First key, last key and step as the first elements of the COMMAND reply tell them, for clients that know no specs:
    /// the leading specs of fixed place, as far as they touch and so can be told by one triple.
    pub fn legacy_range(&self) -> LegacyRange {
        let mut told = LegacyRange::default();
        for spec in self.keys {
            match (spec.begin, spec.find) {
                (
                    BeginSearch::Index(index),
                    FindKeys::Range {
                        last_key,
                        step,
                        limit: _,
                    },
                ) => {
                    let last = if last_key >= 0 {
                        index + last_key
                    } else {
                        last_key
                    };
                    if told.first == 0 {
                        told = LegacyRange {
                            first: index,
                            last,
                            step,
                            movable: told.movable,
                        };
                    } else if told.last == index - 1 && told.step == step {
                        told.last = last;
                    } else {
                        told.movable = true;
                    }
                }
                _ => told.movable = true,
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::command::flags;
    use crate::exec::key_funcs;

    const ONE: Command = Command {
        keys: &[KeySpec::at(1, "RO")],
        ..Command::DEFAULT
    };
    const MSET: Command = Command {
        keys: &[KeySpec::at(1, "OW").range(-1, 2, 0)],
        ..Command::DEFAULT
    };
    const BLPOP: Command = Command {
        keys: &[KeySpec::at(1, "RW").range(-2, 1, 0)],
        ..Command::DEFAULT
    };
    const PFMERGE: Command = Command {
        keys: &[KeySpec::at(1, "RW"), KeySpec::at(2, "RO").range(-1, 1, 0)],
        ..Command::DEFAULT
    };
    const ZUNIONSTORE: Command = Command {
        keys: &[KeySpec::at(1, "OW"), KeySpec::at(2, "RO").counted()],
        ..Command::DEFAULT
    };
    const EVAL: Command = Command {
        flags: flags("no_mandatory_keys"),
        keys: &[KeySpec::at(2, "RW").counted()],
        ..Command::DEFAULT
    };
    const XREADGROUP: Command = Command {
        keys: &[KeySpec::after("STREAMS", 4, "RO").range(-1, 1, 2)],
        ..Command::DEFAULT
    };
    const GEORADIUS: Command = Command {
        keys: &[
            KeySpec::at(1, "RO"),
            KeySpec::after("STORE", 6, "OW"),
            KeySpec::after("STOREDIST", 6, "OW"),
        ],
        ..Command::DEFAULT
    };
    const SPUBLISH: Command = Command {
        keys: &[KeySpec::at(1, "not_key")],
        ..Command::DEFAULT
    };
    const SET: Command = Command {
        key_func: Some(key_funcs::set),
        ..ONE
    };
    const BITFIELD: Command = Command {
        key_func: Some(key_funcs::bitfield),
        ..ONE
    };
    const SORT: Command = Command {
        keys: &[
            KeySpec::at(1, "RO"),
            KeySpec::unknown("RO"),
            KeySpec::unknown("OW"),
        ],
        key_func: Some(key_funcs::sort),
        ..Command::DEFAULT
    };
    const MIGRATE: Command = Command {
        keys: &[
            KeySpec::at(3, "RW"),
            KeySpec::after("KEYS", -2, "RW incomplete").range(-1, 1, 0),
        ],
        key_func: Some(key_funcs::migrate),
        arity: -6,
        ..Command::DEFAULT
    };

    /// The keys found in a call, as `position:flags`; `''` is an empty argument. What is expected of these was asked of
    /// 8.2.3 by COMMAND GETKEYSANDFLAGS.
    fn keys(command: &Command, call: &str) -> String {
        let argv: Vec<&[u8]> = call
            .split(' ')
            .map(|word| {
                if word == "''" {
                    &b""[..]
                } else {
                    word.as_bytes()
                }
            })
            .collect();
        let mut out = KeyRefs::new();
        match find(command, &&argv[..], Wanted::Keys, &mut out) {
            Err(KeyError::Invalid) => "invalid".to_owned(),
            Ok(()) => {
                let names = |flags: KeyFlags| {
                    flags
                        .iter_names()
                        .map(|(name, _)| name)
                        .collect::<Vec<_>>()
                        .join("+")
                };
                out.iter()
                    .map(|key| format!("{}:{}", key.pos, names(key.flags)))
                    .collect::<Vec<_>>()
                    .join(" ")
            }
        }
    }

    #[test]
    fn ranges() {
        assert_eq!(keys(&ONE, "get a"), "1:RO");
        assert_eq!(keys(&MSET, "mset a 1 b 2"), "1:OW 3:OW");
        assert_eq!(keys(&BLPOP, "blpop a b 0"), "1:RW 2:RW");
        assert_eq!(keys(&PFMERGE, "pfmerge a b c"), "1:RW 2:RO 3:RO");
        assert_eq!(keys(&PFMERGE, "pfmerge a"), "invalid");
    }

    #[test]
    fn counted_runs() {
        assert_eq!(
            keys(&ZUNIONSTORE, "zunionstore d 2 a b weights 1 2"),
            "1:OW 3:RO 4:RO"
        );
        for count in [
            "3",
            "0",
            "-1",
            "x",
            "''",
            "99999999999999999999",
            "9223372036854775807",
            "\u{e9}",
        ] {
            assert_eq!(
                keys(&ZUNIONSTORE, &format!("zunionstore d {count} a b")),
                "invalid",
                "{count}"
            );
        }
        assert_eq!(keys(&EVAL, "eval s 1 a b"), "3:RW");
        for call in [
            "eval s 0",
            "eval s 0 a",
            "eval s 2 a",
            "eval s -1",
            "eval s x a",
        ] {
            assert_eq!(keys(&EVAL, call), "", "{call}");
        }
    }

    #[test]
    fn keywords() {
        assert_eq!(
            keys(&XREADGROUP, "xreadgroup group g c streams a b 1 2"),
            "5:RO 6:RO"
        );
        assert_eq!(
            keys(&XREADGROUP, "xreadgroup group streams c STREAMS a 1"),
            "5:RO"
        );
        assert_eq!(
            keys(&XREADGROUP, "xreadgroup group g c block streams x"),
            "invalid"
        );
        assert_eq!(
            keys(&GEORADIUS, "georadius k 1 2 3 m store a storedist b"),
            "1:RO 7:OW 9:OW"
        );
        assert_eq!(keys(&GEORADIUS, "georadius k 1 2 3 m store"), "1:RO");
    }

    #[test]
    fn flags_that_depend_on_arguments() {
        assert_eq!(keys(&SET, "set a b"), "1:OW+UPDATE");
        assert_eq!(keys(&SET, "set a get"), "1:OW+UPDATE");
        assert_eq!(keys(&SET, "set a b ex 1 GET"), "1:RW+ACCESS+UPDATE");
        assert_eq!(
            keys(&BITFIELD, "bitfield k get u8 0 overflow wrap"),
            "1:RO+ACCESS"
        );
        assert_eq!(keys(&BITFIELD, "bitfield k get get set"), "1:RO+ACCESS");
        for call in [
            "bitfield k get u8 0 set u8 0 1",
            "bitfield k get u8 0 get",
            "bitfield k what",
        ] {
            assert_eq!(keys(&BITFIELD, call), "1:RW+ACCESS+UPDATE", "{call}");
        }
    }

    #[test]
    fn sort_and_migrate() {
        assert_eq!(
            keys(&SORT, "sort a by b get c store d store e"),
            "1:RO 9:OW"
        );
        assert_eq!(keys(&SORT, "sort a limit store 1 store b"), "1:RO 6:OW");
        assert_eq!(keys(&SORT, "sort a get store by store"), "1:RO");
        assert_eq!(keys(&SORT, "sort k left store limit store 3"), "1:RO 4:OW");
        assert_eq!(keys(&MIGRATE, "migrate h 1 k 0 10 auth keys"), "3:RW");
        assert_eq!(
            keys(&MIGRATE, "migrate h 1 '' 0 10 auth keys keys a b"),
            "9:RW 10:RW"
        );
        assert_eq!(
            keys(&MIGRATE, "migrate h 1 '' 0 10 auth2 keys b keys a"),
            "10:RW"
        );
        assert_eq!(keys(&MIGRATE, "migrate h 1 k 0 10 keys a"), "invalid");
        assert_eq!(keys(&MIGRATE, "migrate h 1 k 0 10 keys"), "3:RW");
    }

    #[test]
    fn shard_channels_are_keys_only_for_routing() {
        assert_eq!(keys(&SPUBLISH, "spublish c m"), "");
        let (argv, mut out) = ([&b"spublish"[..], b"c", b"m"], KeyRefs::new());
        find(
            &SPUBLISH,
            &&argv[..],
            Wanted::KeysAndShardChannels,
            &mut out,
        )
        .unwrap();
        assert_eq!(out.len(), 1);
        assert!(!SPUBLISH.may_have_keys() && SORT.may_have_keys());
    }

    #[test]
    fn many_keys_spill() {
        let mut out = KeyRefs::new();
        for count in [0, 1, 7, 8, 9, 8, 300] {
            out.clear();
            (0..count).for_each(|pos| out.push(pos, KeyFlags::RO));
            assert!(
                out.iter().map(|key| key.pos as usize).eq(0..count),
                "{count}"
            );
        }
    }

    #[test]
    fn legacy_triples() {
        let triple = |command: &Command| {
            let LegacyRange {
                first,
                last,
                step,
                movable,
            } = command.legacy_range();
            (first, last, step, movable)
        };
        assert_eq!(triple(&Command::DEFAULT), (0, 0, 0, false));
        assert_eq!(triple(&BLPOP), (1, -2, 1, false));
        assert_eq!(triple(&PFMERGE), (1, -1, 1, false));
        assert_eq!(triple(&ZUNIONSTORE), (1, 1, 1, true));
        assert_eq!(triple(&EVAL), (0, 0, 0, true));
        assert_eq!(triple(&GEORADIUS), (1, 1, 1, true));
    }
}
