//! What goes to the AOF and the replicas.
//!
//! **Units.** What one command, one EXEC or one script changes reaches the AOF and the replicas as one unit: in the order it
//! happened, deletions of expired and evicted keys on the way included, between MULTI and EXEC unless it is a single command.
//! [`unit_begin`] and [`unit_end`] bracket a unit; they nest, and only the outermost end sends. A command called outside of
//! any unit is a unit of its own. Clients that are woken by a unit run after its end, each as a unit of its own.
//!
//! Nobody listens on a server without AOF and replicas (`fx.propagating` is false): nothing is copied, and all this is a
//! branch.
//!
//! Extending: a listener is called in [`feed`], once per command, in order. It keeps track of the selected database itself:
//! `None` stands for EXEC, which needs none.

use super::Ctx;
use super::command::CommandFlags as F;
use crate::resp::{Args, OwnedArgs};
use crate::server::{Server, ServerState};

/// The unit that is being collected.
#[derive(Debug, Default)]
pub struct Propagation {
    /// How many units are open, one inside the other.
    depth: u32,
    /// Commands of the outermost unit so far, with their databases.
    unit: Vec<(u32, OwnedArgs)>,
    /// From whom what is added now is withheld (`redis.set_repl` of a script): bits of [`Propagation::AOF`] and
    /// [`Propagation::REPLICAS`].
    withhold: u8,
    /// Commands of the unit (by index) that are withheld from somebody.
    withheld: Vec<(usize, u8)>,
    /// From whom the command that is being fed is withheld.
    feeding_withheld: u8,
    /// Where a test (or DEBUG) reads along: everything that was fed.
    pub tap: Option<Vec<(Option<u32>, OwnedArgs)>>,
}

impl Propagation {
    /// The AOF, as a bit of `withhold`.
    pub const AOF: u8 = 1;
    /// The replicas, as a bit of `withhold`.
    pub const REPLICAS: u8 = 2;

    /// What is added to the unit from now on is withheld from these; 0 ends that.
    #[inline]
    pub fn withhold(&mut self, from: u8) {
        self.withhold = from;
    }

    /// Whether the command that is being fed is to reach this listener.
    #[inline]
    pub fn reaches(&self, listener: u8) -> bool {
        self.feeding_withheld & listener == 0
    }

    /// Whether a unit is open.
    pub fn in_unit(&self) -> bool {
        self.depth > 0
    }
}

/// Opens a unit.
#[inline]
pub fn unit_begin(server: &mut Server) {
    server.propagation.depth += 1;
}

/// Closes a unit; the outermost one is sent.
#[inline]
pub fn unit_end(server: &mut Server) {
    debug_assert!(server.propagation.depth > 0, "unit_end without unit_begin");
    server.propagation.depth = server.propagation.depth.saturating_sub(1);
    if server.propagation.depth == 0 && !server.propagation.unit.is_empty() {
        send(server);
    }
}

/// After a command ran: takes what it is to be propagated as and clears the record for the next one. `changed`: the dirty
/// count moved.
pub fn after_call(ctx: &mut Ctx<'_>, changed: bool) {
    let fx = &mut ctx.server.ks.fx;
    let force = fx.force.take();
    let instead = fx.instead.take();
    if !fx.propagating {
        return fx.before.clear();
    }
    let wanted = match force {
        Some(yes) => yes,
        None => changed || instead.is_some(),
    };
    let (db, args) = (ctx.client.db, ctx.args);
    let server = &mut *ctx.server;
    if ctx.command.flags.contains(F::TOUCHES_ARBITRARY_KEYS) && !server.propagation.in_unit() {
        // The keys it happened to meet have nothing to do with each other.
        flush_deletions(server);
    }
    unit_begin(server);
    let alone = server.propagation.depth == 1 && server.ks.fx.before.is_empty();
    take_deletions(server);
    let first = server.propagation.unit.len();
    match instead {
        _ if !wanted => {}
        Some(commands) => server.propagation.unit.extend(commands),
        // A unit of one command need not be copied.
        None if alone => feed(server, Some(db), args),
        None => server.propagation.unit.push((db, OwnedArgs::copy_of(args))),
    }
    if server.propagation.withhold != 0 {
        note_withheld(&mut server.propagation, first);
    }
    unit_end(server);
}

