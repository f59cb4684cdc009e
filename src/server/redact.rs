//! What nobody may read: passwords among the arguments of commands, hidden from MONITOR, SLOWLOG and the log.
//!
//! Compat: upstream shows AUTH with too many arguments as it came; here nothing behind AUTH is ever shown.

use crate::config::{RowFlags, rows};
use crate::resp::Args;

/// What a secret argument is shown as.
pub const MASK: &[u8] = b"(redacted)";

/// Positions of the arguments that nobody may see; `command` is the row's name.
pub fn secrets(command: &str, args: Args<'_>) -> Vec<usize> {
    let after_word = |word: &str, n: usize| {
        let at = (1..args.len()).find(|i| args.at(*i).eq_ignore_ascii_case(word.as_bytes()));
        at.map_or(Vec::new(), |at| {
            (at + 1..(at + 1 + n).min(args.len())).collect()
        })
    };
    match command {
        "auth" => (1..args.len()).collect(),
        "hello" => after_word("auth", 2),
        "migrate" => [after_word("auth", 1), after_word("auth2", 2)].concat(),
        "acl|setuser" | "acl|deluser" | "acl|getuser" => (2..args.len()).collect(),
        "config|set" => (3..args.len())
            .step_by(2)
            .filter(|i| is_secret_directive(args.at(i - 1)))
            .collect(),
        _ => Vec::new(),
    }
}

fn is_secret_directive(name: &[u8]) -> bool {
    rows::find(name).is_some_and(|row| row.flags.contains(RowFlags::SENSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    #[test]
    fn secrets_of_commands() {
        let of = |name: &str, line: &str| {
            let args = OwnedArgs::from_iter(line.split(' '));
            secrets(name, args.view())
        };
        assert_eq!(of("auth", "AUTH user pass"), [1, 2]);
        assert_eq!(of("hello", "HELLO 3 auth u p SETNAME n"), [3, 4]);
        assert_eq!(of("hello", "HELLO 3 AUTH u"), [3]);
        assert_eq!(of("migrate", "MIGRATE h 1 k 0 9 AUTH2 u p KEYS a"), [7, 8]);
        assert_eq!(of("acl|setuser", "ACL SETUSER u on >p"), [2, 3, 4]);
        assert_eq!(
            of(
                "config|set",
                "CONFIG SET maxmemory 0 MasterAuth x requirepass y"
            ),
            [5, 7]
        );
        assert!(of("config|set", "CONFIG SET maxmemory masterauth").is_empty());
        assert!(of("config|get", "CONFIG GET masterauth requirepass").is_empty());
        assert!(of("set", "SET auth x").is_empty());
    }
}
