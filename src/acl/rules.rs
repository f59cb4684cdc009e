//! What can be wrong with a rule, and how rules are put together from the words of a command or a file line.

use std::fmt;

/// Why a rule is refused; Display is what the error says behind the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleError {
    /// No such rule, or a selector rule that only users have.
    Syntax,
    /// No such command, subcommand or category.
    Unknown,
    /// A key pattern where every key is allowed already.
    AllKeys,
    /// A channel pattern where every channel is allowed already.
    AllChannels,
    /// The password to remove is not there.
    NoSuchPassword,
    /// Not the hex of a SHA-256.
    BadHash,
    /// A first argument of a subcommand.
    FirstArgOfSubcommand,
    /// A second line for the same user in the configuration.
    Duplicate,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleError::Syntax => "Syntax error",
            RuleError::Unknown => "Unknown command or category name in ACL",
            RuleError::AllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::AllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels"
            }
            RuleError::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            RuleError::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            RuleError::FirstArgOfSubcommand => {
                "Allowing first-arg of a subcommand is not supported"
            }
            RuleError::Duplicate => {
                "Duplicate user found. A user can only be defined once in config files"
            }
        })
    }
}

impl std::error::Error for RuleError {}

/// Puts selectors that were split into words together again: from a word that begins with `(` to the next that ends with
/// `)`, joined by one blank.
///
/// # Errors
/// The first word of a selector that does not end.
pub fn merge_selectors<'a>(
    words: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Vec<u8>>, Vec<u8>> {
    let mut rules = Vec::new();
    let mut open: Option<(Vec<u8>, &[u8])> = None;
    for word in words {
        let closes = word.ends_with(b")");
        match open.take() {
            Some((mut selector, start)) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
                if closes {
                    rules.push(selector);
                } else {
                    open = Some((selector, start));
                }
            }
            None if word.starts_with(b"(") && !closes => open = Some((word.to_vec(), word)),
            None => rules.push(word.to_vec()),
        }
    }
    match open {
        Some((_, start)) => Err(start.to_vec()),
        None => Ok(rules),
    }
}

/// Blanks and NUL: what neither names nor patterns may contain, as ACL files could not be read back.
pub fn has_blanks(text: &[u8]) -> bool {
    text.iter()
        .any(|b| b.is_ascii_whitespace() || matches!(b, 0 | 0x0b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_put_together() {
        let merged = |line: &str| {
            merge_selectors(line.split(' ').map(str::as_bytes))
                .map(|rules| {
                    rules
                        .iter()
                        .map(|r| String::from_utf8_lossy(r).into_owned())
                        .collect::<Vec<_>>()
                })
                .map_err(|e| String::from_utf8_lossy(&e).into_owned())
        };
        assert_eq!(
            merged("on (+get ~a) ( +set ) ()").unwrap(),
            ["on", "(+get ~a)", "( +set )", "()"]
        );
        assert_eq!(merged("on (+get )x"), Err("(+get".into()));
        assert_eq!(merged("("), Err("(".into()));
        assert_eq!(merged(") x").unwrap(), [")", "x"]);
    }
}
