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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::introspect::transcript::Transcript;
    use crate::exec::command::{Command, KeySpec, flags};

    static MGET: Command = Command {
        name: "mget",
        keys: &[KeySpec::at(1, "RO access").range(-1, 1, 0)],
        ..Command::DEFAULT
    };
    static PING: Command = Command {
        name: "ping",
        arity: -1,
        ..Command::DEFAULT
    };
    static ZUNION: Command = Command {
        name: "zunion",
        arity: -3,
        keys: &[KeySpec::at(1, "RO").counted()],
        ..Command::DEFAULT
    };
    static EVAL: Command = Command {
        name: "eval",
        arity: -3,
        flags: flags("no_mandatory_keys"),
        keys: &[KeySpec::at(2, "RW").counted()],
        ..Command::DEFAULT
    };

    fn answer(call: &str, with_flags: bool) -> String {
        let registry = Registry::new(&[&MGET, &PING, &ZUNION, &EVAL]);
        let call: Vec<&[u8]> = call.split(' ').map(str::as_bytes).collect();
        let mut out = Transcript::default();
        match reply(&registry, &call, with_flags, &mut out) {
            Ok(()) => out.finish().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn keys_and_how_they_are_used() {
        assert_eq!(answer("MGET a b", false), r#"["a","b"]"#);
        assert_eq!(answer("mget a", true), r#"[["a",{"~":["+RO","+access"]}]]"#);
        assert_eq!(answer("eval s 0", false), "[]");
        assert_eq!(answer("eval s x a", true), "[]");
    }

    #[test]
    fn refusals() {
        assert_eq!(answer("nope a", false), "ERR Invalid command specified");
        assert_eq!(
            answer("ping", false),
            "ERR The command has no key arguments"
        );
        assert_eq!(
            answer("mget", false),
            "ERR Invalid number of arguments specified for command"
        );
        assert_eq!(
            answer("zunion 2 a", false),
            "ERR Invalid arguments specified for command"
        );
    }
}
