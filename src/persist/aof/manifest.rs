//! The manifest of a multi-part AOF.
//!
//! One line per file: `file NAME seq N type T`, further key-value pairs are skipped (newer versions write `startoffset`). Types:
//! `b` base (at most one), `i` incremental (sequence numbers must grow), `h` history (replaced, to be deleted). A name with
//! blanks or control bytes is quoted as in the configuration file; names are UTF-8. The order of replay is base, then incremental files as
//! listed. Lines that begin with `#` are comments. The manifest is replaced as a whole: written to `temp-NAME`, synced, renamed, and
//! the directory synced.
//!
//! Errors carry the line for the operator; their texts are upstream's, which the official tests read.

use crate::persist::storage::{Storage, append_all};
use crate::resp::parse::split_words;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Longest line, in bytes with its end.
const LINE_MAX: usize = 1024;
/// What an incremental file's name ends with.
const INCR_SUFFIX: &str = ".incr.aof";
/// What a base file's name ends with: an RDB file, or commands.
const BASE_SUFFIX: [&str; 2] = [".base.rdb", ".base.aof"];

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// The state that the incremental files build on.
    Base,
    /// Commands since.
    Incr,
    /// Replaced by a rewrite; to be deleted.
    History,
}

/// One file of the AOF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AofFile {
    /// Name within the AOF directory.
    pub name: String,
    /// Sequence number; each kind counts for itself.
    pub seq: i64,
    /// What it is.
    pub ty: FileType,
}

impl AofFile {
    fn line(&self) -> String {
        let t = match self.ty {
            FileType::Base => 'b',
            FileType::Incr => 'i',
            FileType::History => 'h',
        };
        format!("file {} seq {} type {t}\n", quoted(&self.name), self.seq)
    }
}

/// The name, quoted when it would not survive the line grammar.
fn quoted(name: &str) -> String {
    let plain = name
        .chars()
        .all(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\'));
    if plain && !name.is_empty() {
        return name.to_owned();
    }
    let mut out = String::from("\"");
    for c in name.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Why a manifest was refused.
#[derive(Debug)]
pub enum ManifestError {
    /// It could not be read.
    Io(PathBuf, io::Error),
    /// It says nothing.
    Empty,
    /// A line is wrong: its number, its text, and the reason.
    Line(usize, String, &'static str),
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestError::Io(path, e) => {
                write!(
                    f,
                    "Fatal error: can't open the AOF manifest file {} for reading: {e}",
                    path.display()
                )
            }
            ManifestError::Empty => f.write_str("Found an empty AOF manifest"),
            ManifestError::Line(n, text, why) => {
                write!(
                    f,
                    "Reading the manifest file, at line {n}\n>>> '{text}'\n{why}"
                )
            }
        }
    }
}

impl std::error::Error for ManifestError {}

const FORMAT: &str = "Invalid AOF manifest file format";
const TOO_LONG: &str = "The AOF manifest file contains too long line";

/// The files of an AOF.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The base file, if there is one.
    pub base: Option<AofFile>,
    /// Incremental files, in the order of replay; the last one is being written.
    pub incr: Vec<AofFile>,
    /// Files that a rewrite replaced, the latest first.
    pub history: Vec<AofFile>,
    /// Highest sequence number a base file had.
    pub base_seq: i64,
    /// Highest sequence number an incremental file had.
    pub incr_seq: i64,
}

impl Manifest {
    /// Reads a manifest.
    pub fn read(storage: &dyn Storage, path: &Path) -> Result<Self, ManifestError> {
        let mut text = Vec::new();
        storage
            .read(path)
            .and_then(|mut file| file.read_to_end(&mut text))
            .map_err(|e| ManifestError::Io(path.to_owned(), e))?;
        Self::parse(&text)
    }

