//! `redis-check-aof`: walks the files of an AOF and tells whether they are sound, cuts off a damaged end (`--fix`), or cuts
//! everything from a time on (`--truncate-to-timestamp`).
//!
//! The argument is a manifest, a file with an RDB preamble or a plain file of commands; what it is, is seen from its bytes. Only the
//! last file is ever cut. Output lines and exit codes (0 sound or repaired, 1 anything else) are upstream's, compared with the
//! tool of 7.0.15; `ok_up_to_line` counts on from file to file as there. Files are read here, not through
//! `source`: the tool names the offset and reason of the first thing wrong, which loading does not need to know so exactly.
//! Compat: a line too long is told as a format error.

use super::manifest::{FileType, Manifest};
use crate::persist::rdb::{check as rdb_check, format};
use crate::persist::storage::Disk;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// What to do besides looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Nothing.
    Look,
    /// Cut off a damaged end, after asking.
    Fix,
    /// Cut before the first command written later than this, Unix seconds.
    CutAt(i64),
}

/// Longest line of a length or an annotation, bytes.
const LINE_MAX: u64 = 128;

/// Why the tool stops; what there was to say was said.
struct Stopped;

type Checked<T> = Result<T, Stopped>;

/// The first thing wrong in a file: what is said of it, if anything, without its line end.
type Wrong = Option<String>;

/// How a file was found.
enum Found {
    Empty,
    Sound,
    Cut,
    /// Nothing had to be cut.
    NothingToCut,
}

struct Tool<'a> {
    job: Job,
    now_ms: i64,
    input: &'a mut dyn BufRead,
    out: &'a mut dyn Write,
    /// Line of the file, counted on through all files.
    line: u64,
}

