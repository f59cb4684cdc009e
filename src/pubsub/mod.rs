//! Pub/sub: who listens to what. State and questions only; messages are sent by `server::publish`.
//!
//! There are three kinds of names: channels, patterns and shard channels. Each kind maps a name to the set of its listeners,
//! from which a message is sent by one walk over memory. Every client also holds its own names ([`Subscriptions`]), so that it
//! can count them and be removed without a search. The text of a name is shared by both sides.
//!
//! Invariants: a name without listeners is not kept; a client is in a name's set exactly when the name is in its own.
//!
//! Extending: a new kind is a variant of [`Kind`], a field in [`Subscriptions`] and its row of commands.

use crate::ds::dense::DenseSet;
use crate::ds::glob;
use crate::keyspace::effects::ClientRef;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The text of a channel or pattern.
pub type Name = Arc<[u8]>;

/// Those who listen to one name.
pub type Listeners = DenseSet<ClientRef>;

type Names = HashMap<Name, Listeners, foldhash::quality::RandomState>;

/// What a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A channel (SUBSCRIBE).
    Channel,
    /// A pattern of channels (PSUBSCRIBE).
    Pattern,
    /// A shard channel (SSUBSCRIBE): a name space of its own, counted apart.
    Shard,
}

/// The names one client listens to; there only while there are some.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Channels.
    pub channels: HashSet<Name>,
    /// Patterns.
    pub patterns: HashSet<Name>,
    /// Shard channels.
    pub shard_channels: HashSet<Name>,
}

impl Subscriptions {
    /// Number of channels and patterns, which is what SUBSCRIBE replies count.
    pub fn count(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// The number that replies about `kind` carry.
    pub fn count_of(&self, kind: Kind) -> usize {
        match kind {
            Kind::Shard => self.shard_channels.len(),
            _ => self.count(),
        }
    }

    /// True when nothing is subscribed to.
    pub fn is_empty(&self) -> bool {
        self.count() + self.shard_channels.len() == 0
    }

    /// The names of one kind.
    pub fn of(&self, kind: Kind) -> &HashSet<Name> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shard_channels,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut HashSet<Name> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shard_channels,
        }
    }

    /// Heap bytes of the tables (the texts belong to the room as well and are counted there by nobody, as upstream).
    pub fn mem_bytes(&self) -> usize {
        let slots =
            self.channels.capacity() + self.patterns.capacity() + self.shard_channels.capacity();
        size_of::<Self>() + slots * (size_of::<Name>() + 1)
    }
}

/// Everybody's subscriptions.
#[derive(Debug, Default)]
pub struct PubSub {
    channels: Names,
    patterns: Names,
    shard_channels: Names,
}

impl PubSub {
    /// Nobody listens yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn names(&self, kind: Kind) -> &Names {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shard_channels,
        }
    }

    fn names_mut(&mut self, kind: Kind) -> &mut Names {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shard_channels,
        }
    }

    /// Adds a subscription of `client`, whose own names are `own`; false when it had it.
    pub fn subscribe(
        &mut self,
        kind: Kind,
        name: &[u8],
        client: ClientRef,
        own: &mut Subscriptions,
    ) -> bool {
        if own.of(kind).contains(name) {
            return false;
        }
        let names = self.names_mut(kind);
        let shared = match names.get_key_value(name) {
            Some((text, _)) => text.clone(),
            None => Name::from(name),
        };
        names.entry(shared.clone()).or_default().insert(client);
        own.of_mut(kind).insert(shared);
        true
    }

    /// Removes a subscription; false when there was none.
    pub fn unsubscribe(
        &mut self,
        kind: Kind,
        name: &[u8],
        client: ClientRef,
        own: &mut Subscriptions,
    ) -> bool {
        if !own.of_mut(kind).remove(name) {
            return false;
        }
        self.drop_listener(kind, name, client);
        true
    }

    fn drop_listener(&mut self, kind: Kind, name: &[u8], client: ClientRef) {
        let names = self.names_mut(kind);
        if let Some(set) = names.get_mut(name) {
            set.remove(client);
            if set.is_empty() {
                names.remove(name);
            }
        }
    }

    /// Removes a client that goes away, with everything it listened to.
    pub fn forget(&mut self, client: ClientRef, own: &Subscriptions) {
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            for name in own.of(kind) {
                self.drop_listener(kind, name, client);
            }
        }
    }

    /// True when no message on a channel could reach anybody.
    pub fn nobody_listens(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty()
    }

    /// Who listens to exactly this name.
    pub fn listeners(&self, kind: Kind, name: &[u8]) -> &[ClientRef] {
        self.names(kind).get(name).map_or(&[], Listeners::as_slice)
    }

    /// The patterns that match a channel, with their listeners.
    pub fn matching<'a>(
        &'a self,
        channel: &'a [u8],
    ) -> impl Iterator<Item = (&'a Name, &'a [ClientRef])> + 'a {
        self.patterns
            .iter()
            .filter(move |(p, _)| glob::matches(p, channel, false))
            .map(|(p, l)| (p, l.as_slice()))
    }

    /// The names of a kind that match `pattern` (all without one).
    pub fn active<'a>(
        &'a self,
        kind: Kind,
        pattern: Option<&'a [u8]>,
    ) -> impl Iterator<Item = &'a Name> + 'a {
        self.names(kind)
            .keys()
            .filter(move |n| pattern.is_none_or(|p| glob::matches(p, n, false)))
    }

    /// How many names of a kind somebody listens to.
    pub fn len(&self, kind: Kind) -> usize {
        self.names(kind).len()
    }
}

#[cfg(test)]
mod tests;
