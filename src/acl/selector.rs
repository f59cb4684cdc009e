//! One set of permissions: commands, keys, channels. A command passes a selector only if all three allow it.
//!
//! Commands are a bitmap by number, so the common answer is one load. Rules on containers reach their subcommands' bits at
//! once; first-argument rules (`+select|0`) stand beside the bitmap and are asked only when the bit is clear. What was
//! *written* is kept apart, as a list of rules in canonical form, because a description derived from bits could not say
//! what was meant for commands of future versions. The base (`+@all`, `-@all`) is where that list began.

use super::commands::Commands;
use super::patterns::{KeyNeed, KeyPattern, Pattern};
use super::rules::{RuleError, has_blanks};

/// One set of permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// A bit per command: it may be run with any first argument.
    bits: Box<[u64]>,
    /// Every command may be run, and none was taken back since `+@all`.
    all_commands: bool,
    /// The list of rules begins with `+@all`.
    base_all: bool,
    /// The rules behind the base, without blanks, lower case, sign first, and whether they changed anything when they came.
    rules: Vec<(Box<[u8]>, bool)>,
    /// First arguments (lower case) allowed per command.
    first_args: Vec<(u16, Box<[u8]>)>,
    /// Every key is allowed for everything.
    all_keys: bool,
    keys: Vec<KeyPattern>,
    /// Every channel is allowed.
    all_channels: bool,
    channels: Vec<Pattern>,
}

impl Selector {
    /// A selector that allows nothing, except every channel if `all_channels` (`acl-pubsub-default`).
    pub fn new(commands: &Commands, all_channels: bool) -> Self {
        Selector {
            bits: vec![0; commands.len().div_ceil(64)].into(),
            all_commands: false,
            base_all: false,
            rules: Vec::new(),
            first_args: Vec::new(),
            all_keys: false,
            keys: Vec::new(),
            all_channels,
            channels: Vec::new(),
        }
    }

    // ---- questions ----

