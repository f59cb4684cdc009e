//! The table of commands: every row gets a small dense id, and a name finds its id in a few nanoseconds.
//!
//! Names are compared without regard to ASCII case. A name of up to 32 bytes is read as four 64-bit words (overlapping,
//! so any length takes the same few loads), the upper-case bytes among them are folded all at once, and the words are both
//! the hash input and the exact comparison: no copy, no loop over bytes. Longer names exist only through `rename-command`
//! and are searched one by one.
//!
//! Ids: top-level rows first, in the order handed in, then the subcommands of each container in its order. Statistics,
//! ACL bitmaps and the like index plain arrays by [`CommandId`]. The rows are handed in, so `exec` does not know
//! `commands`; the table is built once at start and changed only by `rename-command` while the configuration is read.
//!
//! Compat: iteration is in table order; upstream's order is that of a randomly seeded hash table.

use super::command::{BeginSearch, Command, FindKeys, KeyFlags};
use super::keys::Argv;
use std::fmt;

pub use crate::client::CommandId;

/// All commands of a server. See the file header.
pub struct Registry {
    rows: Vec<&'static Command>,
    top_len: usize,
    /// Per top-level command, where its subcommands' ids begin and how many there are.
    subs: Vec<(u16, u16)>,
    /// Per command, the container it belongs to (itself if top-level).
    parents: Vec<u16>,
    /// Per command: the name it is called by (a subcommand's last word), folded. [`Folded::NONE`] for removed and
    /// very long names.
    folded: Vec<Folded>,
    /// Names given by `rename-command` that are too long to fold.
    long_names: Vec<(Vec<u8>, CommandId)>,
    /// Per command, what its arguments say before it runs.
    foreseen: Vec<Foreseen>,
    /// Open addressing over top-level names: id + 1, or 0 for a free slot.
    slots: Box<[u16; SLOTS]>,
}

/// What can be looked up before a command runs, whatever its arguments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// Argument 1 is a key.
    pub key_at_1: bool,
    /// [`Command::element`].
    pub element: u8,
}

/// Slots of the name table: four for each of upstream's top-level commands, so that most probes hit at once.
const SLOTS: usize = 1024;

/// Why arguments name no command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookupError {
    /// The first word is no command.
    UnknownCommand,
    /// The second word is no subcommand of this container.
    UnknownSubcommand(CommandId),
}

/// Why `rename-command` cannot be done; Display is what the configuration error says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RenameError {
    /// No command has the old name.
    NoSuchCommand,
    /// The new name is taken.
    TargetExists,
}

impl fmt::Display for RenameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RenameError::NoSuchCommand => "No such command in rename-command",
            RenameError::TargetExists => "Target command name already exists",
        })
    }
}

