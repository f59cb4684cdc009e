//! How a command runs: its static row, the registry of rows, the context it runs in, the guards before it and the fixed
//! sequence of steps around it.
//!
//! `acl` is the one place that asks for permissions.
//! `dispatch` is the door: guards, then queueing by MULTI or `call`. `call` runs the function and acts on what it left behind.
pub mod acl;
pub mod args_grammar;
pub mod blocking;
pub mod call;
pub mod command;
pub mod ctx;
pub mod dispatch;
pub mod effects;
pub mod intent;
pub mod key_funcs;
pub mod keys;
pub mod multi;
pub mod pause;
pub mod propagate;
pub mod registry;
pub mod role;

pub use ctx::Ctx;

pub use crate::client::CommandId;

use crate::client::blocked::{BlockKind, OnTimeout, WaitFor};
use crate::resp::{Error, OwnedArgs};

/// What a command function returns: how to go on, or the error to reply.
pub type Outcome = Result<Flow, Error>;

/// How to go on after a command function.
#[derive(Debug)]
pub enum Flow {
    /// It replied (or means to reply nothing).
    Done,
    /// Nothing to serve it with: park the client and run it again when a key is ready.
    Block(Box<BlockOn>),
}

/// What to park a client on. Most commands have it made by [`blocking::wait_for`].
#[derive(Debug)]
pub struct BlockOn {
    /// Why.
    pub kind: BlockKind,
    /// The keys; none for WAIT.
    pub keys: OwnedArgs,
    /// When to give up, Unix ms; None is never.
    pub deadline_ms: Option<i64>,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// Arguments to run again with instead of the original ones.
    pub args: Option<OwnedArgs>,
    /// Woken also when a key is deleted or changes its type (XREADGROUP).
    pub wake_on_delete: bool,
    /// For WAIT and WAITAOF.
    pub wait: Option<WaitFor>,
}

impl BlockOn {
    /// Waits, for ever, for something that is no key; the command runs again when it is there.
    pub fn without_keys(kind: BlockKind) -> Self {
        BlockOn {
            kind,
            keys: OwnedArgs::new(),
            deadline_ms: None,
            on_timeout: OnTimeout::RunAgain,
            args: None,
            wake_on_delete: false,
            wait: None,
        }
    }
}