    /// Whether the bit of a command is set: it may be run whatever its arguments.
    #[inline(always)]
    fn bit(&self, id: u16) -> bool {
        self.bits
            .get(usize::from(id) / 64)
            .is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    /// Whether a command may be run with this first argument (the one behind the command's name).
    #[inline]
    pub fn allows_command(&self, id: u16, first_arg: Option<&[u8]>) -> bool {
        self.bit(id) || !self.first_args.is_empty() && self.allows_first_arg(id, first_arg)
    }

    fn allows_first_arg(&self, id: u16, given: Option<&[u8]>) -> bool {
        given.is_some_and(|given| {
            let mut known = self.first_args.iter();
            known.any(|(of, arg)| *of == id && arg.eq_ignore_ascii_case(given))
        })
    }

    /// Whether every key is allowed for everything.
    #[inline]
    pub fn all_keys(&self) -> bool {
        self.all_keys
    }

    /// Whether a key is allowed.
    #[inline]
    pub fn allows_key(&self, key: &[u8], need: KeyNeed) -> bool {
        self.all_keys
            || self
                .keys
                .iter()
                .any(|k| k.allows.contains(need) && k.pattern.matches(key))
    }

    /// Whether any key at all is allowed, by name: for commands that reach keys they do not name (SORT BY).
    pub fn allows_every_key(&self, need: KeyNeed) -> bool {
        self.all_keys
            || self
                .keys
                .iter()
                .any(|k| k.allows.contains(need) && k.pattern.text() == b"*")
    }

    /// Whether every channel is allowed.
    #[inline]
    pub fn all_channels(&self) -> bool {
        self.all_channels
    }

    /// Whether a channel is allowed; a pattern of channels (`literal`) only if it was allowed as it stands.
    pub fn allows_channel(&self, name: &[u8], literal: bool) -> bool {
        self.all_channels
            || self.channels.iter().any(|c| {
                if literal {
                    c.text() == name
                } else {
                    c.matches(name)
                }
            })
    }

    /// The channel patterns.
    pub fn channels(&self) -> impl Iterator<Item = &[u8]> {
        self.channels.iter().map(Pattern::text)
    }

    /// Whether nothing is restricted.
    pub fn is_unrestricted(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels
    }

    // ---- rules ----

    /// Applies one rule.
    ///
    /// # Errors
    /// Why it is refused; then the selector may have changed in part: apply rules to a copy.
    pub fn apply(&mut self, rule: &[u8], commands: &Commands) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            [] => {}
            _ if is("allkeys") || is("~*") => {
                self.all_keys = true;
                self.keys.clear();
            }
            _ if is("resetkeys") => {
                self.all_keys = false;
                self.keys.clear();
            }
            _ if is("allchannels") || is("&*") => {
                self.all_channels = true;
                self.channels.clear();
            }
            _ if is("resetchannels") => {
                self.all_channels = false;
                self.channels.clear();
            }
            _ if is("allcommands") || is("+@all") => self.set_all(true),
            _ if is("nocommands") || is("-@all") => self.set_all(false),
            [b'~' | b'%', ..] => self.add_key_pattern(rule)?,
            [b'&', name @ ..] => self.add_channel(name)?,
            [sign @ (b'+' | b'-'), b'@', category @ ..] => {
                let bit = commands.category(category).ok_or(RuleError::Unknown)?;
                // A category without commands is meant for commands to come.
                let mut changed = commands.of_category(bit).next().is_none();
                for id in commands.of_category(bit) {
                    changed |= self.set_command(id, *sign == b'+', commands);
                }
                self.note(rule, changed);
            }
            [b'+', name @ ..] => self.allow(rule, name, commands)?,
            [b'-', name @ ..] => {
                let id = commands.find(name).ok_or(RuleError::Unknown)?;
                let changed = self.set_command(id, false, commands);
                self.note(rule, changed);
            }
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn set_all(&mut self, allowed: bool) {
        self.bits.fill(if allowed { u64::MAX } else { 0 });
        self.all_commands = allowed;
        self.base_all = allowed;
        self.rules.clear();
        self.first_args.clear();
    }

    /// Sets the bits of a command and its subcommands; what was said of its first arguments is forgotten. Tells whether that
    /// changed anything.
    fn set_command(&mut self, id: u16, allowed: bool, commands: &Commands) -> bool {
        let mut changed = false;
        for id in commands.with_subcommands(id) {
            changed |= self.bit(id) != allowed;
            if let Some(word) = self.bits.get_mut(usize::from(id) / 64) {
                let bit = 1 << (id % 64);
                *word = if allowed { *word | bit } else { *word & !bit };
            }
            self.first_args.retain(|(of, _)| *of != id);
        }
        self.all_commands &= allowed;
        changed
    }

    /// `+get`, `+config|get`, `+select|0`.
    fn allow(&mut self, rule: &[u8], name: &[u8], commands: &Commands) -> Result<(), RuleError> {
        let Some(bar) = memchr::memrchr(b'|', name) else {
            let id = commands.find(name).ok_or(RuleError::Unknown)?;
            let changed = self.set_command(id, true, commands);
            self.note(rule, changed);
            return Ok(());
        };
        let (parent, word) = (&name[..bar], &name[bar + 1..]);
        let id = commands.find(parent).ok_or(RuleError::Unknown)?;
        if commands.fact(id).is_sub {
            return Err(RuleError::FirstArgOfSubcommand);
        }
        if word.is_empty() {
            return Err(RuleError::Syntax);
        }
        let mut changed = !self.bit(id);
        if commands.is_container(id) {
            let sub = commands.find(name).ok_or(RuleError::Unknown)?;
            changed = self.set_command(sub, true, commands);
        } else {
            let word = word.to_ascii_lowercase().into_boxed_slice();
            if !self
                .first_args
                .iter()
                .any(|(of, w)| (*of, w) == (id, &word))
            {
                self.first_args.push((id, word));
            }
        }
        self.note(rule, changed);
        Ok(())
    }

    /// Remembers a command rule; it replaces those about the same command or category, its subcommands and first arguments.
    fn note(&mut self, rule: &[u8], mut changed: bool) {
        let rule = rule.to_ascii_lowercase();
        let name = &rule[1..];
        self.rules.retain(|(old, _)| {
            let rest = old[1..].strip_prefix(name);
            let replaced = rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'|');
            changed |= replaced;
            !replaced
        });
        self.rules.push((rule.into(), changed));
    }

