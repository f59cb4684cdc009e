//! The table of users. The default user always exists, under [`UserId::DEFAULT`]; the others come and go.
//!
//! Clients hold ids, not references. An id is used again after its user was removed, so whoever removes a user also logs out
//! the clients that hold its id, before anything else happens.

use super::rules::{RuleError, has_blanks};
use super::user::{RuleContext, User};
use std::collections::{BTreeMap, HashSet};

/// Refers to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct UserId(u32);

impl UserId {
    /// The default user.
    pub const DEFAULT: UserId = UserId(0);

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// The name of the default user.
pub const DEFAULT_USER: &[u8] = b"default";

/// What the default user may do unless told otherwise.
const DEFAULT_RULES: [&[u8]; 5] = [b"+@all", b"~*", b"&*", b"on", b"nopass"];

/// All users.
#[derive(Debug)]
pub struct Users {
    slots: Vec<Option<User>>,
    /// Empty slots.
    free: Vec<u32>,
    by_name: BTreeMap<Box<[u8]>, UserId>,
}

/// A rule was refused: which one, counted from 0, and why.
pub type Refused = (usize, RuleError);

/// The default user as it is without any configuration.
pub fn fresh_default(rules: RuleContext<'_>) -> User {
    let mut user = User::new(DEFAULT_USER, rules);
    for rule in DEFAULT_RULES {
        let applied = user.apply(rule, rules);
        debug_assert_eq!(applied, Ok(()));
    }
    user
}

/// Whether a user may have this name.
pub fn is_name(name: &[u8]) -> bool {
    !has_blanks(name)
}

impl Users {
    /// The default user alone.
    pub fn new(rules: RuleContext<'_>) -> Self {
        Users {
            slots: vec![Some(fresh_default(rules))],
            free: Vec::new(),
            by_name: BTreeMap::from([(DEFAULT_USER.into(), UserId::DEFAULT)]),
        }
    }

    /// A user. None after it was removed.
    #[inline]
    pub fn get(&self, id: UserId) -> Option<&User> {
        self.slots.get(id.index())?.as_ref()
    }

    /// The default user.
    pub fn default_user(&self) -> &User {
        match &self.slots[0] {
            Some(user) => user,
            None => unreachable!("the default user is never removed"),
        }
    }

    /// The user of this name.
    pub fn find(&self, name: &[u8]) -> Option<UserId> {
        self.by_name.get(name).copied()
    }

    /// The user of this name, with its id.
    pub fn by_name(&self, name: &[u8]) -> Option<(UserId, &User)> {
        let id = self.find(name)?;
        Some((id, self.get(id)?))
    }

    /// Every user, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.by_name.values().filter_map(|id| self.get(*id))
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Never: there is the default user.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Puts a user in place of the one of the same name, or adds it.
    pub fn put(&mut self, user: User) -> UserId {
        let id = self.find(user.name()).unwrap_or_else(|| self.free_id());
        self.by_name.insert(user.name().into(), id);
        self.slots[id.index()] = Some(user);
        id
    }

    fn free_id(&mut self) -> UserId {
        UserId(self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        }))
    }

    /// Changes a user by rules, or makes it if there is none of this name: all rules take effect, or none.
    ///
    /// # Errors
    /// The first rule that is refused.
    pub fn change<R: AsRef<[u8]>>(
        &mut self,
        name: &[u8],
        rules: &[R],
        context: RuleContext<'_>,
    ) -> Result<UserId, Refused> {
        let known = self.by_name(name).map(|(_, user)| user.clone());
        let mut user = known.unwrap_or_else(|| User::new(name, context));
        for (i, rule) in rules.iter().enumerate() {
            user.apply(rule.as_ref(), context).map_err(|e| (i, e))?;
        }
        Ok(self.put(user))
    }

    /// Removes a user; its id, which the caller must take from all clients. The default user stays.
    pub fn remove(&mut self, name: &[u8]) -> Option<UserId> {
        if name == DEFAULT_USER {
            return None;
        }
        let id = self.by_name.remove(name)?;
        self.slots[id.index()] = None;
        self.free.push(id.0);
        Some(id)
    }

    /// Puts these users in place of all there are (a missing default user becomes a fresh one). Users that are in both keep
    /// their ids; the ids of the others are returned and must be taken from all clients.
    pub fn replace_all(&mut self, users: Vec<User>, context: RuleContext<'_>) -> Vec<UserId> {
        let new: HashSet<&[u8]> = users.iter().map(User::name).collect();
        let names = self.by_name.keys().cloned();
        let gone: Vec<_> = names.filter(|name| !new.contains(&**name)).collect();
        let ids = gone.iter().filter_map(|name| self.remove(name)).collect();
        if !new.contains(DEFAULT_USER) {
            self.put(fresh_default(context));
        }
        for user in users {
            self.put(user);
        }
        ids
    }
}
