//! How a command runs: the static row, the registry of rows, where a command's keys are, and (the lead's part) Ctx, guards, call.
pub mod args_grammar;
pub mod command;
pub mod key_funcs;
pub mod keys;
pub mod registry;

use std::marker::PhantomData;

/// Placeholder for the running command's view of the server; the real one lives with `exec::call`.
pub struct Ctx<'a>(PhantomData<&'a ()>);

/// Placeholder for what a handler returns; the real one is `Result<Flow, Error>`.
pub type Outcome = Result<(), ()>;
