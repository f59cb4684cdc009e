//! What a parked client waits for.

use super::CommandId;
use crate::keyspace::Type;
use crate::resp::{OwnedArgs, Reply};

/// Why a client is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// A list to pop from.
    List,
    /// A sorted set to pop from.
    ZSet,
    /// A stream to read from.
    Stream,
    /// Replicas to acknowledge (WAIT, WAITAOF).
    Wait,
    /// Writes (or everything) to be allowed again (CLIENT PAUSE).
    Postponed,
    /// The end of a shutdown.
    Shutdown,
    /// What was flushed to be freed (FLUSHALL, FLUSHDB).
    Freeing,
}

impl BlockKind {
    /// The type of value that serves such a client; None when it does not wait for keys.
    pub fn wants(self) -> Option<Type> {
        match self {
            BlockKind::List => Some(Type::List),
            BlockKind::ZSet => Some(Type::ZSet),
            BlockKind::Stream => Some(Type::Stream),
            BlockKind::Wait | BlockKind::Postponed | BlockKind::Shutdown | BlockKind::Freeing => {
                None
            }
        }
    }
}

/// What becomes of a parked client whose time is over, or that CLIENT UNBLOCK sets free.
#[derive(Debug, Clone, Copy)]
pub enum OnTimeout {
    /// This is replied.
    Reply(fn(&mut Reply<'_>)),
    /// The command runs once more and must answer without waiting (WAIT).
    RunAgain,
}

/// The state of a parked client. Its command is run again when a key it waits for is ready.
#[derive(Debug)]
pub struct Blocked {
    /// What for.
    pub kind: BlockKind,
    /// Its number of arrival: the place in every queue it stands in.
    pub arrival: u64,
    /// The database of the keys.
    pub db: u32,
    /// The keys, in the order the command names them.
    pub keys: OwnedArgs,
    /// When to give up, Unix ms; None is never.
    pub deadline_ms: Option<i64>,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// The command to run again.
    pub command: CommandId,
    /// Its arguments, with everything relative (`$` of XREAD) already resolved.
    pub args: OwnedArgs,
    /// Time the command has run so far, ns: counted when it ends.
    pub ran_ns: u64,
    /// For WAIT and WAITAOF: how many replicas, which offset, and whether the local AOF must be synced too.
    pub wait: Option<WaitFor>,
}

/// What WAIT and WAITAOF wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitFor {
    /// Replicas that must have acknowledged.
    pub replicas: usize,
    /// The replication offset they must have reached.
    pub offset: i64,
    /// WAITAOF: acknowledged means synced to disk, and this many local AOFs (0 or 1).
    pub aof_local: Option<usize>,
}
