//! Who may come in: the default user and its password (`requirepass`).
//!
//! This is the seam for users of their own: `check` and `log_in` are the only places that decide and record who a client is.

use super::Server;
use crate::client::{Client, ClientFlags};
use crate::resp::Error;

/// The user every connection begins as.
pub const DEFAULT_USER: &[u8] = b"default";

/// Compares without telling by its duration how much of the secret was right.
fn equal(given: &[u8], secret: &[u8]) -> bool {
    let mut differ = u8::from(given.len() != secret.len());
    for (i, &b) in given.iter().enumerate() {
        // The secret is walked in a circle so that the duration depends on what was given only.
        let s = secret.get(i % secret.len().max(1)).copied().unwrap_or(0);
        differ |= b ^ s;
    }
    std::hint::black_box(differ) == 0
}

impl Server {
    /// Whether new connections have to authenticate.
    pub fn asks_for_password(&self) -> bool {
        !self.config.requirepass.is_empty()
    }

    /// Whether there is a user of this name.
    pub fn knows_user(&self, user: &[u8]) -> bool {
        user == DEFAULT_USER
    }

    /// Logs `client` in as `user`, if the password is right.
    pub fn log_in(
        &mut self,
        client: &mut Client,
        user: &[u8],
        password: &[u8],
    ) -> Result<(), Error> {
        let secret = self.config.requirepass.as_bytes();
        let right = equal(password, secret) || !self.asks_for_password();
        if !(self.knows_user(user) && right) {
            self.stats.denied_auth += 1;
            return Err(Error::new(
                "WRONGPASS invalid username-password pair or user is disabled.",
            ));
        }
        client.user = None;
        client.flags.remove(ClientFlags::UNAUTHENTICATED);
        Ok(())
    }

    /// Puts a client back to how a new connection begins.
    pub fn log_out(&self, client: &mut Client) {
        client.user = None;
        let locked = self.asks_for_password();
        client.flags.set(ClientFlags::UNAUTHENTICATED, locked);
    }
}

#[cfg(test)]
mod tests {
    use super::equal;

    #[test]
    fn equal_is_equality() {
        for (a, b) in [("", ""), ("a", "a"), ("foobar", "foobar")] {
            assert!(equal(a.as_bytes(), b.as_bytes()));
        }
        for (a, b) in [
            ("", "a"),
            ("a", ""),
            ("aa", "a"),
            ("abab", "ab"),
            ("foobaz", "foobar"),
        ] {
            assert!(!equal(a.as_bytes(), b.as_bytes()), "{a} {b}");
        }
    }
}
