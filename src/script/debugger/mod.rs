//! The debugger of EVAL scripts (SCRIPT DEBUG, `redis-cli --ldb`): the client that runs the script talks to it while it is stopped.
//!
//! A session is a conversation on the client's own connection, read and written here and waiting for it: in a forked child
//! (SCRIPT DEBUG YES: nobody else notices, nothing that the script changes stays), or in the server itself, which then serves nobody
//! else (SYNC). Each request is an array with a word of the debugger, each answer an array of lines. It ends with the script: the
//! last line is `<endsession>`, the script's reply follows, the connection is closed.
//!
//! `stack` looks into the stopped script, `words` are what the client may say, `show` is how values look.

mod show;
pub mod stack;
mod words;

use super::loan::borrow;
use super::lua::Lua;
use crate::client::{Client, ClientFlags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::lazyfree::LazyFree;
use crate::net::Conn;
use crate::resp::{Args, Error};
use crate::server::Server;
use crate::sys::fork::{self, Side};
use socket2::Socket;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};
use words::Next;

/// Bytes of values and replies shown unless `maxlen` says otherwise.
const MAX_LEN: usize = 256;

/// Longest request.
const MAX_REQUEST: usize = 1 << 20;

/// What becomes of a script that stopped, or did not.
pub enum Verdict {
    /// It goes on.
    GoOn,
    /// It goes on, and nobody looks any more.
    LeaveAlone,
    /// It ends with this error.
    End(&'static [u8]),
}

/// A session under way.
#[derive(Debug)]
pub struct Session {
    socket: Socket,
    /// What was received and not looked at.
    input: Vec<u8>,
    /// The script's text, line by line.
    lines: Vec<Vec<u8>>,
    /// Lines for the client, sent at the next stop.
    log: Vec<Vec<u8>>,
    breakpoints: Vec<i32>,
    /// Where the script is.
    line: i32,
    /// Stops at the next line, and tells of commands.
    step: bool,
    /// The script called `redis.breakpoint`.
    at_breakpoint: bool,
    /// Bytes shown; 0 for all.
    max_len: usize,
    /// The client was told how to see more.
    hinted: bool,
    /// Since when it runs without stopping.
    resumed: Instant,
}

/// SCRIPT DEBUG: how the client's next EVAL is run.
///
/// # Errors
/// The mode is none, or replies wait before the session's lines.
pub fn choose(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    if ctx.client.has(ClientFlags::IN_EXEC) || !ctx.client.out.is_empty() {
        return Err(Error::new(
            "ERR SCRIPT DEBUG must be called outside a pipeline",
        ));
    }
    let flags = match () {
        () if ctx.is(2, "NO") => ClientFlags::empty(),
        () if ctx.is(2, "YES") => ClientFlags::DEBUGS,
        () if ctx.is(2, "SYNC") => ClientFlags::DEBUGS | ClientFlags::DEBUGS_SYNC,
        () => return Err(Error::new("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
    };
    if !flags.is_empty() && duplicate(&ctx.client.conn).is_none() {
        return Err(Error::new(
            "ERR Scripts can be debugged over TCP and unix sockets only, not by TLS",
        ));
    }
    let both = ClientFlags::DEBUGS | ClientFlags::DEBUGS_SYNC;
    ctx.client.flags.remove(both);
    ctx.client.flags.insert(flags);
    Ok(())
}

/// The client's socket once more.
fn duplicate(conn: &Conn) -> Option<Socket> {
    use std::os::fd::AsFd;
    let fd = match conn {
        Conn::Tcp(s) => s.as_fd().try_clone_to_owned(),
        Conn::Unix(s) => s.as_fd().try_clone_to_owned(),
        Conn::Tls(_) | Conn::None => return None,
    };
    fd.ok().map(Socket::from)
}

/// EVAL of a client that debugs: `eval` runs the script.
pub fn session(ctx: &mut Ctx<'_>, eval: impl FnOnce(&mut Ctx<'_>) -> Outcome) -> Outcome {
    let socket = duplicate(&ctx.client.conn).ok_or(Error::new("ERR No connection to debug by"))?;
    let forked = !ctx.client.has(ClientFlags::DEBUGS_SYNC);
    if forked {
        match fork::fork() {
            Ok(Side::Parent(pid)) => {
                ctx.server.scripts.sessions.push(pid);
                // The connection is the child's now.
                ctx.server.close_soon(ctx.client);
                return Ok(Flow::Done);
            }
            Ok(Side::Child) => alone(ctx.server),
            Err(e) => {
                return Err(Error::text(format!(
                    "ERR Error forking for the debugging session: {e}"
                )));
            }
        }
    } else {
        log::info!("Redis synchronous debugging eval session started");
    }
    let text = ctx.arg(1);
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut session = Session {
        socket,
        input: Vec::new(),
        lines: text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect(),
        log: Vec::new(),
        breakpoints: Vec::new(),
        line: 0,
        step: true,
        at_breakpoint: false,
        max_len: MAX_LEN,
        hinted: false,
        resumed: Instant::now(),
    };
    // Replies of earlier commands come before the session's lines.
    let waiting = ctx.client.out.contiguous().to_vec();
    ctx.client.out.clear();
    let began = session.socket.set_nonblocking(false);
    let _ = began.and_then(|()| session.socket.write_all(&waiting));
    ctx.server.scripts.debug = Some(Box::new(session));
    let outcome = eval(ctx);
    if let Some(mut session) = ctx.server.scripts.debug.take() {
        session.log(b"<endsession>");
        // Whoever is gone hears nothing.
        let _ = session.send();
        if forked {
            reply_and_leave(ctx.client, outcome, &mut session);
        }
        let _ = session.socket.set_nonblocking(true);
    }
    log::info!("Redis synchronous debugging eval session ended");
    let both = ClientFlags::DEBUGS | ClientFlags::DEBUGS_SYNC;
    ctx.client.flags.remove(both);
    ctx.client.flags.insert(ClientFlags::CLOSE_AFTER_REPLY);
    outcome
}

/// In the child: what the script does stays here, and threads that were not forked are not waited for.
fn alone(server: &mut Server) {
    fork::child_signals();
    server.ks.fx.propagating = false;
    std::mem::forget(std::mem::replace(&mut server.ks.lazy, LazyFree::inline()));
    log::info!("Redis forked for debugging eval");
}

fn reply_and_leave(client: &mut Client, outcome: Outcome, session: &mut Session) -> ! {
    if let Err(e) = outcome {
        client.reply().error(&e);
    }
    let _ = session.socket.write_all(client.out.contiguous());
    log::info!("Lua debugging session child exiting");
    fork::exit_now(0)
}

/// Asks after forked sessions that have ended, so that no zombies stay.
pub fn reap(server: &mut Server) {
    if server.scripts.sessions.is_empty() {
        return;
    }
    let goes_on = |pid: &i32| matches!(fork::ended(*pid), Ok(None));
    server.scripts.sessions.retain(goes_on);
}

/// At a shutdown forked sessions end too.
pub fn end_sessions(server: &mut Server) {
    for pid in server.scripts.sessions.drain(..) {
        fork::stop(pid);
    }
}

/// Called before each line of the script, and (`counted`) every so many instructions.
fn stop_here(lua: &mut Lua<'_>, counted: bool, line: i32) -> Verdict {
    let Some((server, _)) = borrow(lua) else {
        return Verdict::GoOn;
    };
    let patience = Duration::from_millis(server.config.busy_reply_threshold);
    let Some(session) = server.scripts.debug.as_mut() else {
        return Verdict::LeaveAlone;
    };
    let at_breakpoint = session.at_breakpoint || session.breakpoints.contains(&line);
    let stops = match counted {
        false => session.step || at_breakpoint,
        true => !session.step && !patience.is_zero() && session.resumed.elapsed() > patience,
    };
    if !stops {
        return Verdict::GoOn;
    }
    session.line = line;
    let why = match () {
        () if counted => "timeout reached, infinite loop?",
        () if session.at_breakpoint => "redis.breakpoint() called",
        () if at_breakpoint => "break point",
        () => "step over",
    };
    session.step = false;
    session.at_breakpoint = false;
    session.log(format!("* Stopped at {line}, stop reason = {why}").as_bytes());
    session.show_line(line);
    match talk(lua) {
        Ok(verdict) => verdict,
        Err(_) => leave(lua),
    }
}

/// The client is gone: the script ends as if nobody had looked.
fn leave(lua: &mut Lua<'_>) -> Verdict {
    if let Some(session) = session_of(lua) {
        session.step = false;
        session.breakpoints.clear();
    }
    Verdict::LeaveAlone
}

/// Does what the client says until the script is to go on.
fn talk(lua: &mut Lua<'_>) -> io::Result<Verdict> {
    loop {
        let Some(session) = session_of(lua) else {
            return Ok(Verdict::LeaveAlone);
        };
        session.send()?;
        let Some(request) = session.request()? else {
            return Ok(Verdict::End(b"ERR protocol error"));
        };
        match words::act(lua, &request) {
            Next::Stay => {}
            Next::GoOn => {
                if let Some(session) = session_of(lua) {
                    session.resumed = Instant::now();
                }
                return Ok(Verdict::GoOn);
            }
            Next::Abort => return Ok(Verdict::End(b"ERR script aborted for user request")),
        }
    }
}

fn session_of<'a>(lua: &'a mut Lua<'_>) -> Option<&'a mut Session> {
    borrow(lua)?.0.scripts.debug.as_deref_mut()
}

/// The script called `redis.breakpoint`: true when that means something.
pub fn breakpoint(lua: &mut Lua<'_>) -> bool {
    match session_of(lua) {
        Some(session) => {
            session.at_breakpoint = true;
            true
        }
        None => false,
    }
}

/// The script called `redis.debug` with its arguments.
pub fn print(lua: &mut Lua<'_>) {
    if session_of(lua).is_none() {
        return;
    }
    let line = stack::frame(lua, 1).map_or(0, |f| f.line);
    let shown: Vec<_> = (1..=lua.nargs() as i32)
        .map(|i| show::value(lua, i))
        .collect();
    if let Some(session) = session_of(lua) {
        let head = format!("<debug> line {line}: ").into_bytes();
        session.log(&[head, shown.join(&b", "[..])].concat());
    }
}

impl Session {
    /// A command of the script is about to run.
    pub fn calling(&mut self, args: Args<'_>) {
        if self.step {
            let words: Vec<&[u8]> = args.iter().collect();
            self.log(&[&b"<redis> "[..], &words.join(&b" "[..])].concat());
        }
    }

    /// What came of it: a reply, or a refusal before it ran.
    pub fn called(&mut self, came: Result<&[u8], &Error>) {
        if !self.step {
            return;
        }
        match came {
            Err(e) => {
                let text = e.as_bytes();
                let text = text.strip_prefix(b"ERR ").unwrap_or(text);
                self.log(&[b"<error> ", text].concat());
            }
            Ok(reply) => {
                if reply.first() == Some(&b'-') {
                    let line = reply.split(|b| *b == b'\r').next().unwrap_or_default();
                    self.log(&[b"<error> ", line].concat());
                }
                self.log_cut([&b"<reply> "[..], &show::reply(reply)].concat());
            }
        }
    }

    /// A line for the client.
    fn log(&mut self, line: &[u8]) {
        let plain = |b: &u8| if b"\r\n".contains(b) { b' ' } else { *b };
        self.log.push(line.iter().map(plain).collect());
    }

    /// A line that is cut where it is longer than `maxlen` has it; the first time the client is told so.
    fn log_cut(&mut self, mut line: Vec<u8>) {
        let cut = self.max_len > 0 && line.len() > self.max_len;
        if cut {
            line.truncate(self.max_len);
            line.extend_from_slice(b" ...");
        }
        self.log(&line);
        if cut && !std::mem::replace(&mut self.hinted, true) {
            self.log(b"<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.");
        }
    }

    /// A line of the source, with marks for where the script is and for breakpoints.
    fn show_line(&mut self, n: i32) {
        let Some(text) = usize::try_from(n - 1).ok().and_then(|i| self.lines.get(i)) else {
            return self.log(b"<out of range source code line>");
        };
        let here = if n == self.line { "->" } else { "  " };
        let mark = if self.breakpoints.contains(&n) {
            "#"
        } else {
            " "
        };
        let head = format!("{here}{mark}{n:<3} ").into_bytes();
        self.log(&[head, text.clone()].concat());
    }

    /// Sends the lines gathered.
    fn send(&mut self) -> io::Result<()> {
        if self.log.is_empty() {
            return Ok(());
        }
        let mut out = format!("*{}\r\n", self.log.len()).into_bytes();
        for line in self.log.drain(..) {
            out.push(b'+');
            out.extend(line);
            out.extend_from_slice(b"\r\n");
        }
        self.socket.write_all(&out)
    }

    /// The next request; None for bytes that are none. An error when the client is gone.
    fn request(&mut self) -> io::Result<Option<Vec<Vec<u8>>>> {
        loop {
            match words::parse(&self.input) {
                Ok(Some((words, used))) => {
                    self.input.drain(..used);
                    return Ok(Some(words));
                }
                Ok(None) if self.input.len() < MAX_REQUEST => {}
                Ok(None) | Err(()) => return Ok(None),
            }
            let mut buf = [0; 4096];
            match self.socket.read(&mut buf) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.input.extend_from_slice(&buf[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}