impl Registry {
    /// Builds the table from the top-level rows; their subcommands come along.
    ///
    /// # Panics
    /// When two rows have the same name, or there are far more rows than upstream has: mistakes in the table of rows.
    pub fn new(top: &[&'static Command]) -> Registry {
        let mut rows = top.to_vec();
        let (mut subs, mut parents) = (Vec::new(), (0..top.len() as u16).collect::<Vec<_>>());
        for (parent, row) in top.iter().enumerate() {
            subs.push((rows.len() as u16, row.subcommands.len() as u16));
            rows.extend_from_slice(row.subcommands);
            parents.resize(rows.len(), parent as u16);
        }
        assert!(
            top.len() < SLOTS / 2 && rows.len() < usize::from(u16::MAX),
            "too many command rows"
        );
        let folded = rows
            .iter()
            .map(|row| Folded::new(row.last_word().as_bytes()))
            .collect();
        let foreseen = rows
            .iter()
            .map(|row| Foreseen {
                key_at_1: starts_with_key(row),
                element: row.element,
            })
            .collect();
        let slots = Box::new([0; SLOTS]);
        let mut registry = Registry {
            rows,
            top_len: top.len(),
            subs,
            parents,
            folded,
            long_names: Vec::new(),
            foreseen,
            slots,
        };
        registry.rehash();
        registry
    }

    /// Puts every top-level name into the slots anew.
    fn rehash(&mut self) {
        self.slots.fill(0);
        for id in 0..self.top_len {
            let name = self.folded[id];
            if name == Folded::NONE {
                continue;
            }
            let mut slot = name.slot();
            while let Some(other) = self.slots[slot % SLOTS].checked_sub(1) {
                let taken = self.folded[usize::from(other)] == name;
                assert!(!taken, "two commands named {}", self.rows[id].name);
                slot += 1;
            }
            self.slots[slot % SLOTS] = id as u16 + 1;
        }
    }

    /// The top-level command whose folded name has these words and length.
    #[inline]
    fn probe<const N: usize>(&self, words: [u64; N], len: usize) -> Option<CommandId> {
        let mut slot = slot_of(&words, len);
        loop {
            let id = self.slots[slot % SLOTS].checked_sub(1)?;
            let name = &self.folded[usize::from(id)];
            if name.len == len && name.words[..N] == words {
                return Some(CommandId(id));
            }
            slot += 1;
        }
    }

    /// The top-level command of this name, any ASCII case, under the name `rename-command` gave it.
    #[inline]
    pub fn lookup(&self, name: &[u8]) -> Option<CommandId> {
        match name.len() {
            1..=8 => self.probe([short(name)], name.len()),
            9..=16 => self.probe(middle(name), name.len()),
            17..=32 => self.probe(long(name), name.len()),
            _ => self.lookup_long(name),
        }
    }

    fn lookup_long(&self, name: &[u8]) -> Option<CommandId> {
        let (_, id) = self
            .long_names
            .iter()
            .find(|(long, _)| long.eq_ignore_ascii_case(name))?;
        Some(*id)
    }

    /// The subcommand of a container by its own word, any ASCII case.
    pub fn lookup_sub(&self, container: CommandId, word: &[u8]) -> Option<CommandId> {
        let folded = Folded::new(word);
        if folded == Folded::NONE {
            return None;
        }
        let (begin, len) = self.subs.get(container.index()).copied()?;
        let names = &self.folded[begin as usize..(begin + len) as usize];
        // The first word tells nearly all apart, and its comparison is not a call.
        let at = names
            .iter()
            .position(|name| name.words[0] == folded.words[0] && *name == folded)?;
        Some(CommandId(begin + at as u16))
    }

    /// The command or subcommand of a full name, `get` or `config|get`, as ACL rules and COMMAND INFO write it.
    pub fn lookup_full(&self, name: &[u8]) -> Option<CommandId> {
        match memchr::memchr(b'|', name) {
            Some(bar) => self.lookup_sub(self.lookup(&name[..bar])?, &name[bar + 1..]),
            None => self.lookup(name),
        }
    }

    /// The top-level command of this original name, whatever `rename-command` did: for what the server itself runs and
    /// propagates.
    pub fn lookup_original(&self, name: &str) -> Option<CommandId> {
        let index = self.rows[..self.top_len]
            .iter()
            .position(|row| row.name.eq_ignore_ascii_case(name))?;
        Some(CommandId(index as u16))
    }

    /// The command that arguments call: the subcommand if the first word is a container and there is a second word.
    ///
    /// # Errors
    /// Which word is unknown; [`Registry::describe`] makes the reply of it.
    #[inline]
    pub fn resolve<A: Argv + ?Sized>(&self, argv: &A) -> Result<CommandId, LookupError> {
        if argv.argc() == 0 {
            return Err(LookupError::UnknownCommand);
        }
        let id = self
            .lookup(argv.arg(0))
            .ok_or(LookupError::UnknownCommand)?;
        if self.subs[id.index()].1 == 0 || argv.argc() == 1 {
            return Ok(id);
        }
        self.lookup_sub(id, argv.arg(1))
            .ok_or(LookupError::UnknownSubcommand(id))
    }

    /// What can be hashed and prefetched before this command runs.
    #[inline]
    pub fn foreseen(&self, id: CommandId) -> Foreseen {
        self.foreseen[id.index()]
    }

    /// The error reply for arguments that name no command, without the leading `-` and the line end. Words are cut at
    /// [`SHOWN_BYTES`], at a NUL, and line ends in them become blanks.
    pub fn describe<A: Argv + ?Sized>(&self, error: LookupError, argv: &A) -> Vec<u8> {
        let mut text = Vec::with_capacity(64);
        let word = |i: usize| {
            if i < argv.argc() {
                argv.arg(i)
            } else {
                &b""[..]
            }
        };
        match error {
            LookupError::UnknownCommand => {
                text.extend_from_slice(b"ERR unknown command '");
                push_shown(&mut text, word(0), SHOWN_BYTES);
                text.extend_from_slice(b"', with args beginning with: ");
                let begin = text.len();
                for i in 1..argv.argc() {
                    let used = text.len() - begin;
                    if used >= SHOWN_BYTES {
                        break;
                    }
                    text.push(b'\'');
                    push_shown(&mut text, argv.arg(i), SHOWN_BYTES - used);
                    text.extend_from_slice(b"' ");
                }
            }
            LookupError::UnknownSubcommand(container) => {
                text.extend_from_slice(b"ERR unknown subcommand '");
                push_shown(&mut text, word(1), SHOWN_BYTES);
                text.extend_from_slice(b"'. Try ");
                text.extend(
                    self.row(container)
                        .name
                        .bytes()
                        .map(|b| b.to_ascii_uppercase()),
                );
                text.extend_from_slice(b" HELP.");
            }
        }
        text
    }

    /// The row of a command.
    #[inline]
    pub fn row(&self, id: CommandId) -> &'static Command {
        self.rows[id.index()]
    }

