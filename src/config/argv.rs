//! Command line options as configuration lines.
//!
//! `redis-server [FILE | -] [--name value ...]... [-]`: the first argument is the file unless it starts with a dash; `-` in
//! that place or as the last argument reads more lines from standard input. Each `--name` starts a line and the arguments
//! up to the next `--name` are its words, quoted so that they stay single words. The rules that matter in scripts, as
//! 8.2.3 has them:
//! - an argument right after `--name` is a value even when it starts with dashes (`--requirepass --secret`);
//! - except for `--save`, which without a value means `--save ""`; `--sentinel` takes none;
//! - `"--port 7000"` in one argument is a whole line.
use super::parse::{quote, words_of_line};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Where the configuration comes from, in the order in which it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The file.
    pub file: Option<PathBuf>,
    /// Read standard input after the file.
    pub stdin: bool,
    /// Lines made from options, to be read last.
    pub options: Vec<u8>,
}

impl CommandLine {
    /// Understands the arguments after the program's name.
    pub fn from_args(args: &[OsString]) -> CommandLine {
        let mut line = CommandLine::default();
        let mut rest = args;
        if let Some((first, others)) = args.split_first() {
            match first.as_bytes() {
                b"-" => {
                    line.stdin = true;
                    rest = others;
                }
                [b'-', ..] => {}
                _ => {
                    line.file = Some(PathBuf::from(first));
                    rest = others;
                }
            }
        }
        if let Some((last, others)) = rest.split_last()
            && last.as_bytes() == b"-"
        {
            line.stdin = true;
            rest = others;
        }
        line.options = option_lines(rest);
        line
    }
}

fn option_lines(args: &[OsString]) -> Vec<u8> {
    let mut text = Vec::new();
    // True when the next argument may start a line: at the start, and once the current line has a value.
    let mut may_start = true;
    for (i, arg) in args.iter().enumerate() {
        let arg = arg.as_bytes();
        let Some(name) = arg.strip_prefix(b"--").filter(|_| may_start) else {
            text.extend_from_slice(&quote(arg));
            text.push(b' ');
            may_start = true;
            continue;
        };
        if !text.is_empty() {
            text.push(b'\n');
        }
        text.extend_from_slice(name);
        text.push(b' ');
        let alone = matches!(words_of_line(name), Ok(None))
            || matches!(words_of_line(name), Ok(Some(w)) if w.len() == 1);
        let next_is_option = args
            .get(i + 1)
            .is_none_or(|next| next.as_bytes().starts_with(b"--"));
        may_start = !alone;
        if alone && next_is_option && name.eq_ignore_ascii_case(b"save") {
            text.extend_from_slice(b"\"\" ");
            may_start = true;
        }
        if alone && next_is_option && name.eq_ignore_ascii_case(b"sentinel") {
            may_start = true;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> String {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        String::from_utf8(CommandLine::from_args(&args).options).unwrap()
    }

    #[test]
    fn lines_from_options() {
        assert_eq!(
            options(&["--port", "7000", "--save", "60", "1"]),
            "port \"7000\" \nsave \"60\" \"1\" "
        );
        assert_eq!(
            options(&["x.conf", "--loglevel", "verbose"]),
            "loglevel \"verbose\" "
        );
        assert_eq!(
            options(&["--save", "--appendonly", "yes"]),
            "save \"\" \nappendonly \"yes\" "
        );
        assert_eq!(
            options(&["--port", "1", "--save"]),
            "port \"1\" \nsave \"\" "
        );
        assert_eq!(options(&["--save", ""]), "save \"\" ");
        assert_eq!(
            options(&["--requirepass", "--foo"]),
            "requirepass \"--foo\" "
        );
        assert_eq!(
            options(&["--timeout 5", "--port", "1"]),
            "timeout 5 \nport \"1\" "
        );
        assert_eq!(options(&["--timeout=5"]), "timeout=5 ");
        assert_eq!(options(&["x.conf", "y.conf"]), "\"y.conf\" ");
    }

    #[test]
    fn file_and_stdin() {
        let parse = |args: &[&str]| {
            CommandLine::from_args(&args.iter().map(OsString::from).collect::<Vec<_>>())
        };
        assert_eq!(parse(&["x.conf"]).file, Some("x.conf".into()));
        assert!(parse(&["-"]).stdin);
        assert!(parse(&["--port", "0", "-"]).stdin);
        assert_eq!(
            parse(&["-", "--port", "0"]),
            CommandLine {
                stdin: true,
                options: b"port \"0\" ".to_vec(),
                file: None
            }
        );
        // In the middle it is only a word.
        assert_eq!(
            parse(&["x.conf", "-", "--port", "0"]).options,
            b"\"-\" \nport \"0\" "
        );
        assert!(!parse(&["x.conf", "-", "--port", "0"]).stdin);
    }
}
