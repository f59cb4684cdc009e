//! Access control: users, what each may do, and what was denied lately. State and questions only: nothing here sends,
//! replies, or knows the server.
//!
//! - [`Commands`] (`commands.rs`) is what this room needs to know of the command table: names, categories, subcommands. It
//!   is handed in, because the rows live above.
//! - [`Selector`] (`selector.rs`) is one set of permissions: a bit per command, first arguments, key patterns, channels. It
//!   keeps the command rules as they were written, in the canonical form ACL LIST prints. `patterns.rs` has the patterns.
//! - [`User`] (`user.rs`) is a name, flags, password hashes, a root selector and further ones. A user may do what any one of
//!   its selectors allows as a whole.
//! - [`Users`] (`users.rs`) is the table. Clients refer to a user by [`UserId`]; id 0 is always the default user.
//! - `file.rs` reads and writes the text of ACL files; `log.rs` is ACL LOG; `password.rs` hashes and compares.
//!
//! Invariants: a rule either applies as a whole or changes nothing (rules are applied to a copy); a new user may do nothing
//! (but use channels, if `acl-pubsub-default` says so); no text of a password is kept, only its SHA-256.
//!
//! Extending: a new kind of rule is an arm in `Selector::apply` (if selectors in parentheses may have it) or `User::apply`,
//! its line in `describe`, and a case in the differential test against the real server.

pub mod commands;
pub mod file;
pub mod log;
pub mod password;
pub mod patterns;
pub mod rules;
pub mod selector;
pub mod user;
pub mod users;

pub use commands::Commands;
pub use log::{AclLog, Event, LogContext, Reason};
pub use patterns::KeyNeed;
pub use rules::{RuleError, merge_selectors};
pub use selector::Selector;
pub use user::{User, UserFlags};
pub use users::{UserId, Users};

use crate::config::{AclPubsubDefault, Config};
use user::RuleContext;

/// The whole room.
#[derive(Debug)]
pub struct Acl {
    /// The commands rules speak of.
    pub commands: Commands,
    /// The users.
    pub users: Users,
    /// What was denied.
    pub log: AclLog,
}

impl Acl {
    /// The default user alone, on a server with these commands.
    pub fn new(commands: Commands) -> Self {
        let rules = RuleContext {
            commands: &commands,
            all_channels: false,
        };
        Acl {
            users: Users::new(rules),
            commands,
            log: AclLog::default(),
        }
    }

    /// What rules are read against, and the users.
    pub fn parts(&mut self, config: &Config) -> (RuleContext<'_>, &mut Users) {
        let rules = RuleContext {
            commands: &self.commands,
            all_channels: config.acl_pubsub_default == AclPubsubDefault::AllChannels,
        };
        (rules, &mut self.users)
    }
}

#[cfg(test)]
mod tests;