    /// The container of a subcommand, or the command itself.
    pub fn parent(&self, id: CommandId) -> CommandId {
        CommandId(self.parents[id.index()])
    }

    /// Whether it is a subcommand.
    pub fn is_sub(&self, id: CommandId) -> bool {
        id.index() >= self.top_len
    }

    /// Commands and subcommands, removed ones included: the length of arrays indexed by [`CommandId`].
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no commands at all.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Every id, subcommands last, removed ones included.
    pub fn ids(&self) -> impl Iterator<Item = CommandId> + Clone + use<> {
        (0..self.rows.len() as u16).map(CommandId)
    }

    /// The top-level commands that can be called.
    pub fn top(&self) -> impl Iterator<Item = CommandId> + Clone + '_ {
        (0..self.top_len as u16)
            .map(CommandId)
            .filter(|&id| !self.is_removed(id))
    }

    /// The subcommands of a command, in the order of its row.
    pub fn subcommands(
        &self,
        id: CommandId,
    ) -> impl ExactSizeIterator<Item = CommandId> + Clone + use<> {
        let (begin, len) = self.subs.get(id.index()).copied().unwrap_or((0, 0));
        (begin..begin + len).map(CommandId)
    }

    /// Whether `rename-command x ""` took it away.
    pub fn is_removed(&self, id: CommandId) -> bool {
        self.folded[id.index()] == Folded::NONE
            && !self.long_names.iter().any(|(_, long)| *long == id)
    }

    /// `rename-command`: gives a top-level command another name, or takes it away if the new name is empty.
    ///
    /// # Errors
    /// See [`RenameError`]; nothing is changed then. Names upstream can hold are all accepted.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), RenameError> {
        let id = self.lookup(from).ok_or(RenameError::NoSuchCommand)?;
        if !to.is_empty() && self.lookup(to).is_some() {
            return Err(RenameError::TargetExists);
        }
        self.long_names.retain(|(_, long)| *long != id);
        self.folded[id.index()] = Folded::new(to);
        if self.folded[id.index()] == Folded::NONE && !to.is_empty() {
            self.long_names.push((to.to_vec(), id));
        }
        self.rehash();
        Ok(())
    }
}

fn starts_with_key(row: &Command) -> bool {
    row.keys.first().is_some_and(|spec| {
        spec.begin == BeginSearch::Index(1)
            && matches!(spec.find, FindKeys::Range { .. })
            && !spec.flags.contains(KeyFlags::NOT_KEY)
    })
}

/// The reply when the number of arguments does not suit a command, without the leading `-` and the line end.
pub fn arity_error(row: &Command) -> String {
    format!("ERR wrong number of arguments for '{}' command", row.name)
}

/// How much of a client's words an error reply repeats.
pub const SHOWN_BYTES: usize = 128;

/// Adds what an error reply shows of a word: up to `room` bytes of it.
fn push_shown(text: &mut Vec<u8>, word: &[u8], room: usize) {
    let word = &word[..word.len().min(room)];
    let word = &word[..memchr::memchr(0, word).unwrap_or(word.len())];
    text.extend(
        word.iter()
            .map(|&b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }),
    );
}

/// A name of 1 to 32 bytes with its upper-case ASCII letters folded, as words; unused words are 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Folded {
    words: [u64; 4],
    len: usize,
}

impl Folded {
    /// Stands for no name.
    const NONE: Folded = Folded {
        words: [0; 4],
        len: 0,
    };

    /// Folds a name; [`Folded::NONE`] if it is empty or longer than 32 bytes.
    fn new(name: &[u8]) -> Folded {
        let mut words = [0; 4];
        match name.len() {
            1..=8 => words[0] = short(name),
            9..=16 => words[..2].copy_from_slice(&middle(name)),
            17..=32 => words = long(name),
            _ => return Folded::NONE,
        }
        Folded {
            words,
            len: name.len(),
        }
    }

