//! Clients and their table. A client is state only; who moves bytes and runs commands lives in `server` and `exec`.
pub mod blocked;
pub mod line;
pub mod memory;
pub mod replica;
pub mod table;

pub use crate::keyspace::effects::ClientRef;
pub use crate::pubsub::Subscriptions;
pub use blocked::Blocked;
pub use replica::ReplicaState;
pub use table::Clients;

use crate::acl::UserId;
use crate::net::{Conn, PeerName};
use crate::resp::parse::Parser;
use crate::resp::{OutBuf, OwnedArgs, Protocol, Reply};
use bitflags::bitflags;

bitflags! {
    /// What is special about a client. `SPECIAL` ones take the slow path of the guards.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct ClientFlags: u64 {
        /// Close once the pending replies are written.
        const CLOSE_AFTER_REPLY = 1;
        /// Close at the end of this tick, whatever is pending.
        const CLOSE_ASAP = 1 << 1;
        /// On the list of clients with something to write.
        const PENDING_WRITE = 1 << 2;
        /// The socket took less than we had; a writable event is awaited.
        const WRITE_BLOCKED = 1 << 3;
        /// On the list of connections that may have more to read.
        const READ_QUEUED = 1 << 4;
        /// Inside MULTI.
        const MULTI = 1 << 5;
        /// A watched key was touched: EXEC fails.
        const DIRTY_CAS = 1 << 6;
        /// A command could not be queued: EXEC fails.
        const DIRTY_EXEC = 1 << 7;
        /// Parked until a key is ready or time is over.
        const BLOCKED = 1 << 8;
        /// CLIENT REPLY OFF.
        const REPLY_OFF = 1 << 9;
        /// CLIENT REPLY SKIP was given: the next command's reply is dropped.
        const REPLY_SKIP_NEXT = 1 << 10;
        /// The running command's reply is dropped.
        const REPLY_SKIP = 1 << 11;
        /// CLIENT NO-EVICT.
        const NO_EVICT = 1 << 12;
        /// CLIENT NO-TOUCH.
        const NO_TOUCH = 1 << 13;
        /// Has to authenticate first.
        const UNAUTHENTICATED = 1 << 14;
        /// Subscribed to something (in RESP2 only few commands are allowed).
        const PUBSUB = 1 << 15;
        /// Receives MONITOR lines.
        const MONITOR = 1 << 16;
        /// A replica.
        const REPLICA = 1 << 17;
        /// Our master.
        const MASTER = 1 << 18;
        /// Runs commands for the AOF, scripts or the like: no socket.
        const FAKE = 1 << 19;
        /// CLIENT TRACKING is on.
        const TRACKING = 1 << 20;
        /// Held back by CLIENT PAUSE.
        const PAUSED = 1 << 21;
        /// Was unblocked and has unprocessed input.
        const RESUMED = 1 << 22;
        /// Connected through the unix socket.
        const UNIX = 1 << 23;
        /// Its commands come from a script.
        const SCRIPT = 1 << 24;
        /// Runs the queue of EXEC.
        const IN_EXEC = 1 << 25;
        /// Read-only replica connection of cluster mode (READONLY).
        const READONLY = 1 << 26;
        /// ASKING was given.
        const ASKING = 1 << 27;
        /// Its user may not do everything: permissions are asked before each command.
        const RESTRICTED = 1 << 28;
        /// Its EVALs are run under the debugger.
        const DEBUGS = 1 << 29;
        /// The debugger stops the whole server, rather than work in a forked child.
        const DEBUGS_SYNC = 1 << 30;
        /// The poller told of the end of its input: it is read up to there, as the end is told only once.
        const ENDED = 1 << 31;
        /// On the list of those to whom messages to many are to be written.
        const PENDING_FANOUT = 1 << 32;
    }
}

impl ClientFlags {
    /// Flags that a command's guards have to look at.
    pub const SPECIAL: ClientFlags = ClientFlags::MULTI
        .union(ClientFlags::UNAUTHENTICATED)
        .union(ClientFlags::PUBSUB)
        .union(ClientFlags::REPLICA)
        .union(ClientFlags::MASTER)
        .union(ClientFlags::FAKE)
        .union(ClientFlags::REPLY_OFF)
        .union(ClientFlags::REPLY_SKIP_NEXT)
        .union(ClientFlags::REPLY_SKIP)
        .union(ClientFlags::TRACKING)
        .union(ClientFlags::MONITOR)
        .union(ClientFlags::CLOSE_AFTER_REPLY);
    /// Flags under which no further command of the client is run.
    pub const HALTED: ClientFlags = ClientFlags::BLOCKED
        .union(ClientFlags::PAUSED)
        .union(ClientFlags::CLOSE_ASAP)
        .union(ClientFlags::CLOSE_AFTER_REPLY);
}

/// Index of a command or subcommand in the registry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct CommandId(pub u16);

impl CommandId {
    /// Position in arrays with one element per command.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A queued command of MULTI.
#[derive(Debug, Clone)]
pub struct Queued {
    /// The command's id in the registry.
    pub command: CommandId,
    /// Its arguments.
    pub args: OwnedArgs,
}

/// State of MULTI and WATCH; there only while one of them is in use.
#[derive(Debug, Default)]
pub struct MultiState {
    /// Commands in order.
    pub queue: Vec<Queued>,
    /// Keys being watched, with their databases.
    pub watched: Vec<(u32, Box<[u8]>)>,
    /// Heap bytes of the queued commands, kept while they are queued.
    pub queued_bytes: usize,
}

impl MultiState {
    /// Queues a command.
    pub fn push(&mut self, command: CommandId, args: OwnedArgs) {
        self.queued_bytes += args.mem_bytes();
        self.queue.push(Queued { command, args });
    }

