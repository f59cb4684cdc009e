//! Key and channel patterns of a selector.
//!
//! Most patterns are a plain text or a text with a star behind it; these are told apart once, when the rule is read, and cost
//! one comparison. Everything else goes through the glob matcher, whose steps are bounded.

use crate::ds::glob;
use bitflags::bitflags;

bitflags! {
    /// What a command does to a key, as far as permissions care. Nothing at all (EXISTS) is allowed by any pattern that
    /// matches.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct KeyNeed: u8 {
        /// User data is read.
        const READ = 1;
        /// User data is added, changed or removed.
        const WRITE = 2;
    }
}

/// How a pattern is matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// No special bytes.
    Exact,
    /// No special bytes but a star at the end.
    Prefix,
    /// Anything else.
    Glob,
}

/// A glob pattern that knows its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<[u8]>,
    shape: Shape,
}

impl Pattern {
    /// A pattern of this text.
    pub fn new(text: &[u8]) -> Self {
        let plain =
            |t: &[u8]| memchr::memchr3(b'*', b'?', b'[', t).is_none() && !t.contains(&b'\\');
        let shape = match text {
            [] => Shape::Glob,
            t if plain(t) => Shape::Exact,
            [start @ .., b'*'] if plain(start) && !start.is_empty() => Shape::Prefix,
            _ => Shape::Glob,
        };
        Pattern {
            text: text.into(),
            shape,
        }
    }

    /// The pattern's text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether all of `name` matches.
    #[inline]
    pub fn matches(&self, name: &[u8]) -> bool {
        match self.shape {
            Shape::Exact => *self.text == *name,
            Shape::Prefix => name.starts_with(&self.text[..self.text.len() - 1]),
            Shape::Glob => glob::matches(&self.text, name, false),
        }
    }
}

/// A key pattern and what it allows with the keys that match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPattern {
    /// Which keys.
    pub pattern: Pattern,
    /// What may be done with them.
    pub allows: KeyNeed,
}

impl KeyPattern {
    /// Writes the rule: `~k`, `%R~k` or `%W~k`.
    pub fn describe(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.allows {
            KeyNeed::READ => b"%R~",
            KeyNeed::WRITE => b"%W~",
            _ => b"~",
        });
        out.extend_from_slice(self.pattern.text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;

    #[test]
    fn shapes_match_as_the_glob_matcher() {
        let mut rng = Rng::new(7);
        let word = |rng: &mut Rng, alphabet: &[u8], max: usize| -> Vec<u8> {
            (0..rng.below(max + 1))
                .map(|_| alphabet[rng.below(alphabet.len())])
                .collect()
        };
        for _ in 0..20_000 {
            let pattern = word(&mut rng, b"aab*?[]\\", 5);
            let text = word(&mut rng, b"aab*", 5);
            assert_eq!(
                Pattern::new(&pattern).matches(&text),
                glob::matches(&pattern, &text, false),
                "{:?} {:?}",
                String::from_utf8_lossy(&pattern),
                String::from_utf8_lossy(&text)
            );
        }
    }
}