    /// Where the search for it begins; the same as [`Registry::lookup`] finds from the name.
    fn slot(&self) -> usize {
        let [a, b, _, _] = self.words;
        match self.len {
            0..=8 => slot_of(&[a], self.len),
            9..=16 => slot_of(&[a, b], self.len),
            _ => slot_of(&self.words, self.len),
        }
    }
}

/// Words of a name of 1 to 8 bytes.
#[inline]
fn short(name: &[u8]) -> u64 {
    let len = name.len();
    fold(if len >= 4 {
        u64::from(le32(name, 0)) | u64::from(le32(name, len - 4)) << 32
    } else {
        u64::from(name[0]) | u64::from(name[len / 2]) << 8 | u64::from(name[len - 1]) << 16
    })
}

/// Words of a name of 9 to 16 bytes.
#[inline]
fn middle(name: &[u8]) -> [u64; 2] {
    [le64(name, 0), le64(name, name.len() - 8)].map(fold)
}

/// Words of a name of 17 to 32 bytes.
fn long(name: &[u8]) -> [u64; 4] {
    let len = name.len();
    [
        le64(name, 0),
        le64(name, 8),
        le64(name, len - 16),
        le64(name, len - 8),
    ]
    .map(fold)
}

/// Where the search for a name begins.
#[inline]
fn slot_of<const N: usize>(words: &[u64; N], len: usize) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = len as u64;
    for word in words {
        hash = (hash ^ word).wrapping_mul(ODD);
        hash ^= hash >> 32;
    }
    (hash.wrapping_mul(ODD) >> (64 - SLOTS.trailing_zeros())) as usize
}

/// The 4 bytes at `at`, which the caller knows to be there.
#[inline]
fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The 8 bytes at `at`, which the caller knows to be there.
#[inline]
fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from(le32(bytes, at)) | u64::from(le32(bytes, at + 4)) << 32
}

