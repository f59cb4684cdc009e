//! `redis-check-rdb`: walks a file with the decoder and tells whether it is sound, and if not, where and why.
//!
//! Output lines, their order and the exit codes are upstream's (compared with the tools of 7.0.15 and 8.2.3):
//! 0 sound, 1 anything else. Usage and a missing file go to standard error, everything about the file to standard output.
//! Compat: the offset inside "Internal error in RDB reading offset N" is the real one, upstream prints 0 there.
use super::error::{RdbError, Reason};
use super::format::RdbType;
use super::reader::{Checksum, Decoder, Doing, Event, LoadOptions};
use super::value::Value;
use crate::ds::listpack::Listpack;
use std::io::{self, Read, Write};

/// What was counted on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys met.
    pub keys: u64,
    /// Keys with an expire.
    pub expires: u64,
    /// Of those, already past.
    pub already_expired: u64,
    /// Hashes whose fields expire.
    pub subexpires: u64,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Sound.
    Ok(Counts),
    /// Damaged; the error has been printed.
    Damaged(RdbError),
}

/// Runs the tool with its arguments (name first); gives the exit code. `version_line` answers `-v` and `--version`.
pub fn main(
    args: &[String],
    version_line: &str,
    now_ms: i64,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> i32 {
    // An error here is one of printing: nobody is left to be told.
    run(args, version_line, now_ms, out, err).unwrap_or(1)
}

fn run(
    args: &[String],
    version_line: &str,
    now_ms: i64,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<i32> {
    let name = args.first().map_or("redis-check-rdb", String::as_str);
    let [_, path] = args else {
        writeln!(err, "Usage: {name} <rdb-file-name>")?;
        return Ok(1);
    };
    if path == "-v" || path == "--version" {
        writeln!(out, "{version_line}")?;
        return Ok(0);
    }
    writeln!(out, "[offset 0] Checking RDB file {path}")?;
    let Ok(file) = std::fs::File::open(path) else {
        return Ok(1);
    };
    match check(file, now_ms, out)? {
        Verdict::Ok(_) => Ok(0),
        Verdict::Damaged(error) => {
            if matches!(error.reason, Reason::Corrupt(_) | Reason::StringEncoding(_)) {
                log::warn!("Terminating server after rdb file reading failure.");
            }
            Ok(1)
        }
    }
}

/// Checks what `input` gives, printing as it goes. Errors are those of printing.
pub fn check<R: Read>(input: R, now_ms: i64, out: &mut dyn Write) -> io::Result<Verdict> {
    Ok(check_prefix(input, now_ms, out)?.0)
}

/// Checks the RDB file that `input` begins with; also gives the offset behind it, where an AOF goes on with commands.
pub fn check_prefix<R: Read>(
    input: R,
    now_ms: i64,
    out: &mut dyn Write,
) -> io::Result<(Verdict, u64)> {
    let options = LoadOptions {
        checksum: true,
        deep: true,
        skip_modules: true,
    };
    let mut decoder = Decoder::new(input, options);
    let mut counts = Counts::default();
    loop {
        let before = decoder.offset();
        let step = match decoder.next() {
            Ok(event) => step(event, now_ms, &mut counts),
            Err(error) => Err(error),
        };
        match step {
            Ok(note) => {
                let offset = decoder.offset();
                let done = matches!(note, Note::Done(_));
                print_note(note, offset, out)?;
                if done {
                    print_counts(&counts, out)?;
                    return Ok((Verdict::Ok(counts), offset));
                }
            }
            Err(error) => {
                counts.keys += u64::from(decoder.current_key().is_some());
                print_damage(&decoder, before, &error, &counts, out)?;
                return Ok((Verdict::Damaged(error), before));
            }
        }
    }
}

/// What an event makes the tool print.
enum Note {
    Nothing,
    Line(String),
    LineAt(u64, String),
    Done(Checksum),
}

fn step<R: Read>(event: Event<'_, R>, now_ms: i64, counts: &mut Counts) -> Result<Note, RdbError> {
    match event {
        Event::Aux(name, value) => Ok(Note::Line(format!(
            "AUX FIELD {} = '{}'",
            c_text(name),
            c_text(value)
        ))),
        Event::SelectDb(db) => Ok(Note::Line(format!("Selecting DB ID {db}"))),
        Event::ModuleAux(name, at) => Ok(Note::LineAt(at, format!("MODULE AUX for: {name}"))),
        Event::Eof(checksum) => Ok(Note::Done(checksum)),
        Event::ResizeDb { .. } | Event::SlotInfo { .. } | Event::Function(_) => Ok(Note::Nothing),
        Event::Entry(entry) => {
            let has_ttl = check_value(entry.value)?;
            counts.keys += 1;
            counts.subexpires += u64::from(has_ttl);
            counts.expires += u64::from(entry.expire_ms.is_some());
            counts.already_expired += u64::from(entry.expire_ms.is_some_and(|ms| ms < now_ms));
            Ok(Note::Nothing)
        }
    }
}

/// Reads a value to its end and looks for duplicates; tells whether it is a hash with fields that expire.
fn check_value<R: Read>(value: Value<'_, R>) -> Result<bool, RdbError> {
    match value {
        // Upstream's tool takes an empty collection for damage, and says it so.
        Value::Empty => Err(RdbError::new(0, Reason::EmptyKey)),
        Value::HashPackedTtl(blob) => Ok(any_ttl(&blob)),
        Value::ListElements(mut elements) => {
            while elements.next()?.is_some() {}
            Ok(false)
        }
        Value::SetElements(elements) => check_members(elements, "Duplicate set members detected"),
        Value::HashElements(elements) => check_members(elements, "Duplicate hash fields detected"),
        Value::ZsetElements(elements) => check_members(elements, "Duplicate zset fields detected"),
        _ => Ok(false),
    }
}

fn any_ttl(blob: &Listpack) -> bool {
    blob.iter()
        .skip(2)
        .step_by(3)
        .any(|entry| entry != crate::ds::listpack::Entry::Int(0))
}

fn check_members<R: Read>(
    mut elements: super::value::Elements<'_, R>,
    what: &'static str,
) -> Result<bool, RdbError> {
    let mut seen = std::collections::HashSet::with_capacity(elements.reserve_hint());
    let (mut has_ttl, mut duplicate) = (false, false);
    while let Some(element) = elements.next()? {
        has_ttl |= element.expire_ms.is_some();
        duplicate |= !seen.insert(element.member.to_vec());
        if duplicate {
            break;
        }
    }
    if duplicate {
        Err(elements.corrupt(what))
    } else {
        Ok(has_ttl)
    }
}

/// Bytes up to the first zero, as C prints them.
fn c_text(bytes: &[u8]) -> String {
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn print_note(note: Note, offset: u64, out: &mut dyn Write) -> io::Result<()> {
    match note {
        Note::Nothing => Ok(()),
        Note::Line(text) => writeln!(out, "[offset {offset}] {text}"),
        Note::LineAt(at, text) => writeln!(out, "[offset {at}] {text}"),
        Note::Done(checksum) => {
            match checksum {
                Checksum::Ok => writeln!(out, "[offset {offset}] Checksum OK")?,
                Checksum::Disabled => writeln!(
                    out,
                    "[offset {offset}] RDB file was saved with checksum disabled: no check performed."
                )?,
                Checksum::Skipped | Checksum::Absent => {}
            }
            writeln!(out, "[offset {offset}] \\o/ RDB looks OK! \\o/")
        }
    }
}

fn print_counts(counts: &Counts, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "[info] {} keys read", counts.keys)?;
    writeln!(out, "[info] {} expires", counts.expires)?;
    writeln!(out, "[info] {} already expired", counts.already_expired)?;
    writeln!(out, "[info] {} subexpires", counts.subexpires)
}

fn print_damage<R: Read>(
    decoder: &Decoder<R>,
    record_at: u64,
    error: &RdbError,
    counts: &Counts,
    out: &mut dyn Write,
) -> io::Result<()> {
    let offset = if error.offset > 0 {
        error.offset
    } else {
        decoder.offset()
    };
    let text = match &error.reason {
        Reason::Truncated if decoder.doing() == Doing::ReadFunctions => {
            "Failed loading library, Failed loading library payload".to_string()
        }
        Reason::EmptyKey => "Unexpected EOF reading RDB file".to_string(),
        Reason::UnknownType(ty) => format!("Invalid object type: {ty}"),
        Reason::Corrupt(_) | Reason::StringEncoding(_) => {
            RdbError::new(offset, error.reason.clone()).to_string()
        }
        _ => error.reason_text(),
    };
    writeln!(out, "--- RDB ERROR DETECTED ---")?;
    writeln!(out, "[offset {offset}] {text}")?;
    writeln!(
        out,
        "[additional info] While doing: {}",
        decoder.doing().label()
    )?;
    if let Some(key) = decoder.current_key() {
        writeln!(out, "[additional info] Reading key '{}'", c_text(key))?;
    }
    // Before any key was read upstream's type variable still says 0.
    let start = (counts.keys == 0).then_some(RdbType::String);
    if let Some(ty) = decoder.current_type().or(start) {
        writeln!(
            out,
            "[additional info] Reading type {} ({})",
            ty as u8,
            ty.label()
        )?;
    }
    print_counts(counts, out)?;
    log::debug!("the damaged record starts at offset {record_at}");
    Ok(())
}
