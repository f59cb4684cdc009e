//! The first line of a script or library: `#!lua flags=no-writes,allow-oom` or `#!lua name=mylib`.

use crate::resp::Error;
use crate::resp::parse::split_words;
use bitflags::bitflags;

bitflags! {
    /// What a script promises and asks for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct ScriptFlags: u8 {
        /// It writes nothing.
        const NO_WRITES = 1;
        /// It may run over `maxmemory`.
        const ALLOW_OOM = 2;
        /// It may run on a replica without its master.
        const ALLOW_STALE = 4;
        /// It must not run in cluster mode.
        const NO_CLUSTER = 8;
        /// It may use keys of several slots.
        const ALLOW_CROSS_SLOT_KEYS = 16;
        /// It has no such line: what it does is judged command by command.
        const COMPATIBLE = 32;
    }
}

/// The words of the flags, in the order FUNCTION LIST tells them.
pub const FLAG_WORDS: [(&str, ScriptFlags); 5] = [
    ("no-writes", ScriptFlags::NO_WRITES),
    ("allow-oom", ScriptFlags::ALLOW_OOM),
    ("allow-stale", ScriptFlags::ALLOW_STALE),
    ("no-cluster", ScriptFlags::NO_CLUSTER),
    ("allow-cross-slot-keys", ScriptFlags::ALLOW_CROSS_SLOT_KEYS),
];

/// The flag of a word.
pub fn flag(word: &[u8]) -> Option<ScriptFlags> {
    let found = FLAG_WORDS.iter().find(|(w, _)| w.as_bytes() == word);
    found.map(|(_, f)| *f)
}

fn quoting(text: &[u8], word: &[u8]) -> Error {
    Error::Bytes([text, word].concat())
}

/// The flags of a script for EVAL, and where its code begins: at the end of the first line, so that lines keep their numbers.
///
/// # Errors
/// The line is not one of ours.
pub fn of_script(body: &[u8]) -> Result<(ScriptFlags, usize), Error> {
    if !body.starts_with(b"#!") {
        return Ok((ScriptFlags::COMPATIBLE, 0));
    }
    let invalid = || Error::new("ERR Invalid script shebang");
    let end = memchr::memchr(b'\n', body).ok_or_else(invalid)?;
    let words = split_words(&body[..end]).ok_or_else(invalid)?;
    let (engine, options) = words.split_first().ok_or_else(invalid)?;
    if engine != b"#!lua" {
        return Err(quoting(
            b"ERR Unexpected engine in script shebang: ",
            engine,
        ));
    }
    let mut flags = ScriptFlags::empty();
    for option in options {
        let Some(list) = option.strip_prefix(b"flags=") else {
            return Err(quoting(b"ERR Unknown lua shebang option: ", option));
        };
        if list.is_empty() {
            continue;
        }
        for word in list.split(|c| *c == b',') {
            flags |= flag(word)
                .ok_or_else(|| quoting(b"ERR Unexpected flag in script shebang: ", word))?;
        }
    }
    Ok((flags, end))
}

/// What the first line of a library says.
#[derive(Debug, PartialEq, Eq)]
pub struct LibraryHead {
    /// Its name.
    pub name: Vec<u8>,
    /// Where its code begins.
    pub code: usize,
}

/// The head of a library.
///
/// # Errors
/// It is missing or not one of ours.
pub fn of_library(source: &[u8]) -> Result<LibraryHead, Error> {
    if !source.starts_with(b"#!") {
        return Err(Error::new("ERR Missing library metadata"));
    }
    let invalid = || Error::new("ERR Invalid library metadata");
    let code = memchr::memchr(b'\n', source).ok_or_else(invalid)?;
    let words = split_words(&source[..code]).ok_or_else(invalid)?;
    let (engine, options) = words.split_first().ok_or_else(invalid)?;
    let mut name = None;
    for option in options {
        let Some(value) = strip_word(option, b"name=") else {
            return Err(quoting(b"ERR Invalid metadata value given: ", option));
        };
        if name.replace(value.to_vec()).is_some() {
            return Err(Error::new(
                "ERR Invalid metadata value, name argument was given multiple times",
            ));
        }
    }
    let name = name.ok_or(Error::new("ERR Library name was not given"))?;
    check_name(&name)?;
    let engine = &engine[2..];
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err(Error::Bytes(
            [b"ERR Engine '", engine, b"' not found"].concat(),
        ));
    }
    Ok(LibraryHead { name, code })
}

fn strip_word<'a>(option: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = option.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word).then_some(rest)
}

/// Whether a name may be one of a library or function.
///
/// # Errors
/// Upstream's text, which speaks of libraries in both cases.
pub fn check_name(name: &[u8]) -> Result<(), Error> {
    let good = |c: &u8| c.is_ascii_alphanumeric() || *c == b'_';
    if !name.is_empty() && name.iter().all(good) {
        return Ok(());
    }
    Err(Error::new(
        "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str) -> String {
        match of_script(body.as_bytes()) {
            Ok((flags, at)) => format!("{} {at}", flags.bits()),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn scripts_as_8_2_3_reads_them() {
        assert_eq!(told("return 1"), "32 0");
        assert_eq!(told("#!lua\nreturn 1"), "0 5");
        assert_eq!(told("#!lua flags=allow-stale,no-writes\nx"), "5 33");
        assert_eq!(told("#!lua flags=\nx"), "0 12");
        assert_eq!(
            told("#!lua flags=bad\n"),
            "ERR Unexpected flag in script shebang: bad"
        );
        assert_eq!(
            told("#!lua foo=bar\n"),
            "ERR Unknown lua shebang option: foo=bar"
        );
        assert_eq!(
            told("#!foo\n"),
            "ERR Unexpected engine in script shebang: #!foo"
        );
        assert_eq!(told("#!lua flags=no-writes"), "ERR Invalid script shebang");
        assert_eq!(told("#!\nx"), "ERR Unexpected engine in script shebang: #!");
        assert_eq!(
            told("#! lua\nx"),
            "ERR Unexpected engine in script shebang: #!"
        );
    }

    #[test]
    fn libraries_as_8_2_3_reads_them() {
        let told = |s: &str| match of_library(s.as_bytes()) {
            Ok(h) => String::from_utf8(h.name).unwrap(),
            Err(e) => e.to_string(),
        };
        assert_eq!(told("#!lua name=\"foo\"\n"), "foo");
        assert_eq!(told("x"), "ERR Missing library metadata");
        assert_eq!(told("#!lua name=a"), "ERR Invalid library metadata");
        assert_eq!(told("#!lua\n"), "ERR Library name was not given");
        assert_eq!(told("#! name=test\n"), "ERR Engine '' not found");
        assert_eq!(told("#!foo name=a\n"), "ERR Engine 'foo' not found");
        assert_eq!(
            told("#!lua name=a foo=bar\n"),
            "ERR Invalid metadata value given: foo=bar"
        );
        assert!(told("#!lua name=a-b\n").starts_with("ERR Library names can only"));
        assert!(told("#!lua name=a name=b\n").ends_with("given multiple times"));
    }
}