    fn add_key_pattern(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AllKeys);
        }
        let (allows, text) = match rule.strip_prefix(b"~") {
            Some(text) => (KeyNeed::all(), text),
            None => split_permissions(&rule[1..])?,
        };
        if has_blanks(text) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|k| k.pattern.text() == text) {
            Some(known) => known.allows |= allows,
            None => self.keys.push(KeyPattern {
                pattern: Pattern::new(text),
                allows,
            }),
        }
        Ok(())
    }

    fn add_channel(&mut self, name: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::AllChannels);
        }
        if has_blanks(name) {
            return Err(RuleError::Syntax);
        }
        if !self.channels().any(|known| known == name) {
            self.channels.push(Pattern::new(name));
        }
        Ok(())
    }

    // ---- description ----

    /// The key rules: `~*`, or one per pattern.
    pub fn describe_keys(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.all_keys {
            out.extend_from_slice(b"~*");
        }
        for key in &self.keys {
            blank(&mut out);
            key.describe(&mut out);
        }
        out
    }

    /// The channel rules: `&*`, or one per pattern.
    pub fn describe_channels(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.all_channels {
            out.extend_from_slice(b"&*");
        }
        for name in self.channels() {
            blank(&mut out);
            out.push(b'&');
            out.extend_from_slice(name);
        }
        out
    }

    /// The command rules: the base and what follows it. Before 7.2 (`old_form`) rules that changed nothing were not told.
    pub fn describe_commands(&self, old_form: bool) -> Vec<u8> {
        let mut out = if self.base_all { b"+@all" } else { b"-@all" }.to_vec();
        let told = self
            .rules
            .iter()
            .filter(|(_, changed)| *changed || !old_form);
        for (rule, _) in told {
            out.push(b' ');
            out.extend_from_slice(rule);
        }
        out
    }

    /// All rules as ACL LIST prints them; applied to a new selector they make an equal one.
    pub fn describe(&self, old_form: bool) -> Vec<u8> {
        let mut out = self.describe_keys();
        blank(&mut out);
        if !self.all_channels {
            out.extend_from_slice(b"resetchannels");
            if !self.channels.is_empty() {
                out.push(b' ');
            }
        }
        out.extend_from_slice(&self.describe_channels());
        out.push(b' ');
        out.extend_from_slice(&self.describe_commands(old_form));
        out
    }
}

fn blank(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b' ');
    }
}

/// `RW~pattern` behind the `%`: letters in any case and order, each once; without `~` the pattern is empty.
fn split_permissions(rule: &[u8]) -> Result<(KeyNeed, &[u8]), RuleError> {
    let mut allows = KeyNeed::empty();
    let mut text: &[u8] = b"";
    for (i, byte) in rule.iter().enumerate() {
        let letter = match byte.to_ascii_lowercase() {
            b'r' => KeyNeed::READ,
            b'w' => KeyNeed::WRITE,
            b'~' => {
                text = &rule[i + 1..];
                break;
            }
            _ => return Err(RuleError::Syntax),
        };
        if allows.contains(letter) {
            return Err(RuleError::Syntax);
        }
        allows |= letter;
    }
    if allows.is_empty() {
        return Err(RuleError::Syntax);
    }
    Ok((allows, text))
}
