//! Reading the configuration: a file with its includes, standard input, command line options, in that order; the last word
//! counts.
//!
//! Most lines are directives with a row. Five are not, as they have no value to show or set later: `include`, `user`,
//! `rename-command`, `sentinel` (kept as they are for the rooms that understand them) and `loadmodule` (refused).
//!
//! `dir` takes effect at once, like upstream: relative includes after it are looked up there. That is the only effect on the
//! process, and [`Loader::enter_dir`] can be replaced.
use super::argv::CommandLine;
use super::directive::Origin;
use super::error::{ConfigError, Reason};
use super::fields::Config;
use super::names::{expand_paths, is_glob};
use super::parse::{lines, trim, words_of_line};
use super::rows::{RETIRED, find};
use super::values::Text;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How deep files may include each other.
const INCLUDE_DEPTH_MAX: usize = 16;
/// What messages call the lines that came from `--name value`.
const OPTIONS: &str = "the command line options";

/// Builds a [`Config`] from texts.
#[derive(Debug)]
pub struct Loader {
    config: Config,
    /// Rows that had a line already.
    seen: Vec<&'static str>,
    /// `sentinel` lines are welcome.
    pub sentinel: bool,
    /// Changes the working directory; tests replace it.
    pub enter_dir: fn(&Path) -> io::Result<()>,
}

impl Default for Loader {
    fn default() -> Self {
        Loader {
            config: Config::default(),
            seen: Vec::new(),
            sentinel: false,
            enter_dir: |path| std::env::set_current_dir(path),
        }
    }
}

/// Loads what the command line asks for. `sentinel` is the mode of the server.
pub fn load(line: &CommandLine, sentinel: bool) -> Result<Config, ConfigError> {
    let mut loader = Loader {
        sentinel,
        ..Loader::default()
    };
    let mut parts = Vec::new();
    if let Some(path) = &line.file {
        parts.push((path.display().to_string(), read_file(path)?));
    }
    if line.stdin {
        let mut text = Vec::new();
        let read = io::stdin().read_to_end(&mut text);
        read.map_err(|e| ConfigError::Open {
            path: "-".into(),
            error: os_text(&e),
        })?;
        parts.push(("standard input".into(), text));
    }
    if !line.options.is_empty() {
        parts.push((OPTIONS.into(), line.options.clone()));
    }
    let mut first = 1;
    for (source, text) in &parts {
        // Upstream puts a newline before the options; its line numbers are kept.
        if source == OPTIONS {
            first = (first + 1).max(2);
        }
        first = loader.add(source, text, first, 0)?;
    }
    loader.finish()
}

impl Loader {
    /// Reads the lines of a text; `source` is what messages call it.
    pub fn text(&mut self, source: &str, text: &[u8]) -> Result<(), ConfigError> {
        self.add(source, text, 1, 0).map(|_| ())
    }

    /// Reads a file.
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = read_file(path)?;
        self.text(&path.display().to_string(), &text)
    }

    /// The configuration, if the lines fit together.
    pub fn finish(self) -> Result<Config, ConfigError> {
        if self.config.cluster_enabled && self.config.replicaof.is_some() {
            return Err(ConfigError::Whole(
                "replicaof directive not allowed in cluster mode".into(),
            ));
        }
        Ok(self.config)
    }

    /// Reads lines numbered from `first`; gives the number of the last one.
    fn add(
        &mut self,
        source: &str,
        text: &[u8],
        first: usize,
        depth: usize,
    ) -> Result<usize, ConfigError> {
        let mut number = first;
        for (i, line) in lines(text).enumerate() {
            number = first + i;
            let refused = |reason| ConfigError::Line {
                source: source.to_string(),
                number,
                text: String::from_utf8_lossy(trim(line)).into_owned(),
                reason,
            };
            let Some(words) = words_of_line(line).map_err(refused)? else {
                continue;
            };
            let args: Vec<&[u8]> = words[1..].iter().map(Vec::as_slice).collect();
            if words[0].eq_ignore_ascii_case(b"include") && args.len() == 1 {
                if depth >= INCLUDE_DEPTH_MAX {
                    return Err(refused(Reason::IncludeDepth));
                }
                self.include(args[0], depth)?;
            } else {
                self.directive(&words[0], &args).map_err(refused)?;
            }
        }
        Ok(number)
    }

    fn include(&mut self, pattern: &[u8], depth: usize) -> Result<(), ConfigError> {
        let pattern_text = Text::from(pattern);
        let path = pattern_text.as_path();
        let files = if is_glob(pattern) {
            expand_paths(path)
        } else {
            vec![PathBuf::from(path)]
        };
        for file in files {
            let text = read_file(&file)?;
            self.add(&file.display().to_string(), &text, 1, depth + 1)?;
        }
        Ok(())
    }

    /// One directive with its words.
    fn directive(&mut self, name: &[u8], args: &[&[u8]]) -> Result<(), Reason> {
        if let Some(row) = find(name) {
            let later = self.seen.contains(&row.name);
            let origin = if later {
                Origin::LaterLine
            } else {
                Origin::FirstLine
            };
            row.set(&mut self.config, args, origin)?;
            self.seen.push(row.name);
            if row.name == "dir" {
                (self.enter_dir)(self.config.dir.as_path()).map_err(|e| Reason::Os(os_text(&e)))?;
            }
            return Ok(());
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let texts = || args.iter().map(|arg| Text::from(*arg)).collect();
        match args {
            [_] if RETIRED.iter().any(|retired| is(retired)) => {}
            [from, to] if is("rename-command") => {
                self.config
                    .rename_command
                    .push((Text::from(*from), Text::from(*to)));
            }
            [name, ..] if is("user") => {
                // Rules are checked when there are commands to check them against.
                if self
                    .config
                    .user
                    .iter()
                    .any(|words| words[0].as_bytes() == *name)
                {
                    let name = String::from_utf8_lossy(name);
                    return Err(Reason::Os(format!(
                        "Error in user declaration '{name}': Duplicate user found. A user can only be defined once in config files"
                    )));
                }
                self.config.user.push(texts());
            }
            [_, ..] if is("loadmodule") => return Err(Reason::NoModules),
            // What `--sentinel` on the command line leaves behind.
            [] if is("sentinel") && self.sentinel => {}
            [_, ..] if is("sentinel") && !self.sentinel => return Err(Reason::NotSentinel),
            [_, ..] if is("sentinel") => self.config.sentinel.push(texts()),
            _ => return Err(Reason::BadDirective),
        }
        Ok(())
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|e| ConfigError::Open {
        path: path.display().to_string(),
        error: os_text(&e),
    })
}

/// The system's message without Rust's addition of the number.
pub(super) fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_string()
}