/// Runs the tool on `path`; gives the exit code. `input` answers the question before a file is cut.
pub fn main(
    path: &Path,
    job: Job,
    now_ms: i64,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> i32 {
    let mut tool = Tool {
        job,
        now_ms,
        input,
        out,
        line: 1,
    };
    i32::from(tool.run(path).is_err())
}

/// Says a line; output that nobody takes ends the tool.
macro_rules! say {
    ($tool:expr, $($what:tt)*) => {
        writeln!($tool.out, $($what)*).map_err(|_| Stopped)
    };
}

impl Tool<'_> {
    fn run(&mut self, path: &Path) -> Checked<()> {
        let shown = path.display();
        let mut head = Vec::new();
        match File::open(path) {
            Ok(file) => {
                if file.take(1024).read_to_end(&mut head).is_err() {
                    say!(self, "Cannot read file: {shown}")?;
                    return Err(Stopped);
                }
            }
            Err(e) => {
                say!(self, "Cannot open file {shown}: {}", super::log::text(&e))?;
                return Err(Stopped);
            }
        }
        if is_manifest(&head) {
            return self.multi_part(path);
        }
        say!(self, "Start checking Old-Style AOF")?;
        let name = path.to_string_lossy().into_owned();
        match self.file(&name, path, true)? {
            Found::Empty => say!(self, "AOF {name} is empty"),
            Found::Sound => say!(self, "AOF {name} is valid"),
            Found::Cut => self.tell_cut(&name),
            Found::NothingToCut => self.tell_whole("", &name),
        }
    }

    fn multi_part(&mut self, path: &Path) -> Checked<()> {
        say!(self, "Start checking Multi Part AOF")?;
        let manifest = match Manifest::read(&Disk, path) {
            Ok(m) => m,
            Err(e) => {
                say!(self, "\n*** FATAL AOF MANIFEST FILE ERROR ***\n{e}")?;
                return Err(Stopped);
            }
        };
        let dir = match path.parent() {
            Some(d) if !d.as_os_str().is_empty() => d.to_owned(),
            _ => ".".into(),
        };
        let last = manifest.replay().last().map(|f| f.name.clone());
        let mut incr_told = false;
        for part in manifest.replay() {
            let at = dir.join(&part.name);
            let kind = if part.ty == FileType::Base {
                let form = if starts_as_rdb(&at) { "RDB" } else { "RESP" };
                say!(self, "Start to check BASE AOF ({form} format).")?;
                "BASE "
            } else {
                if !incr_told {
                    say!(self, "Start to check INCR files.")?;
                    incr_told = true;
                }
                "INCR "
            };
            let is_last = Some(&part.name) == last.as_ref();
            match self.file(&part.name, &at, is_last)? {
                Found::Empty => say!(self, "{kind}AOF {} is empty", part.name)?,
                Found::Sound => say!(self, "{kind}AOF {} is valid", part.name)?,
                Found::Cut => self.tell_cut(&part.name)?,
                Found::NothingToCut => self.tell_whole(kind, &part.name)?,
            }
        }
        say!(self, "All AOF files and manifest are valid")
    }

    fn tell_cut(&mut self, name: &str) -> Checked<()> {
        match self.job {
            Job::CutAt(at) => say!(self, "Successfully truncated AOF {name} to timestamp {at}"),
            _ => say!(self, "Successfully truncated AOF {name}"),
        }
    }

    fn tell_whole(&mut self, kind: &str, name: &str) -> Checked<()> {
        if let Job::CutAt(at) = self.job {
            say!(self, "Truncate nothing in AOF {name} to timestamp {at}")?;
        }
        say!(self, "{kind}AOF {name} is valid")
    }

    /// Checks one file; `last`: it may be cut.
    fn file(&mut self, name: &str, path: &Path, last: bool) -> Checked<Found> {
        let shown = path.display();
        let opened = OpenOptions::new()
            .read(true)
            .write(self.job != Job::Look)
            .open(path);
        let mut file = match opened {
            Ok(f) => f,
            Err(e) => {
                say!(
                    self,
                    "Cannot open file {shown}: {}, aborting...",
                    super::log::text(&e)
                )?;
                return Err(Stopped);
            }
        };
        let size = match file.metadata() {
            Ok(m) => m.len(),
            Err(e) => {
                say!(
                    self,
                    "Cannot stat file: {shown}, {}, aborting...",
                    super::log::text(&e)
                )?;
                return Err(Stopped);
            }
        };
        if size == 0 {
            return Ok(Found::Empty);
        }
        let start = self.preamble(name, path)?;
        if file.seek(SeekFrom::Start(start)).is_err() {
            say!(self, "Cannot read file: {shown}")?;
            return Err(Stopped);
        }
        let mut walk = Walk {
            input: BufReader::with_capacity(1 << 16, file),
            name,
            offset: start,
            sound: start,
            at: start,
            in_multi: false,
            line: &mut self.line,
            cut_at: match self.job {
                Job::CutAt(at) => Some(at),
                _ => None,
            },
            seen_command: start > 0,
        };
        let walked = walk.run();
        let (sound, seen) = (walk.sound, walk.seen_command);
        drop(walk);
        match walked {
            Ok(None) => self.analyzed(name, path, size, sound, last, None),
            Ok(Some(from)) => self.cut_by_time(path, from, seen, last),
            Err(wrong) => self.analyzed(name, path, size, sound, last, Some(wrong)),
        }
    }

    /// Checks the RDB part in front of the commands, if there is one; gives its length.
    fn preamble(&mut self, name: &str, path: &Path) -> Checked<u64> {
        if !starts_as_rdb(path) {
            return Ok(0);
        }
        say!(self, "[offset 0] Checking RDB file {name}")?;
        let file = File::open(path).map_err(|_| Stopped)?;
        let checked = rdb_check::check_prefix(file, self.now_ms, self.out);
        let (verdict, len) = checked.map_err(|_| Stopped)?;
        if matches!(verdict, rdb_check::Verdict::Damaged(_)) {
            say!(self, "RDB preamble of AOF file is not sane, aborting.")?;
            return Err(Stopped);
        }
        say!(self, "RDB preamble is OK, proceeding with AOF tail...")?;
        Ok(len)
    }

    fn analyzed(
        &mut self,
        name: &str,
        path: &Path,
        size: u64,
        sound: u64,
        last: bool,
        wrong: Option<Wrong>,
    ) -> Checked<Found> {
        if let Some(Some(text)) = &wrong {
            say!(self, "{text}")?;
        }
        let diff = size - sound.min(size);
        let by_time = matches!(self.job, Job::CutAt(_));
        if wrong.is_none() && by_time {
            return Ok(Found::NothingToCut);
        }
        say!(
            self,
            "AOF analyzed: filename={name}, size={size}, ok_up_to={sound}, ok_up_to_line={}, diff={diff}",
            self.line
        )?;
        if diff == 0 {
            return Ok(Found::Sound);
        }
        if self.job != Job::Fix {
            say!(
                self,
                "AOF {name} is not valid. Use the --fix option to try fixing it."
            )?;
            return Err(Stopped);
        }
        if !last {
            say!(
                self,
                "Failed to truncate AOF {name} because it is not the last file"
            )?;
            return Err(Stopped);
        }
        say!(
            self,
            "This will shrink the AOF {name} from {size} bytes, with {diff} bytes, to {sound} bytes"
        )?;
        self.ask()?;
        self.cut(path, sound)?;
        Ok(Found::Cut)
    }

    fn ask(&mut self) -> Checked<()> {
        let asked = write!(self.out, "Continue? [y/N]: ").and_then(|()| self.out.flush());
        asked.map_err(|_| Stopped)?;
        let mut answer = String::new();
        let read = self.input.read_line(&mut answer);
        if read.is_err() || !answer.to_ascii_lowercase().starts_with('y') {
            say!(self, "Aborting...")?;
            return Err(Stopped);
        }
        Ok(())
    }

    fn cut(&mut self, path: &Path, len: u64) -> Checked<()> {
        let done = OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|f| f.set_len(len).and_then(|()| f.sync_all()));
        if let Err(e) = done {
            say!(
                self,
                "Failed to truncate AOF {}: {}",
                path.display(),
                super::log::text(&e)
            )?;
            return Err(Stopped);
        }
        Ok(())
    }

    fn cut_by_time(&mut self, path: &Path, from: u64, seen: bool, last: bool) -> Checked<Found> {
        let Job::CutAt(at) = self.job else {
            return Ok(Found::Sound);
        };
        let shown = path.display();
        if !last {
            say!(
                self,
                "Failed to truncate AOF {shown} to timestamp {at} to offset {from} because it is not the last file."
            )?;
            say!(
                self,
                "If you insist, please delete all files after this file according to the manifest file and delete the corresponding records in manifest file manually. Then re-run redis-check-aof."
            )?;
            return Err(Stopped);
        }
        if from == 0 || !seen {
            say!(
                self,
                "AOF {shown} has nothing before timestamp {at}, aborting..."
            )?;
            return Err(Stopped);
        }
        self.cut(path, from)?;
        Ok(Found::Cut)
    }
}

