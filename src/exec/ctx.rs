//! What a command function gets: the server, the client it runs for, and its arguments.
//!
//! The client was moved out of the table, and the arguments borrow a buffer that belongs to neither, so the three never alias.
//! [`Ctx::parts`] hands out disjoint borrows: the database view, the reply writer and the settings.

use super::command::Command;
use crate::client::{Client, ClientFlags};
use crate::config::Config;
use crate::keyspace::{DbView, ExpiredKeys, Key};
use crate::resp::{Args, Error, OwnedArgs, Reply};
use crate::server::Server;

/// The context of one running command.
pub struct Ctx<'a> {
    /// The server.
    pub server: &'a mut Server,
    /// The client it runs for.
    pub client: &'a mut Client,
    /// The arguments, the command's name first (for a subcommand the container's name, then its own).
    pub args: Args<'a>,
    /// The row of the running command.
    pub command: &'static Command,
    /// The hash of the first key, when it was computed ahead.
    pub first_hash: Option<u64>,
}

impl<'a> Ctx<'a> {
    /// Argument `i`; arity guarantees those a row demands.
    #[inline(always)]
    pub fn arg(&self, i: usize) -> &'a [u8] {
        self.args.at(i)
    }

    /// The error of a container whose subcommand does not take these arguments.
    #[cold]
    pub fn wrong_subcommand(&self) -> Error {
        let container = self.arg(0).to_ascii_uppercase();
        // Upstream cuts what it quotes.
        let typed = &self.arg(1)[..self.arg(1).len().min(128)];
        let parts: [&[u8]; 5] = [
            b"ERR unknown subcommand or wrong number of arguments for '",
            typed,
            b"'. Try ",
            &container,
            b" HELP.",
        ];
        Error::Bytes(parts.concat())
    }

    /// Argument `i` as a key.
    #[inline(always)]
    pub fn key(&self, i: usize) -> Key<'a> {
        let bytes = self.args.at(i);
        match self.first_hash {
            // Hashes are computed ahead for argument 1 only.
            Some(hash) if i == 1 => Key { bytes, hash },
            _ => Key::new(bytes),
        }
    }

    /// A view of the client's selected database.
    #[inline(always)]
    pub fn db(&mut self) -> DbView<'_> {
        let touch = self.touches();
        let s = &mut *self.server;
        s.ks.view(
            self.client.db,
            &s.config,
            s.clock.now_ms,
            s.expired_keys,
            touch,
        )
    }

    /// A view of another database.
    pub fn db_at(&mut self, db: u32) -> DbView<'_> {
        let touch = self.touches();
        let s = &mut *self.server;
        s.ks.view(db, &s.config, s.clock.now_ms, s.expired_keys, touch)
    }

    #[inline(always)]
    fn touches(&self) -> bool {
        !self.server.child_is_saving && !self.client.has(ClientFlags::NO_TOUCH)
    }

    /// The reply writer.
    #[inline(always)]
    pub fn reply(&mut self) -> Reply<'_> {
        self.client.reply()
    }

    /// The database view, the reply writer and the settings at once.
    #[inline(always)]
    pub fn parts(&mut self) -> (DbView<'_>, Reply<'_>, &Config) {
        let touch = self.touches();
        let s = &mut *self.server;
        let view = s.ks.view(
            self.client.db,
            &s.config,
            s.clock.now_ms,
            s.expired_keys,
            touch,
        );
        (
            view,
            Reply::new(&mut self.client.out, self.client.proto),
            &s.config,
        )
    }

    /// The instant the command runs at, Unix ms.
    #[inline(always)]
    pub fn now_ms(&self) -> i64 {
        self.server.clock.now_ms
    }

    /// True when what commands change is written to an AOF or sent to replicas: only then is a rewritten form worth making.
    #[inline(always)]
    pub fn propagates(&self) -> bool {
        self.server.ks.fx.propagating
    }

    /// The running command is propagated as these instead of as it came. An empty list propagates nothing.
    pub fn propagate_as(&mut self, commands: Vec<OwnedArgs>) {
        if self.propagates() {
            let db = self.client.db;
            self.server.ks.fx.instead = Some(commands.into_iter().map(|a| (db, a)).collect());
        }
    }

    /// Adds one command to what the running one is propagated as; the first such call replaces its own form.
    pub fn also_propagate(&mut self, db: u32, command: OwnedArgs) {
        if self.propagates() {
            self.server
                .ks
                .fx
                .instead
                .get_or_insert_default()
                .push((db, command));
        }
    }

    /// The running command is propagated as it came even if it changed nothing (PUBLISH, SCRIPT), or not at all.
    pub fn force_propagation(&mut self, yes: bool) {
        // Where nobody listens nobody takes it away either: it must not meet the next command, which may be the one that makes
        // somebody listen (REPLICAOF NO ONE).
        if self.propagates() {
            self.server.ks.fx.force = Some(yes);
        }
    }

    /// True while an expired key must be deleted by us (a master), false on a replica.
    pub fn deletes_expired(&self) -> bool {
        self.server.expired_keys == ExpiredKeys::Delete
    }

    /// Argument `i` as an integer.
    #[inline]
    pub fn int(&self, i: usize) -> Result<i64, Error> {
        crate::ds::numtext::parse_i64(self.arg(i)).ok_or(Error::NotInteger)
    }

    /// Argument `i` as an integer in a range, with the error to give otherwise.
    pub fn int_in(&self, i: usize, low: i64, high: i64, error: &'static str) -> Result<i64, Error> {
        match crate::ds::numtext::parse_i64(self.arg(i)) {
            Some(v) if (low..=high).contains(&v) => Ok(v),
            Some(_) => Err(Error::new(error)),
            None => Err(Error::NotInteger),
        }
    }

    /// Whether argument `i` is this word, in any case.
    #[inline]
    pub fn is(&self, i: usize, word: &str) -> bool {
        crate::resp::is_word(self.arg(i), word.as_bytes())
    }

    /// Argument `i` as a database number, with upstream's two errors.
    pub fn db_number(&self, i: usize) -> Result<u32, Error> {
        let v = self.int(i)?;
        if i32::try_from(v).is_err() {
            return Err(Error::new(
                "ERR value is out of range, value must between -2147483648 and 2147483647",
            ));
        }
        match u32::try_from(v) {
            Ok(n) if (n as usize) < self.server.ks.dbs.len() => Ok(n),
            _ => Err(Error::new("ERR DB index is out of range")),
        }
    }
}