    /// Heap bytes held (`multi-mem` of CLIENT LIST counts the same).
    pub fn mem_bytes(&self) -> usize {
        let watched = self
            .watched
            .iter()
            .map(|(_, k)| k.len() + size_of::<(u32, Box<[u8]>)>());
        size_of::<Self>()
            + self.queued_bytes
            + self.queue.capacity() * size_of::<Queued>()
            + watched.sum::<usize>()
    }
}

/// One client.
#[derive(Debug)]
pub struct Client {
    /// The id CLIENT ID replies; never used again.
    pub id: u64,
    /// Where it lives in the table.
    pub handle: ClientRef,
    /// Its connection.
    pub conn: Conn,
    /// What was replied and not written.
    pub out: OutBuf,
    /// Unprocessed input; empty (and without capacity) for an idle client.
    pub query: Vec<u8>,
    /// Parsing state of an incomplete command.
    pub parser: Parser,
    /// See [`ClientFlags`].
    pub flags: ClientFlags,
    /// The selected database.
    pub db: u32,
    /// Replication offset behind what it wrote last (WAIT, WAITAOF).
    pub woff: i64,
    /// The protocol it speaks.
    pub proto: Protocol,
    /// CLIENT SETNAME.
    pub name: Option<Box<[u8]>>,
    /// CLIENT SETINFO LIB-NAME and LIB-VER.
    pub lib: [Option<Box<[u8]>>; 2],
    /// The name of the user it is logged in as; None is the default user.
    pub user: Option<Box<[u8]>>,
    /// That user. `server::auth` sets both, and `RESTRICTED`.
    pub user_id: UserId,
    /// When it connected, Unix seconds.
    pub created_s: i64,
    /// When it last sent something, Unix seconds.
    pub last_interaction_s: i64,
    /// When its output first passed the soft limit, Unix seconds (0: it has not).
    pub soft_limit_since_s: i64,
    /// The last command it ran.
    pub last_command: Option<CommandId>,
    /// Bytes read from and written to it.
    pub net_in: u64,
    /// See `net_in`.
    pub net_out: u64,
    /// Commands it ran.
    pub commands: u64,
    /// MULTI and WATCH.
    pub multi: Option<Box<MultiState>>,
    /// What it waits for.
    pub blocked: Option<Box<Blocked>>,
    /// Pub/sub.
    pub subs: Option<Box<Subscriptions>>,
    /// Bytes its prefixes of client-side caching take.
    pub tracking_bytes: usize,
    /// What is known of it as a replica of ours: set with the first REPLCONF, SYNC or PSYNC.
    pub replica: Option<Box<ReplicaState>>,
    /// Memory last accounted for it (maxmemory-clients), bytes.
    pub accounted_mem: usize,
}

impl Client {
    /// A client on `conn`. `handle` is filled in by the table.
    pub fn new(id: u64, conn: Conn, now_s: i64) -> Self {
        Client {
            id,
            handle: ClientRef {
                slot: 0,
                generation: 0,
            },
            conn,
            out: OutBuf::new(),
            query: Vec::new(),
            parser: Parser::new(),
            flags: ClientFlags::empty(),
            db: 0,
            woff: 0,
            proto: Protocol::Resp2,
            name: None,
            lib: [None, None],
            user: None,
            user_id: UserId::DEFAULT,
            created_s: now_s,
            last_interaction_s: now_s,
            soft_limit_since_s: 0,
            last_command: None,
            net_in: 0,
            net_out: 0,
            commands: 0,
            multi: None,
            blocked: None,
            subs: None,
            tracking_bytes: 0,
            replica: None,
            accounted_mem: 0,
        }
    }

    /// A client without a connection, for commands the server runs itself.
    pub fn fake(now_s: i64) -> Self {
        let mut c = Client::new(0, Conn::None, now_s);
        c.flags = ClientFlags::FAKE;
        c
    }

    /// Whether a flag is set.
    #[inline(always)]
    pub fn has(&self, f: ClientFlags) -> bool {
        self.flags.intersects(f)
    }

    /// A writer for replies.
    #[inline(always)]
    pub fn reply(&mut self) -> Reply<'_> {
        Reply::new(&mut self.out, self.proto)
    }

    /// MULTI/WATCH state, made on first use.
    pub fn multi_mut(&mut self) -> &mut MultiState {
        self.multi.get_or_insert_default()
    }

    /// Subscriptions, made on first use.
    pub fn subs_mut(&mut self) -> &mut Subscriptions {
        self.subs.get_or_insert_default()
    }

    /// Its state as a replica, made on first use.
    pub fn replica_mut(&mut self) -> &mut ReplicaState {
        self.replica.get_or_insert_default()
    }

    /// The peer's address.
    pub fn addr(&self) -> PeerName {
        self.conn.peer()
    }

    /// Heap bytes of this client, buffers included.
    pub fn mem_bytes(&self) -> usize {
        size_of::<Client>()
            + self.out.mem_bytes()
            + self.query.capacity()
            + self.parser.mem_bytes()
            + self.name.as_ref().map_or(0, |n| n.len())
            + self.multi.as_ref().map_or(0, |m| m.mem_bytes())
            + self.subs.as_ref().map_or(0, |s| s.mem_bytes())
            + self.tracking_bytes
    }
}