    /// Parses a manifest.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        let mut m = Manifest::default();
        let mut highest_incr = 0;
        for (i, raw) in text.split_inclusive(|c| *c == b'\n').enumerate() {
            let fail = |why| {
                let shown = String::from_utf8_lossy(raw).trim().to_owned();
                ManifestError::Line(i + 1, shown, why)
            };
            if raw.first() == Some(&b'#') {
                continue;
            }
            if raw.len() >= LINE_MAX || raw.last() != Some(&b'\n') {
                return Err(fail(TOO_LONG));
            }
            m.take(parse_line(raw).map_err(fail)?, &mut highest_incr)
                .map_err(fail)?;
        }
        if text.is_empty() {
            return Err(ManifestError::Empty);
        }
        Ok(m)
    }

    fn take(&mut self, file: AofFile, highest_incr: &mut i64) -> Result<(), &'static str> {
        match file.ty {
            FileType::Base if self.base.is_some() => {
                return Err("Found duplicate base file information");
            }
            FileType::Base => {
                self.base_seq = file.seq;
                self.base = Some(file);
            }
            FileType::Incr if file.seq <= *highest_incr => {
                return Err("Found a non-monotonic sequence number");
            }
            FileType::Incr => {
                *highest_incr = file.seq;
                self.incr_seq = file.seq;
                self.incr.push(file);
            }
            FileType::History => self.history.push(file),
        }
        Ok(())
    }

    /// The text of the manifest: base, history, then incremental files.
    pub fn text(&self) -> String {
        self.base
            .iter()
            .chain(&self.history)
            .chain(&self.incr)
            .map(AofFile::line)
            .collect()
    }

    /// Replaces the manifest `name` in `dir` by this one.
    pub fn write(&self, storage: &dyn Storage, dir: &Path, name: &str) -> io::Result<()> {
        let temp = dir.join(format!("temp-{name}"));
        let file = storage.create(&temp)?;
        append_all(&*file, self.text().as_bytes())?;
        file.sync()?;
        storage.rename(&temp, &dir.join(name))?;
        storage.sync_dir(dir)
    }

    /// Adds the next incremental file, to be written from now on, and returns its name.
    pub fn next_incr(&mut self, filename: &str) -> String {
        self.incr_seq += 1;
        let name = format!("{filename}.{}{INCR_SUFFIX}", self.incr_seq);
        self.incr.push(AofFile {
            name: name.clone(),
            seq: self.incr_seq,
            ty: FileType::Incr,
        });
        name
    }

    /// Makes room for the next base file: the present one becomes history. Returns the new one's name.
    pub fn next_base(&mut self, filename: &str, rdb: bool) -> String {
        if let Some(mut old) = self.base.take() {
            old.ty = FileType::History;
            self.history.insert(0, old);
        }
        self.base_seq += 1;
        let name = format!(
            "{filename}.{}{}",
            self.base_seq,
            BASE_SUFFIX[usize::from(!rdb)]
        );
        self.base = Some(AofFile {
            name: name.clone(),
            seq: self.base_seq,
            ty: FileType::Base,
        });
        name
    }

    /// All incremental files but the last `keep` become history: the new base holds what they say.
    pub fn retire_incr(&mut self, keep: usize) {
        let n = self.incr.len().saturating_sub(keep);
        for mut f in self.incr.drain(..n) {
            f.ty = FileType::History;
            self.history.insert(0, f);
        }
    }

    /// The files to replay, in order.
    pub fn replay(&self) -> impl Iterator<Item = &AofFile> {
        self.base.iter().chain(&self.incr)
    }
}

