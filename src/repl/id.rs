//! The name of a history: 40 hex digits that every server with the same stream of writes shares.

use std::fmt;

/// A replication id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplId(pub [u8; 40]);

impl ReplId {
    /// The id that stands for none: forty zeros.
    pub const NONE: ReplId = ReplId([b'0'; 40]);

    /// A new random id.
    pub fn random() -> ReplId {
        ReplId::parse(crate::sys::entropy::random_hex().as_bytes()).unwrap_or(ReplId::NONE)
    }

    /// An id from its text; None when that is none.
    pub fn parse(text: &[u8]) -> Option<ReplId> {
        let digits: [u8; 40] = text.try_into().ok()?;
        // Whoever made it may have used other letters; what must not pass is what breaks a line or a word.
        digits
            .iter()
            .all(|c| c.is_ascii_alphanumeric())
            .then_some(ReplId(digits))
    }
}

impl fmt::Display for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let id = ReplId::random();
        assert_ne!(id, ReplId::random());
        assert_eq!(ReplId::parse(id.to_string().as_bytes()), Some(id));
        assert_eq!(ReplId::NONE.to_string(), "0".repeat(40));
        assert_eq!(ReplId::parse(b"short"), None);
        assert_eq!(ReplId::parse(&[b'\n'; 40]), None);
    }
}
