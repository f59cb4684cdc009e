//! Where the keys are for the few commands whose key specs cannot tell: rows name these functions in `key_func`.
//!
//! Each follows what 8.2.3 answers to COMMAND GETKEYSANDFLAGS, also for arguments the command itself would refuse, because
//! ACL and cluster routing ask before the command parses its arguments. The flags are those of the row's specs, so a
//! function here never repeats them; except that `variable_flags` is resolved.
//!
//! Compat: where the specs do not fit because a count of keys is no plain number (`ZUNION +1 k`) or STREAMS has no id for
//! each key, 8.2.3 still guesses keys; the command fails anyway, so we answer that there are none to be found.

use super::command::{Command, KeyFlags};
use super::keys::{Argv, KeyError, KeyRefs};

/// What the row says of the keys of its spec `i`.
fn flags_of(command: &Command, i: usize) -> KeyFlags {
    command
        .keys
        .get(i)
        .map_or(KeyFlags::empty(), |spec| spec.flags - KeyFlags::INCOMPLETE)
}

fn is(argv: &dyn Argv, i: usize, word: &str) -> bool {
    crate::resp::is_word(argv.arg(i), word.as_bytes())
}

/// SET reads the old value only if GET is among its options.
///
/// # Errors
/// Never; the type is that of all key functions.
pub fn set(_: &Command, argv: &dyn Argv, out: &mut KeyRefs) -> Result<(), KeyError> {
    let reads = (3..argv.argc()).any(|i| is(argv, i, "get"));
    let flags = if reads {
        KeyFlags::RW | KeyFlags::ACCESS
    } else {
        KeyFlags::OW
    };
    out.push(1, flags | KeyFlags::UPDATE);
    Ok(())
}

/// BITFIELD only reads if all its operations are GET.
///
/// # Errors
/// Never; the type is that of all key functions.
pub fn bitfield(_: &Command, argv: &dyn Argv, out: &mut KeyRefs) -> Result<(), KeyError> {
    let (mut i, mut reads) = (2, true);
    while i < argv.argc() && reads {
        let operands = if is(argv, i, "get") { 2 } else { 1 };
        reads = (operands == 2 || is(argv, i, "overflow")) && i + operands < argv.argc();
        i += 1 + operands;
    }
    out.push(
        1,
        if reads {
            KeyFlags::RO | KeyFlags::ACCESS
        } else {
            KeyFlags::RW | KeyFlags::ACCESS | KeyFlags::UPDATE
        },
    );
    Ok(())
}

/// SORT reads its first argument and writes the destination of the last STORE. The keys that BY and GET patterns make are
/// not known before it runs.
///
/// # Errors
/// Never; the type is that of all key functions.
pub fn sort(command: &Command, argv: &dyn Argv, out: &mut KeyRefs) -> Result<(), KeyError> {
    let (mut i, mut store) = (2, None);
    while i < argv.argc() {
        i += if is(argv, i, "limit") {
            3
        } else if is(argv, i, "get") || is(argv, i, "by") {
            2
        } else if is(argv, i, "store") && i + 1 < argv.argc() {
            // The destination is looked at as an option too, as upstream does.
            store = Some(i + 1);
            1
        } else {
            1
        };
    }
    out.push(1, flags_of(command, 0));
    if let Some(store) = store {
        out.push(store, flags_of(command, 2));
    }
    Ok(())
}

/// SORT_RO has no STORE: the word would be an error.
///
/// # Errors
/// Never; the type is that of all key functions.
pub fn sort_ro(command: &Command, _: &dyn Argv, out: &mut KeyRefs) -> Result<(), KeyError> {
    out.push(1, flags_of(command, 0));
    Ok(())
}

/// MIGRATE moves its third argument, or, if that is empty, what follows KEYS. Passwords are stepped over, as they may be
/// any word. As upstream does, a KEYS that nothing follows counts only if the word stands somewhere before it too.
///
/// # Errors
/// When there is both a third argument and KEYS.
pub fn migrate(command: &Command, argv: &dyn Argv, out: &mut KeyRefs) -> Result<(), KeyError> {
    let mut i = 6;
    let has_keys = (2..argv.argc() - 1).any(|i| is(argv, i, "keys"));
    while has_keys && i < argv.argc() {
        if is(argv, i, "keys") {
            if !argv.arg(3).is_empty() {
                return Err(KeyError::Invalid);
            }
            (i + 1..argv.argc()).for_each(|key| out.push(key, flags_of(command, 1)));
            return Ok(());
        }
        i += if is(argv, i, "auth") {
            2
        } else if is(argv, i, "auth2") {
            3
        } else {
            1
        };
    }
    out.push(3, flags_of(command, 0));
    Ok(())
}