/// Lower case of eight bytes at once: bit 7 of each sum tells whether the byte is past `A - 1` and past `Z`.
#[inline]
const fn fold(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let low = word & (ONES * 0x7f);
    let from_a = low + ONES * (0x80 - b'A' as u64);
    let past_z = low + ONES * (0x7f - b'Z' as u64);
    let upper = (from_a & !past_z) & !word & (ONES * 0x80);
    word | upper >> 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;

    static GET: Command = Command {
        name: "get",
        arity: 2,
        ..Command::DEFAULT
    };
    static CONFIG_GET: Command = Command {
        name: "config|get",
        arity: -3,
        ..Command::DEFAULT
    };
    static CONFIG_SET: Command = Command {
        name: "config|set",
        arity: -4,
        ..Command::DEFAULT
    };
    static CONFIG: Command = Command {
        name: "config",
        subcommands: &[&CONFIG_GET, &CONFIG_SET],
        ..Command::DEFAULT
    };
    static LONG: Command = Command {
        name: "georadiusbymember_ro",
        ..Command::DEFAULT
    };

    fn registry() -> Registry {
        Registry::new(&[&GET, &CONFIG, &LONG])
    }

    fn resolve(registry: &Registry, line: &str) -> Result<&'static str, LookupError> {
        let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        registry.resolve(&argv[..]).map(|id| registry.row(id).name)
    }

    #[test]
    fn names_are_found_in_any_case() {
        let registry = registry();
        assert_eq!(resolve(&registry, "GeT k"), Ok("get"));
        assert_eq!(resolve(&registry, "CONFIG get x"), Ok("config|get"));
        assert_eq!(resolve(&registry, "config SET x y"), Ok("config|set"));
        assert_eq!(resolve(&registry, "config"), Ok("config"));
        assert_eq!(
            resolve(&registry, "GEORADIUSBYMEMBER_RO"),
            Ok("georadiusbymember_ro")
        );
        assert_eq!(
            resolve(&registry, "georadiusbymember\x7fro"),
            Err(LookupError::UnknownCommand)
        );
        assert_eq!(resolve(&registry, ""), Err(LookupError::UnknownCommand));
        let config = registry.lookup(b"config").unwrap();
        assert_eq!(
            resolve(&registry, "config nope"),
            Err(LookupError::UnknownSubcommand(config))
        );
        assert_eq!(
            registry
                .lookup_full(b"Config|Set")
                .map(|id| registry.row(id).name),
            Some("config|set")
        );
        assert_eq!(registry.lookup_full(b"get|set"), None);
    }

    #[test]
    fn folding_agrees_with_ascii_case() {
        let mut rng = Rng::new(7);
        for _ in 0..200_000 {
            let len = 1 + rng.below(34);
            let one: Vec<u8> = (0..len).map(|_| rng.below(256) as u8).collect();
            let mut two = one.clone();
            for byte in &mut two {
                match rng.below(3) {
                    0 => byte.make_ascii_uppercase(),
                    1 => byte.make_ascii_lowercase(),
                    _ => {}
                }
            }
            if rng.below(2) == 0 {
                two[rng.below(len)] ^= 0x20;
            }
            let (a, b) = (Folded::new(&one), Folded::new(&two));
            assert_eq!(a != Folded::NONE, len <= 32);
            if len <= 32 {
                assert_eq!(a == b, one.eq_ignore_ascii_case(&two), "{one:?} {two:?}");
            }
        }
    }

    #[test]
    fn rename_and_remove() {
        let mut registry = registry();
        let get = registry.lookup(b"get").unwrap();
        assert_eq!(
            registry.rename(b"nope", b"x"),
            Err(RenameError::NoSuchCommand)
        );
        assert_eq!(
            registry.rename(b"GET", b"Config"),
            Err(RenameError::TargetExists)
        );
        registry.rename(b"GET", b"fetch").unwrap();
        assert_eq!(
            (registry.lookup(b"get"), registry.lookup(b"FETCH")),
            (None, Some(get))
        );
        assert_eq!(registry.lookup_original("get"), Some(get));
        let long = b"A name far too long to be folded into four words";
        registry.rename(b"fetch", long).unwrap();
        assert_eq!(registry.lookup(&long.to_ascii_uppercase()), Some(get));
        assert!(!registry.is_removed(get));
        registry.rename(long, b"").unwrap();
        assert!(
            registry.is_removed(get)
                && registry.lookup(long).is_none()
                && registry.lookup(b"").is_none()
        );
        assert_eq!(registry.top().count(), 2);
        assert_eq!(resolve(&registry, "config get a"), Ok("config|get"));
    }

    #[test]
    fn iteration_and_families() {
        let registry = registry();
        let names: Vec<_> = registry.ids().map(|id| registry.row(id).name).collect();
        assert_eq!(
            names,
            [
                "get",
                "config",
                "georadiusbymember_ro",
                "config|get",
                "config|set"
            ]
        );
        let config = registry.lookup(b"config").unwrap();
        let get = registry.lookup_sub(config, b"GET").unwrap();
        assert_eq!(
            (registry.parent(get), registry.parent(config)),
            (config, config)
        );
        assert!(registry.is_sub(get) && !registry.is_sub(config));
        assert_eq!(registry.subcommands(config).len(), 2);
        assert_eq!(registry.subcommands(get).len(), 0);
    }

    #[test]
    fn error_texts_are_those_of_8_2_3() {
        let registry = registry();
        let text = |argv: &[&[u8]]| {
            let error = registry.resolve(argv).unwrap_err();
            String::from_utf8(registry.describe(error, argv)).unwrap()
        };
        assert_eq!(
            text(&[b"FoO"]),
            "ERR unknown command 'FoO', with args beginning with: "
        );
        assert_eq!(
            text(&[b"foo", b"a", b"b"]),
            "ERR unknown command 'foo', with args beginning with: 'a' 'b' "
        );
        assert_eq!(
            text(&[b"f\r\no", b"a\r\nb", b"it's"]),
            "ERR unknown command 'f  o', with args beginning with: 'a  b' 'it's' "
        );
        let (x, y) = ([b'x'; 100], [b'y'; 100]);
        assert_eq!(
            text(&[b"foo", &x, &y, b"z"]),
            format!(
                "ERR unknown command 'foo', with args beginning with: '{}' '{}' ",
                "x".repeat(100),
                "y".repeat(25)
            )
        );
        assert_eq!(
            text(&[&[b'f'; 200], b"x"]),
            format!(
                "ERR unknown command '{}', with args beginning with: 'x' ",
                "f".repeat(128)
            )
        );
        assert_eq!(
            text(&[b"config", b"Foo"]),
            "ERR unknown subcommand 'Foo'. Try CONFIG HELP."
        );
        assert_eq!(
            text(&[b"config", &[b'x'; 200]]),
            format!(
                "ERR unknown subcommand '{}'. Try CONFIG HELP.",
                "x".repeat(128)
            )
        );
        assert_eq!(
            arity_error(&CONFIG_GET),
            "ERR wrong number of arguments for 'config|get' command"
        );
    }
}
