//! What a parked client waits for.

use super::CommandId;
use crate::resp::OwnedArgs;

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
}

/// The state of a parked client. Its command is run again when a key it waits for is ready.
#[derive(Debug)]
pub struct Blocked {
    /// What for.
    pub kind: BlockKind,
    /// The keys, in the order the command names them.
    pub keys: Vec<Box<[u8]>>,
    /// When to give up, Unix ms; None is never.
    pub deadline_ms: Option<i64>,
    /// The command to run again.
    pub command: CommandId,
    /// Its arguments, with everything relative (`$` of XREAD) already resolved.
    pub args: OwnedArgs,
    /// When it was parked, for the statistics, monotonic us.
    pub since_us: u64,
    /// Woken also when a key is deleted or changes its type (XREADGROUP).
    pub wake_on_delete: bool,
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
