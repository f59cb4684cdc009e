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

/// Finds the keys of a command whose specs do not tell them all.
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

/// Finds every key of a call of `command`, replacing what `out` held. The arity is checked by the caller.
///
/// # Errors
/// [`KeyError::Invalid`] when the arguments do not fit the command; `out` is then meaningless.
pub fn find(
    command: &Command,
    argv: &dyn Argv,
    wanted: Wanted,
    out: &mut KeyRefs,
) -> Result<(), KeyError> {
    out.clear();
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
            let is_keyword = |i: &i64| {
                argv.arg(*i as usize)
                    .eq_ignore_ascii_case(keyword.as_bytes())
            };
            // The last argument cannot be the keyword, as something has to follow it.
            let found = if start_from >= 0 {
                (i64::from(start_from)..argc - 1).find(is_keyword)
            } else {
                (1..=argc + i64::from(start_from)).rev().find(is_keyword)
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
            let count = parse_count(argv.arg(at)).filter(|&n| n <= argc)?;
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