/// Whether a file's first bytes are those of a manifest: lines that begin with "file", comments allowed.
fn is_manifest(head: &[u8]) -> bool {
    let mut lines = head.split(|&b| b == b'\n').filter(|l| !l.is_empty());
    let text = lines.find(|l| l[0] != b'#');
    text.is_some_and(|l| l.starts_with(b"file "))
}

fn starts_as_rdb(path: &Path) -> bool {
    let mut head = [0; format::MAGIC_SEEN];
    let read = File::open(path).and_then(|mut f| f.read_exact(&mut head));
    read.is_ok() && format::begins_rdb(&head)
}

/// A walk over the commands of a file.
struct Walk<'a, R> {
    input: BufReader<R>,
    name: &'a str,
    offset: u64,
    /// Everything before is sound.
    sound: u64,
    /// Where what is being read begins; errors name it.
    at: u64,
    in_multi: bool,
    line: &'a mut u64,
    cut_at: Option<i64>,
    seen_command: bool,
}

impl<R: Read> Walk<'_, R> {
    /// Walks to the end. Some: where to cut by time.
    fn run(&mut self) -> Result<Option<u64>, Wrong> {
        loop {
            let start = self.offset;
            let next = match self.input.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => bytes[0],
                Err(e) => return Err(Some(format!("Error reading the file: {e}"))),
            };
            match next {
                b'#' => {
                    let line = self.read_line()?;
                    if let (Some(limit), Some(at)) = (self.cut_at, annotated(&line))
                        && at > limit
                    {
                        return Ok(Some(start));
                    }
                }
                b'*' => {
                    self.command()?;
                    self.seen_command = true;
                }
                _ => return Err(Some(format!("AOF {} format error", self.name))),
            }
            if !self.in_multi {
                self.sound = self.offset;
            }
        }
        if self.in_multi {
            return Err(self.wrong("Reached EOF before reading EXEC for MULTI"));
        }
        Ok(None)
    }

    fn wrong(&self, what: &str) -> Wrong {
        Some(format!("0x{:16x}: {what}", self.at))
    }

    fn command(&mut self) -> Result<(), Wrong> {
        let argc = self.number(b'*')?;
        for i in 0..argc {
            let len = self.number(b'$')?;
            if !(0..=i64::MAX - 2).contains(&len) {
                let what = format!(
                    "Expected to read string of {len} bytes, which is not in the suitable range"
                );
                return Err(self.wrong(&what));
            }
            let text = self.bytes(len as u64)?;
            if i == 0 {
                self.note_multi(&text)?;
            }
        }
        Ok(())
    }

    fn note_multi(&mut self, name: &[u8]) -> Result<(), Wrong> {
        let what = match (name.to_ascii_lowercase().as_slice(), self.in_multi) {
            (b"multi", false) => {
                self.in_multi = true;
                return Ok(());
            }
            (b"exec", true) => {
                self.in_multi = false;
                return Ok(());
            }
            (b"multi", true) => "MULTI",
            (b"exec", false) => "EXEC",
            _ => return Ok(()),
        };
        Err(self.wrong(&format!("Unexpected {what} in AOF {}", self.name)))
    }

    /// A line with its end; without one at the end of the file.
    fn read_line(&mut self) -> Result<Vec<u8>, Wrong> {
        self.at = self.offset;
        let mut line = Vec::new();
        let read = self
            .input
            .by_ref()
            .take(LINE_MAX)
            .read_until(b'\n', &mut line);
        match read {
            Ok(n) => {
                self.offset += n as u64;
                Ok(line)
            }
            Err(e) => Err(self.wrong(&format!("Error reading the file: {e}"))),
        }
    }

    fn number(&mut self, mark: u8) -> Result<i64, Wrong> {
        let line = self.read_line()?;
        let Some(&first) = line.first() else {
            // The end of the file inside a command has no better name than its offset.
            return Err(None);
        };
        if first != mark {
            let what = format!(
                "Expected prefix '{}', got: '{}'",
                mark as char, first as char
            );
            return Err(self.wrong(&what));
        }
        let sign = usize::from(line.get(1) == Some(&b'-'));
        let digits = line[1 + sign..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let end = 1 + sign + digits;
        let byte = |i: usize| line.get(i).copied().unwrap_or(0);
        if digits == 0 || (byte(end), byte(end + 1)) != (b'\r', b'\n') {
            let from = if digits == 0 { 1 } else { end };
            let what = format!(
                "Expected \\r\\n, got: {:02x}{:02x}",
                byte(from),
                byte(from + 1)
            );
            return Err(self.wrong(&what));
        }
        *self.line += 1;
        let text = std::str::from_utf8(&line[1..end]).unwrap_or_default();
        text.parse().map_err(|_| self.wrong("Number out of range"))
    }

    /// `len` bytes and a line end; gives the bytes, as far as a name can be long.
    fn bytes(&mut self, len: u64) -> Result<Vec<u8>, Wrong> {
        const NAME_MAX: usize = 64;
        self.at = self.offset;
        let mut kept = Vec::new();
        let mut end = Vec::new();
        let mut left = len + 2;
        while left > 0 {
            let got = match self.input.fill_buf() {
                Ok(bytes) => bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)),
                Err(e) => return Err(self.wrong(&format!("Error reading the file: {e}"))),
            };
            if got == 0 {
                let wanted = len + 2;
                let what = format!(
                    "Expected to read {wanted} bytes, got {} bytes",
                    wanted - left
                );
                return Err(self.wrong(&what));
            }
            let chunk = &self.input.buffer()[..got];
            let text = (left.saturating_sub(2)).min(got as u64) as usize;
            let room = NAME_MAX.saturating_sub(kept.len());
            kept.extend_from_slice(&chunk[..text.min(room)]);
            end.extend_from_slice(&chunk[text..]);
            self.input.consume(got);
            self.offset += got as u64;
            left -= got as u64;
        }
        if end != b"\r\n" {
            let byte = |i: usize| end.get(i).copied().unwrap_or(0);
            let what = format!("Expected \\r\\n, got: {:02x}{:02x}", byte(0), byte(1));
            return Err(self.wrong(&what));
        }
        *self.line += 1;
        Ok(kept)
    }
}