/// Remembers from whom the commands of the unit from `first` on are withheld.
#[cold]
fn note_withheld(p: &mut Propagation, first: usize) {
    if p.withhold == Propagation::AOF | Propagation::REPLICAS {
        return p.unit.truncate(first);
    }
    let added = first..p.unit.len();
    p.withheld.extend(added.map(|i| (i, p.withhold)));
}

/// Adds one command to the open unit, or sends it as a unit of its own.
pub fn add(server: &mut Server, db: u32, command: OwnedArgs) {
    if server.ks.fx.propagating {
        unit_begin(server);
        server.propagation.unit.push((db, command));
        unit_end(server);
    }
}

/// Deletions that happened outside of any command (active expiry, eviction): each becomes a unit of its own, or joins the
/// open one. To be called after each such deletion or batch of them.
pub fn flush_deletions(server: &mut Server) {
    if server.ks.fx.before.is_empty() {
        return;
    }
    for (db, command) in std::mem::take(&mut server.ks.fx.before) {
        add(server, db, command);
    }
}

/// Deletions recorded so far come before the command that caused them.
fn take_deletions(server: &mut Server) {
    server.propagation.unit.append(&mut server.ks.fx.before);
}

#[cold]
fn send(server: &mut Server) {
    let unit = std::mem::take(&mut server.propagation.unit);
    let wrapped = unit.len() > 1;
    if wrapped {
        // The first SELECT stands before MULTI, as upstream has it.
        let first = unit.first().map(|(db, _)| *db);
        feed(server, first, OwnedArgs::from_iter([b"MULTI"]).view());
    }
    let withheld = std::mem::take(&mut server.propagation.withheld);
    for (i, (db, command)) in unit.iter().enumerate() {
        let from = withheld.iter().find(|(at, _)| *at == i);
        server.propagation.feeding_withheld = from.map_or(0, |(_, from)| *from);
        feed(server, Some(*db), command.view());
    }
    server.propagation.feeding_withheld = 0;
    if wrapped {
        feed(server, None, OwnedArgs::from_iter([b"EXEC"]).view());
    }
}

/// Finds out whether anybody listens. To be called whenever a listener comes or goes, when loading begins
/// or ends, and when the role changes.
pub fn refresh_listening(server: &mut Server) {
    let loading = server.state.contains(ServerState::LOADING);
    let aof = !loading && server.persist.aof.takes_commands();
    // A replica's backlog takes the master's bytes, not our commands.
    let replicates = server.repl.backlog.is_some() && !server.state.contains(ServerState::REPLICA);
    server.ks.fx.propagating = aof || replicates || server.propagation.tap.is_some();
}

/// How far the stream of what was propagated has come: the replication offset, which grows with an AOF alone as well.
pub fn stream_offset(server: &Server) -> i64 {
    server.repl.offset
}

/// Hands one command to everybody who listens. `db` is None for the EXEC around a unit.
fn feed(server: &mut Server, db: Option<u32>, args: Args<'_>) {
    // A replica's stream is its master's; what its own clients write stays here.
    let p = &server.propagation;
    let (to_replicas, to_aof) = (
        p.reaches(Propagation::REPLICAS),
        p.reaches(Propagation::AOF),
    );
    if to_replicas && !server.state.contains(ServerState::REPLICA) {
        server.repl.feed(db, args);
    }
    if to_aof && server.persist.aof.takes_commands() {
        let annotate = server.annotation();
        server.persist.aof.log.take(db, args, annotate);
    }
    if let Some(tap) = &mut server.propagation.tap {
        tap.push((db, OwnedArgs::copy_of(args)));
    }
}
