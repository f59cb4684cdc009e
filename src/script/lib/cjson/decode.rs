//! JSON text to values, without recursion: nesting is limited by a setting and by the script's stack, never by ours.
//!
//! A zero byte ends the text wherever it stands. Errors name the token found and where (from 1). What is taken for a number
//! is what `strtod` takes, unless `decode_invalid_numbers` is off.

use crate::script::lib::build::Build;
use crate::script::lib::number;
use std::fmt;

/// Why a text is not decoded. Its Display is what the script is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// One of the first two bytes is zero.
    WideText,
    /// Something else was expected.
    Expected {
        /// What could have stood here.
        wanted: &'static str,
        /// The token found, or what is wrong with it.
        found: &'static str,
        /// Where, from 1.
        at: usize,
    },
    /// Deeper than `decode_max_depth` or the script's stack.
    Nesting {
        /// How deep.
        depth: usize,
        /// Where, from 1.
        at: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::WideText => f.write_str("JSON parser does not support UTF-16 or UTF-32"),
            DecodeError::Expected { wanted, found, at } => {
                write!(f, "Expected {wanted} but found {found} at character {at}")
            }
            DecodeError::Nesting { depth, at } => write!(
                f,
                "Found too many nested data structures ({depth}) at character {at}"
            ),
        }
    }
}

/// Settings of a decoder.
#[derive(Debug, Clone, Copy)]
pub struct DecodeOptions {
    /// Deepest nesting of arrays and objects.
    pub max_depth: usize,
    /// Take numbers that JSON does not have: hexadecimal ones, leading zeros, `inf`, `nan`.
    pub invalid_numbers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Comma,
    Colon,
    /// A string without escapes: from, to.
    Plain(usize, usize),
    /// A string with escapes, decoded into the reader's scratch.
    Escaped,
    Number(f64),
    Boolean(bool),
    Null,
    End,
    /// What is wrong here.
    Bad(&'static str),
}

impl Token {
    fn name(self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::Comma => "T_COMMA",
            Token::Colon => "T_COLON",
            Token::Plain(..) | Token::Escaped => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::End => "T_END",
            Token::Bad(what) => what,
        }
    }
}

/// An open array or object.
#[derive(Debug, Clone, Copy)]
enum Frame {
    /// Index of the element being read.
    Array(usize),
    Object,
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    /// Where the last token (or what is wrong) began.
    token_at: usize,
    scratch: Vec<u8>,
    options: DecodeOptions,
}

/// Decodes `text` and pushes its value on `out`. After an error `out` holds part of it.
pub fn decode(
    text: &[u8],
    options: DecodeOptions,
    out: &mut impl Build,
) -> Result<(), DecodeError> {
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(DecodeError::WideText);
    }
    let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
    let mut reader = Reader {
        text,
        at: 0,
        token_at: 0,
        scratch: Vec::new(),
        options,
    };
    let mut frames = Vec::new();
    let token = reader.next();
    reader.values(token, &mut frames, out)?;
    match reader.next() {
        Token::End => Ok(()),
        token => Err(reader.expected("the end", token)),
    }
}