fn annotated(line: &[u8]) -> Option<i64> {
    let text = line.strip_prefix(b"#TS:")?.trim_ascii();
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            Files(tempfile::tempdir().unwrap())
        }

        fn put(&self, name: &str, bytes: &[u8]) {
            fs::write(self.0.path().join(name), bytes).unwrap();
        }

        fn len(&self, name: &str) -> u64 {
            fs::metadata(self.0.path().join(name)).unwrap().len()
        }

        /// Runs the tool; its exit code and what it printed, without the folder.
        fn run(&self, name: &str, job: Job, answer: &str) -> (i32, String) {
            let mut out = Vec::new();
            let path = self.0.path().join(name);
            let code = main(&path, job, 0, &mut answer.as_bytes(), &mut out);
            let dir = format!("{}/", self.0.path().display());
            (code, String::from_utf8(out).unwrap().replace(&dir, ""))
        }

        fn look(&self, bytes: &[u8]) -> (i32, Vec<String>) {
            self.put("x.aof", bytes);
            let (code, text) = self.run("x.aof", Job::Look, "");
            (code, text.lines().map(str::to_owned).collect())
        }
    }

    /// What the tool of 7.0.15 said of the same bytes.
    #[test]
    fn single_files_as_upstream_tells_them() {
        let f = Files::new();
        let start = "Start checking Old-Style AOF";
        let bad = "AOF x.aof is not valid. Use the --fix option to try fixing it.";
        let is = |bytes: &[u8], lines: &[&str]| {
            let (code, got) = f.look(bytes);
            assert_eq!(got, lines, "{}", bytes.escape_ascii());
            assert_eq!(code, i32::from(lines.last() == Some(&bad)));
        };
        is(b"", &[start, "AOF x.aof is empty"]);
        is(
            b"#TS:12\r\n*1\r\n$4\r\nping\r\n#TS:x\r\n",
            &[
                start,
                "AOF analyzed: filename=x.aof, size=29, ok_up_to=29, ok_up_to_line=4, diff=0",
                "AOF x.aof is valid",
            ],
        );
        let set = b"*3\r\n$3\r\nset\r\n$1\r\nk\r\n$1\r\nv\r\n".as_slice();
        is(
            &[set, b"!!!\r\n"].concat(),
            &[
                start,
                "AOF x.aof format error",
                "AOF analyzed: filename=x.aof, size=32, ok_up_to=27, ok_up_to_line=8, diff=5",
                bad,
            ],
        );
        is(
            b"*3\r\n$3\r\nset\r\n$1\r\nk\r\n$1\r\nvv\r\n",
            &[
                start,
                "0x              18: Expected \\r\\n, got: 760d",
                "AOF analyzed: filename=x.aof, size=28, ok_up_to=0, ok_up_to_line=7, diff=28",
                bad,
            ],
        );
        is(
            b"*1\r\n$4\r\nexec\r\n",
            &[
                start,
                "0x               8: Unexpected EXEC in AOF x.aof",
                "AOF analyzed: filename=x.aof, size=14, ok_up_to=0, ok_up_to_line=4, diff=14",
                bad,
            ],
        );
        is(
            b"*1\r\n$5\r\nmulti\r\n*1\r\n$4\r\nping\r\n",
            &[
                start,
                "0x              17: Reached EOF before reading EXEC for MULTI",
                "AOF analyzed: filename=x.aof, size=29, ok_up_to=0, ok_up_to_line=7, diff=29",
                bad,
            ],
        );
        is(
            b"*1\r\n$-1\r\n",
            &[
                start,
                "0x               4: Expected to read string of -1 bytes, which is not in the suitable range",
                "AOF analyzed: filename=x.aof, size=9, ok_up_to=0, ok_up_to_line=3, diff=9",
                bad,
            ],
        );
    }

    const TWO: &[u8] = b"#TS:12\r\n*1\r\n$4\r\nping\r\n#TS:15\r\n*1\r\n$4\r\nping\r\n";

    #[test]
    fn cutting_by_time_and_fixing() {
        let f = Files::new();
        for (at, code, len) in [(11, 1, 44), (12, 0, 22), (13, 0, 22), (15, 0, 44)] {
            f.put("t.aof", TWO);
            let (got, text) = f.run("t.aof", Job::CutAt(at), "");
            assert_eq!((got, f.len("t.aof")), (code, len), "{at}: {text}");
            assert_eq!(text.contains("has nothing before"), code == 1);
        }
        f.put("t.aof", &TWO[..40]);
        let (code, text) = f.run("t.aof", Job::Fix, "n\n");
        assert!(code == 1 && text.ends_with("Aborting...\n") && f.len("t.aof") == 40);
        let (code, text) = f.run("t.aof", Job::Fix, "y\n");
        assert_eq!((code, f.len("t.aof")), (0, 30));
        assert!(
            text.ends_with("Successfully truncated AOF t.aof\n"),
            "{text}"
        );
    }

    #[test]
    fn many_files_are_one_and_only_the_last_is_cut() {
        let f = Files::new();
        f.put("b", TWO);
        f.put("i1", TWO);
        f.put("i2", &TWO[..40]);
        let manifest = "file b seq 1 type b\nfile i1 seq 1 type i\nfile i2 seq 2 type i\n";
        f.put("m", manifest.as_bytes());
        let (code, text) = f.run("m", Job::Look, "");
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("INCR AOF i1 is valid"), "{text}");
        let (code, text) = f.run("m", Job::CutAt(12), "");
        assert!(code == 1 && text.contains("is not the last file"), "{text}");
        let (code, text) = f.run("m", Job::Fix, "y\n");
        assert_eq!(code, 0, "{text}");
        assert!(text.ends_with("All AOF files and manifest are valid\n"));
        f.put("i1", &TWO[..40]);
        let (code, text) = f.run("m", Job::Fix, "y\n");
        assert!(
            code == 1 && text.contains("Failed to truncate AOF i1"),
            "{text}"
        );
        assert_eq!(f.len("i1"), 40);
        f.put("m", b"file b seq 1 type x\n");
        let (code, text) = f.run("m", Job::Look, "");
        assert!(
            code == 1 && text.contains("Unknown AOF file type"),
            "{text}"
        );
    }
}
