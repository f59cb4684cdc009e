//! A user: a name, flags, password hashes, a root selector and further selectors.

use super::commands::Commands;
use super::password::{self, HASH_LEN, Hash};
use super::rules::RuleError;
use super::selector::Selector;
use crate::resp::parse::split_words;
use bitflags::bitflags;

bitflags! {
    /// What rules switch about a user.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct UserFlags: u8 {
        /// May log in.
        const ON = 1;
        /// Any password is right.
        const NOPASS = 2;
        /// RESTORE payloads are taken without a deep look (`sanitize-dump-payload clients`).
        const SKIP_SANITIZE = 4;
    }
}

/// A user. See the file header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    name: Box<[u8]>,
    flags: UserFlags,
    passwords: Vec<Hash>,
    /// The root selector, then the others in the order they were added.
    selectors: Vec<Selector>,
}

/// What rules are read against.
#[derive(Debug, Clone, Copy)]
pub struct RuleContext<'a> {
    /// The commands.
    pub commands: &'a Commands,
    /// New users and selectors may use every channel (`acl-pubsub-default allchannels`).
    pub all_channels: bool,
}

impl User {
    /// A new user: off, without passwords and permissions.
    pub fn new(name: &[u8], rules: RuleContext<'_>) -> Self {
        User {
            name: name.into(),
            flags: UserFlags::empty(),
            passwords: Vec::new(),
            selectors: vec![Selector::new(rules.commands, rules.all_channels)],
        }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its flags.
    pub fn flags(&self) -> UserFlags {
        self.flags
    }

    /// Whether it may log in.
    pub fn is_on(&self) -> bool {
        self.flags.contains(UserFlags::ON)
    }

    /// Whether any password is right.
    pub fn needs_no_password(&self) -> bool {
        self.flags.contains(UserFlags::NOPASS)
    }

    /// The hashes of its passwords.
    pub fn passwords(&self) -> &[Hash] {
        &self.passwords
    }

    /// Root selector first.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Whether it may do everything: then nobody needs to ask.
    pub fn is_unrestricted(&self) -> bool {
        self.selectors[0].is_unrestricted()
    }

    /// Whether the password lets it in. Every hash is compared, so that the time taken does not tell which one was right.
    pub fn accepts(&self, given: &[u8]) -> bool {
        let hash = password::hash(given);
        let right = self
            .passwords
            .iter()
            .fold(false, |right, known| right | password::same(&hash, known));
        self.is_on() && (right || self.needs_no_password())
    }

    /// Applies one rule.
    ///
    /// # Errors
    /// Why it is refused; then the user may have changed in part: apply rules to a copy.
    pub fn apply(&mut self, rule: &[u8], rules: RuleContext<'_>) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            _ if is("on") => self.flags.insert(UserFlags::ON),
            _ if is("off") => self.flags.remove(UserFlags::ON),
            _ if is("nopass") => {
                self.flags.insert(UserFlags::NOPASS);
                self.passwords.clear();
            }
            _ if is("resetpass") => {
                self.flags.remove(UserFlags::NOPASS);
                self.passwords.clear();
            }
            _ if is("skip-sanitize-payload") => self.flags.insert(UserFlags::SKIP_SANITIZE),
            _ if is("sanitize-payload") => self.flags.remove(UserFlags::SKIP_SANITIZE),
            _ if is("clearselectors") => self.selectors.truncate(1),
            _ if is("reset") => *self = User::new(&self.name, rules),
            [b'>', text @ ..] => self.add_password(password::hash(text)),
            [b'<', text @ ..] => self.remove_password(&password::hash(text))?,
            [b'#', hash @ ..] => {
                let hash = password::parse_hash(hash).ok_or(RuleError::BadHash)?;
                self.add_password(hash);
            }
            [b'!', hash @ ..] => {
                let hash = password::parse_hash(hash).ok_or(RuleError::BadHash)?;
                self.remove_password(&hash)?;
            }
            [b'(', inner @ .., b')'] => self.add_selector(inner, rules)?,
            _ => self.selectors[0].apply(rule, rules.commands)?,
        }
        Ok(())
    }

    fn add_password(&mut self, hash: Hash) {
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
        self.flags.remove(UserFlags::NOPASS);
    }

    fn remove_password(&mut self, hash: &Hash) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|known| known == hash);
        self.passwords.remove(at.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    /// Compat: words with a quote that does not close make an empty selector, as upstream.
    fn add_selector(&mut self, inner: &[u8], rules: RuleContext<'_>) -> Result<(), RuleError> {
        let mut selector = Selector::new(rules.commands, rules.all_channels);
        for rule in split_words(inner).unwrap_or_default() {
            selector.apply(&rule, rules.commands)?;
        }
        self.selectors.push(selector);
        Ok(())
    }

    /// The names of its flags. `sanitize-payload` was not named before 7.2 (`old_form`).
    pub fn flag_names(&self, old_form: bool) -> Vec<&'static str> {
        let mut names = vec![if self.is_on() { "on" } else { "off" }];
        if self.needs_no_password() {
            names.push("nopass");
        }
        if self.flags.contains(UserFlags::SKIP_SANITIZE) {
            names.push("skip-sanitize-payload");
        } else if !old_form {
            names.push("sanitize-payload");
        }
        names
    }

    /// All rules as ACL LIST, ACL files and configuration files have them, without the user's name.
    pub fn describe(&self, old_form: bool) -> Vec<u8> {
        let mut out = self.flag_names(old_form).join(" ").into_bytes();
        for hash in &self.passwords {
            out.reserve(HASH_LEN + 2);
            out.extend_from_slice(b" #");
            out.extend_from_slice(hash);
        }
        out.push(b' ');
        out.extend_from_slice(&self.selectors[0].describe(old_form));
        for selector in &self.selectors[1..] {
            out.extend_from_slice(b" (");
            out.extend_from_slice(&selector.describe(old_form));
            out.push(b')');
        }
        out
    }

    /// The user's line: `user NAME RULES`.
    pub fn line(&self, old_form: bool) -> Vec<u8> {
        [b"user ", &*self.name, b" ", &self.describe(old_form)].concat()
    }
}
