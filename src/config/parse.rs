//! The grammar of configuration text: lines, words, and how a value is written so that it reads back.
//!
//! A file is lines. White space around a line does not count; an empty line and one that starts with `#` say nothing. The
//! others are split into words like a shell would: double quotes with `\xHH \n \r \t \b \a` escapes, single quotes with `\'`
//! (`resp::parse::split_words`, the same grammar as inline commands). There are no comments behind a directive. A NUL byte
//! ends its line.
use super::error::Reason;
use crate::resp::parse::split_words;
use memchr::memchr;

/// The words of a line; None when it says nothing.
pub fn words_of_line(line: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Reason> {
    let line = trim(line);
    if line.is_empty() || line[0] == b'#' {
        return Ok(None);
    }
    let words = split_words(line).ok_or(Reason::UnbalancedQuotes)?;
    Ok(Some(words).filter(|w| !w.is_empty()))
}

/// The line without white space around it and without what follows a NUL byte.
pub fn trim(line: &[u8]) -> &[u8] {
    let line = &line[..memchr(0, line).unwrap_or(line.len())];
    let outer = |b: &u8| !matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    let start = line.iter().position(outer).unwrap_or(line.len());
    let end = line.iter().rposition(outer).map_or(start, |i| i + 1);
    &line[start..end]
}

/// The lines of a text. A final newline is followed by one more, empty line; an empty text has none.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let all = text.split(|&b| b == b'\n');
    all.take(if text.is_empty() { 0 } else { usize::MAX })
}

/// The words of a value that came as one: split at every single space, nothing gives none.
pub fn split_spaces(value: &[u8]) -> Vec<&[u8]> {
    if value.is_empty() {
        return Vec::new();
    }
    value.split(|&b| b == b' ').collect()
}

/// The value in double quotes, escaped so that it is printable ASCII and reads back.
pub fn quote(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 2);
    out.push(b'"');
    for &b in value {
        match b {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(b),
            _ => out.extend_from_slice(format!("\\x{b:02x}").as_bytes()),
        }
    }
    out.push(b'"');
    out
}

/// The value as a single word: quoted only when it has to be.
pub fn quote_if_needed(value: &[u8]) -> Vec<u8> {
    let plain = |b: &u8| b.is_ascii_graphic() && !b"\"'\\#".contains(b);
    if !value.is_empty() && value.iter().all(plain) {
        value.to_vec()
    } else {
        quote(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let words = words_of_line(line.as_bytes()).unwrap().unwrap_or_default();
        words
            .into_iter()
            .map(|w| w.escape_ascii().to_string())
            .collect()
    }

    #[test]
    fn lines_and_words() {
        assert_eq!(words("  timeout \t 5 \r"), ["timeout", "5"]);
        assert_eq!(
            words("a \"b c\" 'd \\' e' \"\\x41\\n\""),
            ["a", "b c", "d \\' e", "A\\n"]
        );
        assert_eq!(words("timeout 5\0junk"), ["timeout", "5"]);
        for nothing in ["", "   ", "# a b", "   # \"", "\t\r"] {
            assert_eq!(words_of_line(nothing.as_bytes()), Ok(None));
        }
        for bad in ["a \"b", "a 'b", "a \"b\"c"] {
            assert_eq!(
                words_of_line(bad.as_bytes()),
                Err(Reason::UnbalancedQuotes),
                "{bad}"
            );
        }
        assert_eq!(lines(b"").count(), 0);
        assert_eq!(lines(b"a\n").collect::<Vec<_>>(), [&b"a"[..], b""]);
    }

    #[test]
    fn quoted_values_read_back() {
        let mut rng = crate::ds::rng::Rng::new(3);
        for _ in 0..3000 {
            let value: Vec<u8> = (0..rng.below(20)).map(|_| rng.next_u64() as u8).collect();
            let line = [&b"x "[..], &quote(&value)].concat();
            assert_eq!(words_of_line(&line), Ok(Some(vec![b"x".to_vec(), value])));
        }
    }
}
