//! The child that writes a snapshot: what it does between fork and exit, and the pipe by which it tells its parent how far it is.
//!
//! A report is [`REPORT_LEN`] bytes, written whole (below PIPE_BUF, so never torn):
//!
//! | offset | size | meaning                                                   |
//! |-------:|-----:|-----------------------------------------------------------|
//! |      0 |    1 | 0 progress, 1 the last report before a good end           |
//! |      1 |    8 | keys written so far, u64 LE                               |
//! |      9 |    8 | bytes copied on write so far, u64 LE                      |
//! |     17 |    8 | the most bytes copied at any report, u64 LE               |
//!
//! The pipe's end tells the parent at once that the child is gone. Asking the system for the copied bytes can take milliseconds in
//! a big process, so the next report waits at least a second and a hundred times as long as the last question took.

use super::snapshot::{self, Plan};
use crate::keyspace::Keyspace;
use crate::sys::fork;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of a report.
pub const REPORT_LEN: usize = 25;
/// Of the time between two reports, asking for the copied bytes may take one part in so many.
const DUTY_CYCLE: u32 = 100;
const MB: u64 = 1024 * 1024;

/// What a child tells about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// The last one: the work is done.
    pub last: bool,
    /// Keys written so far.
    pub keys: u64,
    /// Bytes copied on write so far.
    pub cow: u64,
    /// The most bytes copied at any report.
    pub cow_peak: u64,
}

impl Report {
    fn to_bytes(self) -> [u8; REPORT_LEN] {
        let mut out = [0; REPORT_LEN];
        out[0] = u8::from(self.last);
        for (at, n) in [(1, self.keys), (9, self.cow), (17, self.cow_peak)] {
            out[at..at + 8].copy_from_slice(&n.to_le_bytes());
        }
        out
    }

    fn from_bytes(bytes: &[u8; REPORT_LEN]) -> Report {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        Report {
            last: bytes[0] == 1,
            keys: word(1),
            cow: word(9),
            cow_peak: word(17),
        }
    }
}

/// The parent's end of the pipe.
#[derive(Debug)]
pub struct Reports {
    pipe: PipeReader,
    partial: Vec<u8>,
}

/// What reading the pipe came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A report.
    Report(Report),
    /// Nothing more for now.
    Nothing,
    /// The child is gone.
    End,
}