impl Reader<'_> {
    fn expected(&self, wanted: &'static str, found: Token) -> DecodeError {
        DecodeError::Expected {
            wanted,
            found: found.name(),
            at: self.token_at + 1,
        }
    }

    /// Reads a value that begins with `token`, and all in it.
    fn values(
        &mut self,
        mut token: Token,
        frames: &mut Vec<Frame>,
        out: &mut impl Build,
    ) -> Result<(), DecodeError> {
        loop {
            let mut done = true;
            match token {
                Token::Plain(from, to) => out.bytes(&self.text[from..to]),
                Token::Escaped => out.bytes(&self.scratch),
                Token::Number(n) => out.number(n),
                Token::Boolean(b) => out.boolean(b),
                Token::Null => out.null(),
                Token::ArrayBegin => {
                    self.descend(frames, out)?;
                    let first = self.next();
                    if first != Token::ArrayEnd {
                        frames.push(Frame::Array(1));
                        (token, done) = (first, false);
                    }
                }
                Token::ObjectBegin => {
                    self.descend(frames, out)?;
                    let first = self.next();
                    if first != Token::ObjectEnd {
                        frames.push(Frame::Object);
                        token = self.member(first, out)?;
                        done = false;
                    }
                }
                found => return Err(self.expected("value", found)),
            }
            if done {
                match self.after_value(frames, out)? {
                    Some(next) => token = next,
                    None => return Ok(()),
                }
            }
        }
    }

    /// Opens one more level and its table.
    fn descend(&self, frames: &[Frame], out: &mut impl Build) -> Result<(), DecodeError> {
        let depth = frames.len() + 1;
        if depth > self.options.max_depth || !out.reserve(3) {
            return Err(DecodeError::Nesting { depth, at: self.at });
        }
        out.table();
        Ok(())
    }

    /// The key (already read as `token`) and the colon; returns the first token of the value.
    fn member(&mut self, token: Token, out: &mut impl Build) -> Result<Token, DecodeError> {
        match token {
            Token::Plain(from, to) => out.bytes(&self.text[from..to]),
            Token::Escaped => out.bytes(&self.scratch),
            found => return Err(self.expected("object key string", found)),
        }
        match self.next() {
            Token::Colon => Ok(self.next()),
            found => Err(self.expected("colon", found)),
        }
    }

    /// A value is complete: stores it, and closes what ends with it. Returns the first token of the next value, if any.
    fn after_value(
        &mut self,
        frames: &mut Vec<Frame>,
        out: &mut impl Build,
    ) -> Result<Option<Token>, DecodeError> {
        while let Some(frame) = frames.last_mut() {
            match frame {
                Frame::Array(index) => {
                    out.set_index(*index);
                    *index += 1;
                    match self.next() {
                        Token::ArrayEnd => _ = frames.pop(),
                        Token::Comma => return Ok(Some(self.next())),
                        found => return Err(self.expected("comma or array end", found)),
                    }
                }
                Frame::Object => {
                    out.set();
                    match self.next() {
                        Token::ObjectEnd => _ = frames.pop(),
                        Token::Comma => {
                            let key = self.next();
                            return self.member(key, out).map(Some);
                        }
                        found => return Err(self.expected("comma or object end", found)),
                    }
                }
            }
        }
        Ok(None)
    }

    fn next(&mut self) -> Token {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.token_at = self.at;
        let Some(&c) = self.text.get(self.at) else {
            return Token::End;
        };
        let one = match c {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            b'"' => return self.string(),
            b'-' | b'+' | b'0'..=b'9' => return self.number(),
            _ => return self.word(),
        };
        self.at += 1;
        one
    }

    fn word(&mut self) -> Token {
        let rest = &self.text[self.at..];
        for (word, token) in [
            (&b"true"[..], Token::Boolean(true)),
            (b"false", Token::Boolean(false)),
            (b"null", Token::Null),
        ] {
            if rest.starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        let special = |w: &[u8]| rest.get(..3).is_some_and(|t| t.eq_ignore_ascii_case(w));
        if self.options.invalid_numbers && (special(b"inf") || special(b"nan")) {
            return self.number();
        }
        Token::Bad("invalid token")
    }

    fn number(&mut self) -> Token {
        let rest = &self.text[self.at..];
        if !self.options.invalid_numbers && is_invalid_number(rest) {
            return Token::Bad("invalid number");
        }
        match number::read_prefix(rest) {
            Some((value, used)) => {
                self.at += used;
                Token::Number(value)
            }
            None => Token::Bad("invalid number"),
        }
    }

    /// A string, from its opening quote.
    fn string(&mut self) -> Token {
        let from = self.at + 1;
        let rest = &self.text[from..];
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(n) if rest[n] == b'"' => {
                self.at = from + n + 1;
                Token::Plain(from, from + n)
            }
            Some(n) => self.escaped_string(from, from + n),
            None => {
                self.token_at = self.text.len();
                Token::Bad("unexpected end of string")
            }
        }
    }

    /// A string whose first backslash stands at `at`.
    fn escaped_string(&mut self, from: usize, mut at: usize) -> Token {
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.text[from..at]);
        loop {
            match self.text.get(at) {
                None => {
                    self.token_at = self.text.len();
                    return Token::Bad("unexpected end of string");
                }
                Some(b'"') => {
                    self.at = at + 1;
                    return Token::Escaped;
                }
                Some(b'\\') => match self.escape(at) {
                    Ok(n) => at += n,
                    Err(bad) => {
                        self.token_at = at;
                        return Token::Bad(bad);
                    }
                },
                Some(_) => {
                    let rest = &self.text[at..];
                    let n = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                    self.scratch.extend_from_slice(&rest[..n]);
                    at += n;
                }
            }
        }
    }

    /// Decodes the escape at `at` into the scratch; returns its length.
    fn escape(&mut self, at: usize) -> Result<usize, &'static str> {
        let c = match self.text.get(at + 1) {
            Some(b'b') => 8,
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'f') => 12,
            Some(b'r') => b'\r',
            Some(&c @ (b'"' | b'\\' | b'/')) => c,
            Some(b'u') => {
                let (code, n) = self.code_point(at).ok_or("invalid unicode escape code")?;
                let mut room = [0; 4];
                self.scratch
                    .extend_from_slice(code.encode_utf8(&mut room).as_bytes());
                return Ok(n);
            }
            _ => return Err("invalid escape code"),
        };
        self.scratch.push(c);
        Ok(2)
    }

    /// The code point of `\uXXXX` (or a pair of surrogates) at `at`, and the length.
    fn code_point(&self, at: usize) -> Option<(char, usize)> {
        let first = self.hex4(at)?;
        if first & 0xf800 != 0xd800 {
            return char::from_u32(first).map(|c| (c, 6));
        }
        let second = self.hex4(at + 6).filter(|s| s & 0xfc00 == 0xdc00)?;
        if first & 0x400 != 0 {
            return None;
        }
        let code = 0x10000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
        char::from_u32(code).map(|c| (c, 12))
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        let escape = self.text.get(at..at + 6)?;
        let digits = escape.strip_prefix(b"\\u")?;
        digits
            .iter()
            .try_fold(0, |n, &c| Some(n << 4 | (c as char).to_digit(16)?))
    }
}

