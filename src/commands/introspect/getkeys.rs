//! COMMAND GETKEYS and COMMAND GETKEYSANDFLAGS: the keys of a call that is handed in as arguments.

use super::{IntrospectError, ReplySink, info};
use crate::exec::command::CommandFlags;
use crate::exec::keys::{self, KeyRefs, Wanted};
use crate::exec::registry::Registry;

/// The reply of COMMAND GETKEYS (`with_flags` unset) or GETKEYSANDFLAGS for `call`, a command and its arguments.
///
/// # Errors
/// When that is no command, can have no keys, has too few arguments, or its keys cannot be found.
pub fn reply<S: ReplySink>(
    registry: &Registry,
    call: &[&[u8]],
    with_flags: bool,
    out: &mut S,
) -> Result<(), IntrospectError> {
    let id = registry
        .resolve(call)
        .map_err(|_| IntrospectError::InvalidCommand)?;
    let row = registry.row(id);
    if !row.may_have_keys() {
        return Err(IntrospectError::NoKeys);
    }
    if !row.arity_fits(call.len()) {
        return Err(IntrospectError::BadArity);
    }
    let mut found = KeyRefs::new();
    keys::find(row, &call, Wanted::Keys, &mut found)
        .map_err(|_| IntrospectError::InvalidArguments)?;
    if found.is_empty() && !row.flags.contains(CommandFlags::NO_MANDATORY_KEYS) {
        return Err(IntrospectError::InvalidArguments);
    }
    out.array(found.len());
    for key in found.iter() {
        let name = call
            .get(key.pos as usize)
            .ok_or(IntrospectError::InvalidArguments)?;
        if with_flags {
            out.array(2);
            out.bulk(name);
            info::key_flags(key.flags, out);
        } else {
            out.bulk(name);
        }
    }
    Ok(())
}
