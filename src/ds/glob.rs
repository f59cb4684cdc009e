//! Glob matching of KEYS, SCAN MATCH, PSUBSCRIBE, CONFIG GET and ACL patterns.
//!
//! `*` any bytes, `?` one byte, `[abc]`, `[^abc]`, `[a-z]` one byte of a class, `\x` the byte x itself. Quirks that are part of
//! the contract (each compared with a real server on random patterns): a class without `]` ends with the pattern; a range may
//! be written backwards and may end with `]`; a backslash at the very end is itself; an escaped byte in a class compares with
//! its case; an empty text matches the empty pattern only, not even `*` (KEYS and SCAN do not ask for `*`, they take all).
//!
//! Matching remembers only the last star: if the rest fails, that star takes one byte more. An earlier star never needs to be
//! tried again, so a pattern costs at most pattern length times string length, where naive recursion is exponential.

/// More stars than this (other than trailing ones) match nothing, as upstream, where the limit bounds recursion.
const MAX_STARS: usize = 1000;

/// Whether all of `text` matches `pattern`; `nocase` folds ASCII letters.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None; // pattern behind the last star, text where its rest was last tried
    let mut stars = 0;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += run_of_stars(&pattern[p..]);
            if p == pattern.len() {
                return true;
            }
            stars += 1;
            if stars > MAX_STARS {
                return false;
            }
            star = Some((p, t));
            continue;
        }
        if let Some(used) = match_one(&pattern[p..], text[t], nocase) {
            p += used;
            t += 1;
            continue;
        }
        let Some((after, tried)) = star else {
            return false;
        };
        t = next_try(pattern, text, after, tried + 1, nocase);
        p = after;
        star = Some((after, t));
    }
    p + run_of_stars(&pattern[p..]) == pattern.len()
}

/// The next place worth trying for the pattern behind a star: where its first byte is a plain one, the next such byte.
#[inline]
fn next_try(pattern: &[u8], text: &[u8], after: usize, from: usize, nocase: bool) -> usize {
    match pattern.get(after) {
        Some(&byte) if !nocase && !matches!(byte, b'?' | b'[' | b'\\') => {
            memchr::memchr(byte, &text[from..]).map_or(text.len(), |n| from + n)
        }
        _ => from,
    }
}

fn run_of_stars(pattern: &[u8]) -> usize {
    pattern.iter().take_while(|&&b| b == b'*').count()
}

/// Matches one byte against the head of `pattern` (no star); how many pattern bytes that took.
#[inline]
fn match_one(pattern: &[u8], byte: u8, nocase: bool) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => {
            let (hit, used) = match_class(class, byte, nocase);
            hit.then_some(1 + used)
        }
        [b'\\', escaped, ..] => same(*escaped, byte, nocase).then_some(2),
        [literal, ..] => same(*literal, byte, nocase).then_some(1),
    }
}

#[inline]
fn same(a: u8, b: u8, nocase: bool) -> bool {
    a == b || (nocase && a.eq_ignore_ascii_case(&b))
}

/// Matches against what follows '['; (whether it hit, bytes used up to and including ']').
fn match_class(class: &[u8], byte: u8, nocase: bool) -> (bool, usize) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut hit = false;
    loop {
        match class.get(at..).unwrap_or_default() {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                hit |= *escaped == byte;
                at += 2;
            }
            [first, b'-', last, ..] => {
                hit |= in_range(*first, *last, byte, nocase);
                at += 3;
            }
            [member, ..] => {
                hit |= same(*member, byte, nocase);
                at += 1;
            }
        }
    }
    (hit != negated, at)
}

/// The bounds are put in order before case is folded, as upstream.
fn in_range(first: u8, last: u8, byte: u8, nocase: bool) -> bool {
    let (low, high) = (first.min(last), first.max(last));
    if nocase {
        (low.to_ascii_lowercase()..=high.to_ascii_lowercase()).contains(&byte.to_ascii_lowercase())
    } else {
        (low..=high).contains(&byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_a_real_server_matches() {
        for (pattern, text, want) in [
            ("*", "", false),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("[abc", "c", true),
            ("[abc", "d", false),
            ("[^", "x", true),
            ("[", "x", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("\\", "\\", true),
            ("a\\", "a\\", true),
            ("[\\]]", "]", true),
            ("[]", "a", false),
            ("[]a]", "]a]", false),
            ("[a-]", "-", false),
            ("[a-]", "^", true),
            ("[a-]x]", "x", true),
            ("a**b", "ab", true),
            ("*a*b*c", "xaxbxxbxc", true),
            ("a*", "a", true),
            ("a?", "a", false),
            ("*?", "", false),
            ("**", "", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes(), false),
                want,
                "{pattern} {text}"
            );
        }
        assert!(matches(b"HE[K-M]lo", b"helLO", true));
        assert!(!matches(b"HELLO", b"hello", false));
    }

    #[test]
    fn hostile_patterns_are_quick() {
        let pattern = b"*a".repeat(900);
        let text = b"a".repeat(20_000);
        assert!(matches(&pattern, &text, false));
        let mut pattern = pattern;
        pattern.push(b'b');
        assert!(!matches(&pattern, &text, false));
        assert!(!matches(&b"*a".repeat(1001), &text, false));
        assert!(matches(&b"*a".repeat(1000), &text, false));
    }

    /// Lines "<nocase 0|1> <hex pattern> <hex text> <0|1>" recorded from a real server.
    #[test]
    #[ignore = "needs a file of recorded answers in REDSTART_GLOBS"]
    fn same_answers_as_recorded() {
        let path = std::env::var_os("REDSTART_GLOBS").expect("names the file");
        let unhex = |s: &str| -> Vec<u8> {
            (0..s.len() / 2)
                .map(|i| u8::from_str_radix(&s[2 * i..2 * i + 2], 16).unwrap())
                .collect()
        };
        let recorded = std::fs::read_to_string(path).unwrap();
        let mut hits = 0;
        for line in recorded.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let got = matches(&unhex(fields[1]), &unhex(fields[2]), fields[0] == "1");
            assert_eq!(got, fields[3] == "1", "{line}");
            hits += usize::from(got);
        }
        assert!(hits > 1000);
    }
}
