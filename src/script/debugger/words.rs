//! What the client of a debugging session may say. Each word may be given by its first letter.

use super::{Session, session_of, show, stack};
use crate::ds::numtext::parse_i64;
use crate::script::lua::{Kind, Lua};

/// How a request leaves the script.
pub enum Next {
    /// Stopped.
    Stay,
    /// Running.
    GoOn,
    /// Over.
    Abort,
}

/// Most breakpoints at a time.
const BREAKPOINTS: usize = 64;

/// Fewest bytes that `maxlen` may leave of a line.
const SHORTEST: i64 = 60;

/// Lines around the present one that `list` shows.
const AROUND: i32 = 5;

const HELP: [&str; 22] = [
    "What the Lua debugger of Redstart understands:",
    "[s]tep, [n]ext       Run this line and stop at the next one.",
    "[c]ontinue           Run up to a breakpoint.",
    "[a]bort              End the script; after SCRIPT DEBUG SYNC its changes stay.",
    "[l]ist [line] [ctx]  Show the lines around this one, or around [line] (0: this",
    "                     one), [ctx] of them before and after.",
    "[w]hole              Show the whole source.",
    "[p]rint [var]        Show the local variables, or one of them; KEYS and ARGV",
    "                     can be named too.",
    "[b]reak              Show the breakpoints.",
    "[b]reak <line> ...   Set breakpoints; -<line> takes one back, 0 all of them.",
    "[t]race              Show which function was called from where.",
    "[e]val <code>        Run Lua code beside the script: it sees globals, not locals.",
    "[r]edis <cmd> ...    Run a command of Redis.",
    "[m]axlen [bytes]     Tell or set how much of a value or reply is shown; 0 is all.",
    "[h]elp               Show this.",
    "",
    "What a script may call:",
    "redis.debug(...)     Shows its arguments here.",
    "redis.breakpoint()   Stops before the next line, as a breakpoint there would.",
    "",
    "Values are shown as Lua writes them, replies as lists and quoted strings.",
];

/// Does what a request says.
pub fn act(lua: &mut Lua<'_>, request: &[Vec<u8>]) -> Next {
    let Some(session) = session_of(lua) else {
        return Next::GoOn;
    };
    let name = request.first().map_or(&b""[..], |w| &w[..]);
    let is = |word: &str| {
        name.eq_ignore_ascii_case(word.as_bytes())
            || name.eq_ignore_ascii_case(&word.as_bytes()[..1])
    };
    let args = request.get(1..).unwrap_or_default();
    match () {
        () if is("step") || is("next") => {
            session.step = true;
            return Next::GoOn;
        }
        () if is("continue") => return Next::GoOn,
        () if is("abort") => return Next::Abort,
        () if is("help") => HELP.iter().for_each(|line| session.log(line.as_bytes())),
        () if is("list") => {
            let number = |i: usize| args.get(i).and_then(|a| parse_i64(a)).unwrap_or(0);
            let at = clamp(number(0));
            let around = if args.len() > 1 {
                clamp(number(1))
            } else {
                AROUND
            };
            session.list(at, around);
        }
        () if is("whole") => session.list(1, i32::MAX),
        () if is("break") => breakpoints(session, args),
        () if is("maxlen") => max_len(session, args),
        () if is("print") => print(lua, args.first().map(Vec::as_slice)),
        () if is("trace") => trace(lua),
        () if is("eval") => evaluate(lua, &args.join(&b" "[..])),
        () if is("redis") && !args.is_empty() => redis(lua, args),
        () => {
            session.log(b"<error> Unknown Redis Lua debugger command or wrong number of arguments.")
        }
    }
    Next::Stay
}

fn clamp(n: i64) -> i32 {
    n.clamp(0, i64::from(i32::MAX)) as i32
}

impl Session {
    /// The lines around `at` (0: where the script is).
    fn list(&mut self, at: i32, around: i32) {
        let at = if at == 0 { self.line } else { at };
        let last = at.saturating_add(around).min(self.lines.len() as i32);
        for n in at.saturating_sub(around).max(1)..=last {
            self.show_line(n);
        }
    }
}

fn breakpoints(session: &mut Session, args: &[Vec<u8>]) {
    if args.is_empty() {
        let mut all = session.breakpoints.clone();
        all.sort_unstable();
        if all.is_empty() {
            return session.log(b"No breakpoints set. Use 'b <line>' to add one.");
        }
        session.log(format!("{} breakpoints set:", all.len()).as_bytes());
        all.into_iter().for_each(|n| session.show_line(n));
        return;
    }
    for arg in args {
        let Some(n) = parse_i64(arg).and_then(|n| i32::try_from(n).ok()) else {
            session.log(&[b"Invalid argument:'", &arg[..], b"'"].concat());
            continue;
        };
        match n {
            0 => {
                session.breakpoints.clear();
                session.log(b"All breakpoints removed.");
            }
            n if n < 0 => {
                let before = session.breakpoints.len();
                session.breakpoints.retain(|b| Some(*b) != n.checked_neg());
                session.log(match session.breakpoints.len() < before {
                    true => b"Breakpoint removed.",
                    false => b"No breakpoint in the specified line.",
                });
            }
            _ if session.breakpoints.len() == BREAKPOINTS => {
                session.log(b"Too many breakpoints set.");
            }
            n if n as usize > session.lines.len() => session.log(b"Wrong line number."),
            n => {
                if !session.breakpoints.contains(&n) {
                    session.breakpoints.push(n);
                }
                session.list(n, 1);
            }
        }
    }
}