/// A pipe for reports: the reading end never waits.
pub fn pipe() -> io::Result<(Reports, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    fcntl(reader.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    // A parent too busy to read must not hold the child up: a report that does not fit is dropped.
    fcntl(writer.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let reports = Reports {
        pipe: reader,
        partial: Vec::with_capacity(REPORT_LEN),
    };
    Ok((reports, writer))
}

impl Reports {
    /// The next report.
    pub fn hear(&mut self) -> Heard {
        loop {
            if let Some(whole) = self.partial.first_chunk::<REPORT_LEN>() {
                let report = Report::from_bytes(whole);
                self.partial.drain(..REPORT_LEN);
                return Heard::Report(report);
            }
            let mut buf = [0; 8 * REPORT_LEN];
            match self.pipe.read(&mut buf) {
                Ok(0) => return Heard::End,
                Ok(n) => self.partial.extend_from_slice(&buf[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Heard::Nothing,
                Err(_) => return Heard::End,
            }
        }
    }

    /// The descriptor, to be watched.
    pub fn fd(&self) -> RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&self.pipe)
    }
}

/// The child's side of the pipe, with the figures for the log.
struct Reporter {
    pipe: PipeWriter,
    purpose: &'static str,
    next: Instant,
    peak: u64,
    sum: u64,
    count: u64,
}

impl Reporter {
    fn new(pipe: PipeWriter, purpose: &'static str) -> Self {
        Reporter {
            pipe,
            purpose,
            next: Instant::now(),
            peak: 0,
            sum: 0,
            count: 0,
        }
    }

    /// Reports, unless the last report is too fresh.
    fn progress(&mut self, keys: u64) {
        if Instant::now() >= self.next {
            self.report(keys, false);
        }
    }

    fn report(&mut self, keys: u64, last: bool) {
        let asked = Instant::now();
        let cow = fork::private_dirty_bytes() as u64;
        let took = asked.elapsed();
        self.next = Instant::now() + (took * DUTY_CYCLE).max(Duration::from_secs(1));
        self.peak = self.peak.max(cow);
        (self.sum, self.count) = (self.sum + cow, self.count + 1);
        let level = if last {
            log::Level::Info
        } else {
            log::Level::Debug
        };
        if last || cow > 0 {
            log::log!(
                level,
                "Fork CoW for {}: current {} MB, peak {} MB, average {} MB",
                self.purpose,
                cow / MB,
                self.peak / MB,
                self.sum / self.count / MB
            );
        }
        let report = Report {
            last,
            keys,
            cow,
            cow_peak: self.peak,
        };
        // The parent counts on the exit code; a report it cannot take now is not worth failing for.
        if let Err(e) = self.pipe.write(&report.to_bytes())
            && e.kind() == io::ErrorKind::BrokenPipe
        {
            // The parent is dead: nobody will take what we make.
            fork::exit_now(1)
        }
    }
}

/// Writes the snapshot, tells how it goes, and ends the process: what a child does once its surroundings are set up.
pub fn save_and_exit(ks: &Keyspace, plan: &Plan, path: &Path, pipe: PipeWriter) -> ! {
    work_and_exit("RDB", pipe, |progress| {
        snapshot::save_file(ks, plan, path, progress)
            .map(|()| "DB saved on disk".into())
            .map_err(|e| e.to_string())
    })
}

/// Does a child's work, tells how it goes, and ends the process. `work` is given whom to tell the number of keys written, and
/// gives the line for the log, of success or of failure.
pub fn work_and_exit(
    purpose: &'static str,
    pipe: PipeWriter,
    work: impl FnOnce(&mut dyn FnMut(u64)) -> Result<String, String>,
) -> ! {
    let mut reporter = Reporter::new(pipe, purpose);
    reporter.report(0, false);
    let mut written = 0;
    let done = work(&mut |keys| {
        written = keys;
        reporter.progress(keys);
    });
    match done {
        Ok(line) => {
            log::info!("{line}");
            reporter.report(written, true);
            fork::exit_now(0)
        }
        Err(e) => {
            log::warn!("{e}");
            fork::exit_now(1)
        }
    }
}

/// Writes the snapshot to replicas through `out`, between a line `$EOF:` with `mark` and `mark` again (40 characters, so that
/// it is not met in the data), tells how it goes, and ends the process when `leave` does.
pub fn send_and_exit(
    ks: &Keyspace,
    plan: &Plan,
    out: PipeWriter,
    mut leave: PipeReader,
    mark: &str,
    pipe: PipeWriter,
) -> ! {
    let mut reporter = Reporter::new(pipe, "RDB");
    reporter.report(0, false);
    let mut written = 0;
    let sent = snapshot::send(ks, plan, out, mark, &mut |keys| {
        written = keys;
        reporter.progress(keys);
    });
    if let Err(e) = sent {
        log::warn!("Write error while sending DB to replicas: {e}");
        fork::exit_now(1)
    }
    reporter.report(written, true);
    // The parent closes its end when it has read everything (or dies).
    let _ = leave.read(&mut [0]);
    fork::exit_now(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_pass_the_pipe() {
        let (mut reports, mut writer) = pipe().unwrap();
        assert_eq!(reports.hear(), Heard::Nothing);
        let sent = Report {
            last: true,
            keys: 1 << 40,
            cow: 77,
            cow_peak: u64::MAX,
        };
        let bytes = sent.to_bytes();
        writer.write_all(&bytes[..10]).unwrap();
        assert_eq!(reports.hear(), Heard::Nothing);
        writer.write_all(&bytes[10..]).unwrap();
        writer.write_all(&Report::default().to_bytes()).unwrap();
        drop(writer);
        assert_eq!(reports.hear(), Heard::Report(sent));
        assert_eq!(reports.hear(), Heard::Report(Report::default()));
        assert_eq!(reports.hear(), Heard::End);
    }
}