/// Whether what begins here is no number of JSON: a plus sign, a leading zero, hexadecimal, infinity or NaN.
fn is_invalid_number(text: &[u8]) -> bool {
    if text.first() == Some(&b'+') {
        return true;
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    match text.first() {
        Some(b'0') => matches!(text.get(1), Some(b'x' | b'X' | b'0'..=b'9')),
        Some(b'1'..=b'9') => false,
        _ => ["inf", "nan"].iter().any(|w| {
            text.get(..3)
                .is_some_and(|t| t.eq_ignore_ascii_case(w.as_bytes()))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;
    use crate::script::lib::build::Sketch;

    const DEFAULT: DecodeOptions = DecodeOptions {
        max_depth: 1000,
        invalid_numbers: true,
    };

    fn error(text: &str) -> String {
        decode(text.as_bytes(), DEFAULT, &mut Sketch::default())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn errors_say_what_and_where() {
        assert_eq!(error(""), "Expected value but found T_END at character 1");
        assert_eq!(
            error("[1}"),
            "Expected comma or array end but found T_OBJ_END at character 3"
        );
        assert_eq!(
            error("\"abc"),
            "Expected value but found unexpected end of string at character 5"
        );
        assert_eq!(
            error("\"a\\u12\""),
            "Expected value but found invalid unicode escape code at character 3"
        );
        let deep = "[".repeat(1001);
        assert_eq!(
            error(&deep),
            "Found too many nested data structures (1001) at character 1001"
        );
    }

    #[test]
    fn nesting_ends_at_the_stack() {
        let options = DecodeOptions {
            max_depth: usize::MAX,
            invalid_numbers: true,
        };
        let deep = "[".repeat(1_000_000);
        let e = decode(deep.as_bytes(), options, &mut Sketch::default()).unwrap_err();
        assert!(
            matches!(e, DecodeError::Nesting { depth: 7999, .. }),
            "{e:?}"
        );
    }

    /// Garbage made of JSON's own words: an error or one value, nothing else.
    #[test]
    fn garbage_is_an_error_or_one_value() {
        let words: [&[u8]; 18] = [
            b"[", b"]", b"{", b"}", b",", b":", b"\"", b"\\", b"\\u", b"d83d", b"12", b"-", b"e",
            b"true", b"null", b" ", b"\"a\"", b"\xff",
        ];
        let mut rng = Rng::new(11);
        let mut good = 0;
        for _ in 0..60_000 {
            let text: Vec<u8> = (0..rng.below(9))
                .flat_map(|_| words[rng.below(words.len())].to_vec())
                .collect();
            let mut out = Sketch::default();
            if decode(&text, DEFAULT, &mut out).is_ok() {
                assert_eq!(out.len(), 1, "{}", text.escape_ascii());
                good += 1;
            }
        }
        assert!(good > 500, "{good}");
    }
}