fn parse_line(raw: &[u8]) -> Result<AofFile, &'static str> {
    let line = raw.trim_ascii();
    let words = split_words(line).ok_or(FORMAT)?;
    if words.len() < 6 || !words.len().is_multiple_of(2) {
        return Err(FORMAT);
    }
    let (mut name, mut seq, mut ty) = (None, None, None);
    for pair in words.chunks_exact(2) {
        let value = std::str::from_utf8(&pair[1])
            .map_err(|_| "The name of an AOF file has to be UTF-8")?
            .to_owned();
        match pair[0].to_ascii_lowercase().as_slice() {
            b"file" if value.contains('/') => return Err("File can't be a path, just a filename"),
            b"file" => name = Some(value),
            b"seq" => seq = value.parse().ok().filter(|n| *n > 0),
            b"type" => ty = Some(file_type(&value)?),
            _ => {}
        }
    }
    match (name, seq, ty) {
        (Some(name), Some(seq), Some(ty)) if !name.is_empty() => {
            let file = AofFile { name, seq, ty };
            // It is written again, quoted, at every change.
            if file.line().len() >= LINE_MAX {
                return Err(TOO_LONG);
            }
            Ok(file)
        }
        _ => Err(FORMAT),
    }
}

fn file_type(word: &str) -> Result<FileType, &'static str> {
    match word.bytes().next() {
        Some(b'b') => Ok(FileType::Base),
        Some(b'i') => Ok(FileType::Incr),
        Some(b'h') => Ok(FileType::History),
        _ => Err("Unknown AOF file type"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        Manifest::parse(text.as_bytes())
            .unwrap_err()
            .to_string()
            .lines()
            .last()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn round_trip_and_rewrite() {
        let mut m = Manifest::default();
        assert_eq!(m.next_base("a b.aof", true), "a b.aof.1.base.rdb");
        assert_eq!(m.next_incr("a b.aof"), "a b.aof.1.incr.aof");
        let text = m.text();
        assert_eq!(
            text,
            "file \"a b.aof.1.base.rdb\" seq 1 type b\nfile \"a b.aof.1.incr.aof\" seq 1 type i\n"
        );
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), m);
        m.next_incr("a b.aof");
        m.next_base("a b.aof", false);
        m.retire_incr(1);
        assert_eq!((m.history.len(), m.incr.len()), (2, 1));
        assert_eq!(Manifest::parse(m.text().as_bytes()).unwrap(), m);
        let name = "\u{e9}\u{1f980} \x01\"\\.aof";
        m.next_incr(name);
        assert_eq!(Manifest::parse(m.text().as_bytes()).unwrap(), m);
        let newer = "#c\nfile x.2.incr.aof seq 2 type i startoffset 7\n";
        assert_eq!(Manifest::parse(newer.as_bytes()).unwrap().incr_seq, 2);
    }

    #[test]
    fn refusals() {
        assert_eq!(why(""), "Found an empty AOF manifest");
        assert_eq!(why("file a seq 1 type b\n\n"), FORMAT);
        assert_eq!(
            why("file a seq 1 type b\nfile b seq 1 type b\n"),
            "Found duplicate base file information"
        );
        assert_eq!(
            why("file a seq 2 type i\nfile b seq 1 type i\n"),
            "Found a non-monotonic sequence number"
        );
        assert_eq!(why("file a seq 1 type x\n"), "Unknown AOF file type");
        assert_eq!(
            why("file ../a seq 1 type b\n"),
            "File can't be a path, just a filename"
        );
        assert_eq!(why("file a seq x type b\n"), FORMAT);
        assert_eq!(why("file a seq 1\n"), FORMAT);
        assert_eq!(why("file a seq 1 type b more\n"), FORMAT);
        let latin = Manifest::parse(b"file \xe9t\xe9 seq 1 type b\n").unwrap_err();
        assert!(latin.to_string().ends_with("has to be UTF-8"), "{latin}");
        // Short enough as it stands, but not as it would be written.
        let grows = format!("file \"{}\" seq 1 type b\n", "\x01".repeat(300));
        assert_eq!(why(&grows), TOO_LONG);
        let long = format!("file {} seq 1 type b\n", "a".repeat(LINE_MAX));
        assert_eq!(why(&long), "The AOF manifest file contains too long line");
    }
}
