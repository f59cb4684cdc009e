//! The reply writer: every reply type of RESP2 and RESP3, appended to an output buffer.
//!
//! Commands say what they mean (`map`, `set`, `double`, `null`) and the writer chooses the form that the connection's protocol
//! has for it. Integers and short headers are formatted on the stack.

use super::error::Error;
use super::out::{Mark, OutBuf, SHARE_FROM};
use std::sync::Arc;

/// The protocol version a connection speaks (HELLO).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// RESP2, the default.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// A writer onto one client's output buffer.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut OutBuf,
    proto: Protocol,
}

impl<'a> Reply<'a> {
    /// A writer in the form of `proto`.
    #[inline(always)]
    pub fn new(out: &'a mut OutBuf, proto: Protocol) -> Self {
        Reply { out, proto }
    }

    /// True when the connection speaks RESP3.
    #[inline(always)]
    pub fn resp3(&self) -> bool {
        self.proto == Protocol::Resp3
    }

    /// True when the client passed its output limit in the middle of this reply: nothing more need be written, it will be
    /// closed. Commands whose reply may be endless look at this.
    #[inline(always)]
    pub fn choked(&self) -> bool {
        self.out.choked()
    }

    /// The same writer for a shorter time.
    pub fn reborrow(&mut self) -> Reply<'_> {
        Reply {
            out: self.out,
            proto: self.proto,
        }
    }

    /// Bytes as they are.
    #[inline(always)]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.push(bytes);
    }

    /// Two pieces of bytes as they are; room for both is made at once.
    #[inline]
    pub fn raw_pair(&mut self, a: &[u8], b: &[u8]) {
        let t = self.out.tail();
        t.reserve(a.len() + b.len());
        t.extend_from_slice(a);
        t.extend_from_slice(b);
    }

    /// Bytes as they are, held by reference whatever their length.
    pub fn shared(&mut self, bytes: Arc<Vec<u8>>) {
        self.out.push_shared(bytes);
    }

    #[inline(always)]
    fn header(&mut self, kind: u8, n: i64) {
        let tail = self.out.tail();
        if (0..10).contains(&n) {
            tail.extend_from_slice(&[kind, b'0' + n as u8, b'\r', b'\n']);
            return;
        }
        let mut buf = itoa::Buffer::new();
        let text = buf.format(n).as_bytes();
        let mut line = [0u8; 24];
        line[0] = kind;
        line[1..=text.len()].copy_from_slice(text);
        line[text.len() + 1..text.len() + 3].copy_from_slice(b"\r\n");
        tail.extend_from_slice(&line[..text.len() + 3]);
    }

    /// `+OK`.
    #[inline(always)]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A simple string; must hold no line end.
    pub fn simple(&mut self, s: &str) {
        let t = self.out.tail();
        t.push(b'+');
        t.extend_from_slice(s.as_bytes());
        t.extend_from_slice(b"\r\n");
    }

    /// An error; line ends in its text become spaces.
    pub fn error(&mut self, e: &Error) {
        self.error_bytes(e.as_bytes());
    }

    /// An error by its text (code included).
    pub fn error_bytes(&mut self, text: &[u8]) {
        let t = self.out.tail();
        t.push(b'-');
        let text = text.strip_suffix(b"\r\n").unwrap_or(text);
        t.extend(
            text.iter()
                .map(|c| if matches!(c, b'\r' | b'\n') { b' ' } else { *c }),
        );
        t.extend_from_slice(b"\r\n");
    }

    /// An integer.
    #[inline(always)]
    pub fn int(&mut self, v: i64) {
        self.header(b':', v);
    }

    /// A bulk string.
    #[inline(always)]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.header(b'$', bytes.len() as i64);
        let t = self.out.tail();
        t.reserve(bytes.len() + 2);
        t.extend_from_slice(bytes);
        t.extend_from_slice(b"\r\n");
    }

    /// A bulk string held by reference when that is cheaper than a copy.
    pub fn bulk_shared(&mut self, value: &Arc<Vec<u8>>) {
        if value.len() < SHARE_FROM {
            return self.bulk(value);
        }
        self.header(b'$', value.len() as i64);
        self.out.push_shared(value.clone());
        self.raw(b"\r\n");
    }

    /// An integer as a bulk string.
    #[inline]
    pub fn bulk_int(&mut self, v: i64) {
        self.bulk(itoa::Buffer::new().format(v).as_bytes());
    }

    /// Nothing: `_` in RESP3, a null bulk in RESP2.
    #[inline(always)]
    pub fn null(&mut self) {
        self.raw(if self.resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// No array: `_` in RESP3, a null array in RESP2.
    pub fn null_array(&mut self) {
        self.raw(if self.resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// The header of an array of `n` elements.
    #[inline(always)]
    pub fn array(&mut self, n: usize) {
        self.header(b'*', n as i64);
    }

    /// The header of a map of `n` pairs; in RESP2 an array of twice as many.
    pub fn map(&mut self, n: usize) {
        if self.resp3() {
            self.header(b'%', n as i64)
        } else {
            self.header(b'*', 2 * n as i64)
        }
    }

    /// The header of a set; in RESP2 an array.
    pub fn set(&mut self, n: usize) {
        self.header(if self.resp3() { b'~' } else { b'*' }, n as i64);
    }

    /// The header of attributes (RESP3 only; the caller writes none in RESP2).
    pub fn attribute(&mut self, n: usize) {
        debug_assert!(self.resp3());
        self.header(b'|', n as i64);
    }

    /// The header of an out-of-band push; in RESP2 an array.
    pub fn push(&mut self, n: usize) {
        self.header(if self.resp3() { b'>' } else { b'*' }, n as i64);
    }

    /// A floating-point number: `,` in RESP3, its text as a bulk in RESP2.
    pub fn double(&mut self, v: f64) {
        let mut buf = [0; crate::ds::dtoa::F64_TEXT_MAX];
        let text = crate::ds::dtoa::write_f64(v, &mut buf);
        if self.resp3() {
            let t = self.out.tail();
            t.push(b',');
            t.extend_from_slice(text);
            t.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// A truth value: `#t`/`#f` in RESP3, 1/0 in RESP2.
    pub fn bool(&mut self, v: bool) {
        match (self.resp3(), v) {
            (true, true) => self.raw(b"#t\r\n"),
            (true, false) => self.raw(b"#f\r\n"),
            (false, v) => self.int(i64::from(v)),
        }
    }

    /// A big number by its decimal text: `(` in RESP3, a bulk in RESP2.
    pub fn big_number(&mut self, text: &[u8]) {
        if self.resp3() {
            self.raw(b"(");
            self.raw(text);
            self.raw(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// Text with a three-letter format (`txt`, `mkd`): `=` in RESP3, a bulk in RESP2.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        if self.resp3() {
            self.header(b'=', text.len() as i64 + 4);
            self.raw(format.as_bytes());
            self.raw(b":");
            self.raw(text);
            self.raw(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// As [`Reply::verbatim`], with a format of any three bytes.
    pub fn verbatim_bytes(&mut self, format: [u8; 3], text: &[u8]) {
        if self.resp3() {
            self.header(b'=', text.len() as i64 + 4);
            self.raw(&format);
            self.raw(b":");
            self.raw(text);
            self.raw(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// Lines as an array of simple strings (HELP subcommands).
    pub fn help(&mut self, lines: &[&str]) {
        self.array(lines.len());
        for l in lines {
            self.simple(l);
        }
    }

    /// Begins an aggregate whose length is not known yet; finish it with [`Reply::end_array`] and the like.
    pub fn begin(&mut self) -> Mark {
        self.out.mark()
    }

    /// Ends a deferred array of `n` elements.
    pub fn end_array(&mut self, at: Mark, n: usize) {
        self.end(at, b'*', n);
    }

    /// Ends a deferred set of `n` elements.
    pub fn end_set(&mut self, at: Mark, n: usize) {
        let kind = if self.resp3() { b'~' } else { b'*' };
        self.end(at, kind, n);
    }

    /// Ends a deferred map of `n` pairs.
    pub fn end_map(&mut self, at: Mark, n: usize) {
        if self.resp3() {
            self.end(at, b'%', n)
        } else {
            self.end(at, b'*', 2 * n)
        }
    }

    /// Ends a deferred reply of the SCAN family: the cursor to go on with, and an array of the `n` elements written since `at`.
    pub fn end_scan(&mut self, at: Mark, cursor: u64, n: usize) {
        let cursor = cursor.to_string();
        let head = format!("*2\r\n${}\r\n{cursor}\r\n*{n}\r\n", cursor.len());
        self.out.insert_at(at, head.as_bytes());
    }

    fn end(&mut self, at: Mark, kind: u8, n: usize) {
        let mut buf = itoa::Buffer::new();
        let mut line = vec![kind];
        line.extend_from_slice(buf.format(n).as_bytes());
        line.extend_from_slice(b"\r\n");
        self.out.insert_at(at, &line);
    }

    /// Inserts bytes at `at`: what belongs before something already written.
    pub fn insert(&mut self, at: Mark, bytes: &[u8]) {
        self.out.insert_at(at, bytes);
    }

    /// Takes back everything written since `at`.
    pub fn rewind(&mut self, at: Mark) {
        self.out.truncate_to(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(f: impl Fn(&mut Reply)) -> [String; 2] {
        [Protocol::Resp2, Protocol::Resp3].map(|p| {
            let mut o = OutBuf::new();
            f(&mut Reply::new(&mut o, p));
            String::from_utf8(o.take_all()).unwrap()
        })
    }

    #[test]
    fn forms() {
        assert_eq!(both(|r| r.null()), ["$-1\r\n", "_\r\n"]);
        assert_eq!(both(|r| r.null_array()), ["*-1\r\n", "_\r\n"]);
        assert_eq!(both(|r| r.map(12)), ["*24\r\n", "%12\r\n"]);
        assert_eq!(
            both(|r| r.int(i64::MIN)),
            [":-9223372036854775808\r\n", ":-9223372036854775808\r\n"]
        );
        assert_eq!(both(|r| r.bool(true)), [":1\r\n", "#t\r\n"]);
        assert_eq!(
            both(|r| r.verbatim("txt", b"hi")),
            ["$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"]
        );
        assert_eq!(
            both(|r| r.error(&Error::text("ERR a\r\nb".into()))),
            ["-ERR a  b\r\n", "-ERR a  b\r\n"]
        );
        assert_eq!(
            both(|r| {
                let m = r.begin();
                r.bulk(b"x");
                r.end_map(m, 1);
            }),
            ["*2\r\n$1\r\nx\r\n", "%1\r\n$1\r\nx\r\n"]
        );
    }
}
