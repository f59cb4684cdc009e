//! Client-side caching: which client may hold a copy of which key. State and questions only; `server::tracked` sends.
//!
//! In the default mode the keys a tracking client reads are remembered in the invalidation table ([`keys::KeyTable`]); the first
//! change of a key takes it out and tells those who read it. In broadcasting mode nothing is remembered per key: a client names
//! prefixes, changed keys are gathered per prefix ([`prefixes::Prefixes`]) and told once at the end of the tick.
//!
//! A client that goes away leaves its handle in the table until the key changes: handles carry a generation, so a stale one meets
//! nobody.
//!
//! Invariants: a client has [`Options`] exactly while it tracks (and then has `ClientFlags::TRACKING`); it is in a prefix' set
//! exactly when the prefix is in its options.
pub mod keys;
pub mod prefixes;

use crate::keyspace::effects::ClientRef;
use bitflags::bitflags;
use std::collections::{BTreeSet, HashMap};

bitflags! {
    /// How a client tracks.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Mode: u8 {
        /// By prefixes instead of by keys read.
        const BCAST = 1;
        /// Only what is read by the command after CLIENT CACHING YES is remembered.
        const OPTIN = 1 << 1;
        /// Everything but what is read by the command after CLIENT CACHING NO is remembered.
        const OPTOUT = 1 << 2;
        /// The client is not told of its own changes.
        const NOLOOP = 1 << 3;
        /// CLIENT CACHING was given and counts for the next command.
        const CACHING = 1 << 4;
        /// The client that invalidations go to is gone.
        const BROKEN = 1 << 5;
    }
}

/// What a tracking client asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// See [`Mode`].
    pub mode: Mode,
    /// Id of the client that is told instead; 0 for none.
    pub redirect: u64,
    /// Its prefixes (BCAST), in order.
    pub prefixes: BTreeSet<Box<[u8]>>,
}

impl Options {
    /// Whether the keys that its running command reads are to be remembered.
    pub fn remembers(&self) -> bool {
        let caching = self.mode.contains(Mode::CACHING);
        let m = self.mode;
        !(m.contains(Mode::BCAST)
            || m.contains(Mode::OPTIN) && !caching
            || m.contains(Mode::OPTOUT) && caching)
    }
}

/// Bytes that keeping a prefix takes besides its text, about.
const PREFIX_BYTES: usize = 64;

/// Everybody's tracking.
#[derive(Debug, Default)]
pub struct Tracking {
    clients: HashMap<ClientRef, Options, foldhash::fast::RandomState>,
    /// The invalidation table.
    pub keys: keys::KeyTable,
    /// Prefixes and what changed below them.
    pub prefixes: prefixes::Prefixes,
}

impl Tracking {
    /// What a client asked for; None when it does not track.
    pub fn options(&self, client: ClientRef) -> Option<&Options> {
        self.clients.get(&client)
    }

    /// See [`Tracking::options`].
    pub fn options_mut(&mut self, client: ClientRef) -> Option<&mut Options> {
        self.clients.get_mut(&client)
    }

    /// Switches tracking on for a client, or changes how it tracks. Its earlier prefixes stay. Returns about how many bytes
    /// its new prefixes take.
    pub fn enable(
        &mut self,
        client: ClientRef,
        mode: Mode,
        redirect: u64,
        prefixes: &[&[u8]],
    ) -> usize {
        let o = self.clients.entry(client).or_default();
        (o.mode, o.redirect) = (mode, redirect);
        let mut bytes = 0;
        if !mode.contains(Mode::BCAST) {
            return bytes;
        }
        let everything: &[&[u8]] = &[b""];
        for p in if prefixes.is_empty() {
            everything
        } else {
            prefixes
        } {
            if o.prefixes.insert((*p).into()) {
                self.prefixes.join(p, client);
                // Here and among the prefixes of all.
                bytes += 2 * (p.len() + PREFIX_BYTES);
            }
        }
        bytes
    }

    /// Switches tracking off; false when it was not on.
    pub fn disable(&mut self, client: ClientRef) -> bool {
        let Some(o) = self.clients.remove(&client) else {
            return false;
        };
        for p in &o.prefixes {
            self.prefixes.leave(p, client);
        }
        if self.clients.is_empty() {
            self.keys.clear();
        }
        true
    }

    /// The clients that track.
    pub fn clients(&self) -> impl Iterator<Item = ClientRef> + '_ {
        self.clients.keys().copied()
    }

    /// How many clients track.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// True when nobody tracks.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(slot: u32) -> ClientRef {
        ClientRef {
            slot,
            generation: 1,
        }
    }

    #[test]
    fn modes_that_remember() {
        let of = |mode| {
            Options {
                mode,
                ..Options::default()
            }
            .remembers()
        };
        assert!(of(Mode::empty()) && of(Mode::NOLOOP) && of(Mode::OPTOUT));
        assert!(!of(Mode::OPTIN) && of(Mode::OPTIN | Mode::CACHING));
        assert!(!of(Mode::OPTOUT | Mode::CACHING) && !of(Mode::BCAST));
    }

    #[test]
    fn prefixes_add_up_and_go_with_the_client() {
        let mut t = Tracking::default();
        t.enable(client(1), Mode::BCAST, 0, &[b"a", b"b"]);
        t.enable(client(1), Mode::BCAST, 0, &[b"c"]);
        t.enable(client(2), Mode::BCAST, 0, &[]);
        assert_eq!((t.prefixes.len(), t.len()), (4, 2));
        assert_eq!(t.options(client(1)).map(|o| o.prefixes.len()), Some(3));
        assert!(t.disable(client(1)) && !t.disable(client(1)));
        assert_eq!((t.prefixes.len(), t.len()), (1, 1));
    }

    #[test]
    fn the_last_one_empties_the_table() {
        let mut t = Tracking::default();
        t.enable(client(1), Mode::empty(), 0, &[]);
        t.keys.remember(b"k", client(1));
        t.disable(client(1));
        assert_eq!((t.keys.len(), t.is_empty()), (0, true));
    }
}
