//! The wire protocol without sockets: requests in, replies out.
pub mod args;
pub mod error;
pub mod out;
pub mod parse;
pub mod reply;
pub mod request;

pub use args::{ArgRange, Args, OwnedArgs, before_nul, is_word};
pub use error::Error;
pub use out::OutBuf;
pub use reply::{Protocol, Reply};
pub use request::append_command;