fn max_len(session: &mut Session, args: &[Vec<u8>]) {
    if let Some(arg) = args.first() {
        let n = parse_i64(arg).unwrap_or(0);
        session.max_len = if n <= 0 { 0 } else { n.max(SHORTEST) as usize };
        session.hinted = true;
    }
    session.log(&match session.max_len {
        0 => b"<value> replies are unlimited.".to_vec(),
        n => format!("<value> replies are truncated at {n} bytes.").into_bytes(),
    });
}

/// One variable, of the nearest function that has it, or all of the function that is stopped.
fn print(lua: &mut Lua<'_>, wanted: Option<&[u8]>) {
    let mut found = 0;
    let mut level = 0;
    while stack::frame(lua, level).is_some() {
        // A later one of the same name hides an earlier one.
        let mut last = None;
        let mut n = 1;
        while let Some(name) = stack::local(lua, level, n) {
            let shown = show::value(lua, -1);
            lua.pop(1);
            n += 1;
            match wanted {
                None if name != "(*temporary)" => {
                    found += 1;
                    let head = format!("<value> {name} = ").into_bytes();
                    tell(lua, [head, shown].concat());
                }
                Some(wanted) if wanted == name.as_bytes() => last = Some(shown),
                _ => {}
            }
        }
        if let Some(shown) = last {
            return tell(lua, [&b"<value> "[..], &shown].concat());
        }
        if wanted.is_none() {
            break;
        }
        level += 1;
    }
    match wanted {
        Some(name @ (b"KEYS" | b"ARGV")) => {
            stack::evaluate(lua, name);
            let shown = show::value(lua, -1);
            lua.pop(1);
            tell(lua, [&b"<value> "[..], &shown].concat());
        }
        Some(_) => tell(lua, b"No such variable.".to_vec()),
        None if found == 0 => tell(lua, b"No local variables in the current context.".to_vec()),
        None => {}
    }
}

fn tell(lua: &mut Lua<'_>, line: Vec<u8>) {
    if let Some(session) = session_of(lua) {
        session.log_cut(line);
    }
}

fn trace(lua: &mut Lua<'_>) {
    let mut level = 0;
    while let Some(frame) = stack::frame(lua, level) {
        if let Some(session) = session_of(lua)
            && frame.ours
        {
            let how = if level == 0 { "In" } else { "From" };
            let name = frame.name.as_deref().unwrap_or("top level");
            session.log(format!("{how} {name}:").as_bytes());
            session.show_line(frame.line);
        }
        level += 1;
    }
}

fn evaluate(lua: &mut Lua<'_>, code: &[u8]) {
    let line = match stack::evaluate(lua, code) {
        true => [&b"<retval> "[..], &show::value(lua, -1)].concat(),
        false => {
            if lua.kind(-1) == Kind::Table {
                // What redis.call raises.
                lua.get_field(-1, "err");
                lua.insert(-2);
                lua.pop(1);
            }
            let text = lua.bytes(-1).unwrap_or(b"(error object is not a string)");
            [b"<error> ", text].concat()
        }
    };
    lua.pop(1);
    tell(lua, line);
}

fn redis(lua: &mut Lua<'_>, args: &[Vec<u8>]) {
    if let Some(session) = session_of(lua) {
        session.step = true;
    }
    let called = stack::call_redis(lua, args);
    if let Some(session) = session_of(lua) {
        session.step = false;
        if !called {
            session.log(b"<error> too many arguments");
        }
    }
}

/// Words of a request and the bytes they took; Ok(None) while it is not whole.
type Parsed = Result<Option<(Vec<Vec<u8>>, usize)>, ()>;

/// Reads an array of bulk strings. Err for anything else.
pub fn parse(input: &[u8]) -> Parsed {
    let Some((n, mut at)) = length(input, 0, b'*')? else {
        return Ok(None);
    };
    let mut words = Vec::new();
    for _ in 0..n {
        let Some((len, from)) = length(input, at, b'$')? else {
            return Ok(None);
        };
        let Some(word) = input.get(from..from + len) else {
            return Ok(None);
        };
        words.push(word.to_vec());
        at = from + len + 2;
    }
    Ok((at <= input.len()).then_some((words, at)))
}

/// The number of a line at `at` that begins with `kind`, and where the next line is.
fn length(input: &[u8], at: usize, kind: u8) -> Result<Option<(usize, usize)>, ()> {
    let rest = input.get(at..).unwrap_or_default();
    if rest.first().is_some_and(|b| *b != kind) {
        return Err(());
    }
    let Some(end) = memchr::memchr(b'\r', rest) else {
        return if rest.len() > 32 { Err(()) } else { Ok(None) };
    };
    let n = parse_i64(&rest[1..end]).filter(|n| (0..=1 << 20).contains(n));
    Ok(Some((n.ok_or(())? as usize, at + end + 2)))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn requests() {
        let words = |input: &[u8]| match parse(input) {
            Ok(Some((words, used))) => format!("{used} {}", words.join(&b'|').escape_ascii()),
            Ok(None) => "more".into(),
            Err(()) => "wrong".into(),
        };
        let whole = b"*2\r\n$1\r\np\r\n$3\r\na\0b\r\n*1";
        assert_eq!(words(whole), "20 p|a\\x00b");
        for n in 0..20 {
            assert_eq!(words(&whole[..n]), "more", "{n}");
        }
        for bad in [
            "PING\r\n",
            "*x\r\n",
            "*-1\r\n",
            "*1\r\n+a\r\n",
            "*1\r\n$9999999999\r\n",
        ] {
            assert_eq!(words(bad.as_bytes()), "wrong", "{bad}");
        }
        assert_eq!(words(b"*0\r\n"), "4 ");
    }
}
