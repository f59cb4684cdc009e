//! Why a configuration is refused. The Display of each type is the exact text 8.2.3 prints or sends.
//!
//! [`Reason`] is what is wrong with a value, without saying where; [`SetError`] places it in a CONFIG SET, [`ConfigError`] in
//! a file or on the command line.
use std::fmt;

/// What is wrong with one directive or value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Neither yes nor no.
    NotBool,
    /// Not a canonical integer.
    NotInteger,
    /// Not a number with an optional memory unit.
    NotMemory,
    /// Neither memory nor a percentage.
    NotMemoryOrPercent,
    /// A percentage above 100.
    PercentAbove100,
    /// Not octal digits.
    NotOctal,
    /// A number outside of its bounds.
    Range(i64, i64),
    /// An octal number outside of its bounds.
    RangeOctal(i64, i64),
    /// A negative value for an unsigned directive.
    Negative,
    /// Not one of these names.
    NotOneOf(Vec<&'static str>),
    /// Too few or too many words.
    WrongArgs,
    /// CONFIG SET of a directive that is fixed at start.
    Immutable,
    /// CONFIG SET of a directive guarded by `enable-protected-configs`.
    Protected,
    /// The same directive twice in one CONFIG SET.
    Duplicate,
    /// A line that is no directive at all.
    BadDirective,
    /// A quote without its end.
    UnbalancedQuotes,
    /// `sentinel` lines of a server that is none.
    NotSentinel,
    /// `loadmodule`: there are no modules here.
    NoModules,
    /// Includes nested too deeply (upstream crashes on a file that includes itself).
    IncludeDepth,
    /// A directive's own message.
    Text(&'static str),
    /// A message of the operating system.
    Os(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Reason::*;
        f.write_str(match self {
            NotBool => "argument must be 'yes' or 'no'",
            NotInteger => "argument couldn't be parsed into an integer",
            NotMemory => "argument must be a memory value",
            NotMemoryOrPercent => "argument must be a memory or percent value",
            PercentAbove100 => "percentage argument must be less or equal to 100",
            NotOctal => "argument couldn't be parsed as an octal number",
            Range(min, max) => {
                return write!(f, "argument must be between {min} and {max} inclusive");
            }
            RangeOctal(min, max) => {
                return write!(f, "argument must be between {min:o} and {max:o} inclusive");
            }
            Negative => "argument must be greater or equal to 0",
            NotOneOf(names) => {
                return write!(
                    f,
                    "argument(s) must be one of the following: {}",
                    names.join(", ")
                );
            }
            WrongArgs => "wrong number of arguments",
            Immutable => "can't set immutable config",
            Protected => "can't set protected config",
            Duplicate => "duplicate parameter",
            BadDirective => "Bad directive or wrong number of arguments",
            UnbalancedQuotes => "Unbalanced quotes in configuration line",
            NotSentinel => "sentinel directive while not in sentinel mode",
            NoModules => "modules are not supported: remove the loadmodule directive",
            IncludeDepth => "include files are nested too deeply, or a file includes itself",
            Text(text) => text,
            Os(text) => text,
        })
    }
}

/// Why a CONFIG SET was refused. Display is the error reply without the leading `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetError {
    /// No directive of that name (as typed).
    Unknown(String),
    /// The directive must not change while a dataset is loaded.
    Loading,
    /// A directive was named twice, is fixed, or its value is wrong.
    Failed {
        /// The name as typed.
        name: String,
        /// What is wrong.
        reason: Reason,
    },
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Loading => f.write_str("LOADING Redis is loading the dataset in memory"),
            SetError::Unknown(name) => {
                write!(
                    f,
                    "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
                )
            }
            SetError::Failed { name, reason } => {
                write!(
                    f,
                    "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"
                )
            }
        }
    }
}

impl std::error::Error for SetError {}

/// Why the configuration could not be loaded. Display is the text for stderr (several lines, no newline at the end).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigError {
    /// A line is wrong.
    Line {
        /// Where the line stands: a path, or words such as "the command line options".
        source: String,
        /// Line number from 1; command line options count on after the last line of the file, as upstream counts them.
        number: usize,
        /// The line, trimmed.
        text: String,
        /// What is wrong.
        reason: Reason,
    },
    /// A file could not be read.
    Open {
        /// The path as given.
        path: String,
        /// The operating system's message.
        error: String,
    },
    /// The lines are right one by one but not together.
    Whole(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Compat: the version in the banner is the one upstream's tools and tests know; the line naming the source is ours.
        const BANNER: &str = "*** FATAL CONFIG FILE ERROR (Redis 8.2.3) ***";
        match self {
            ConfigError::Line {
                source,
                number,
                text,
                reason,
            } => write!(
                f,
                "\n{BANNER}\nReading the configuration file, at line {number}\n>>> '{text}'\n{reason}\n(in {source})"
            ),
            ConfigError::Open { path, error } => {
                write!(f, "Fatal error, can't open config file '{path}': {error}")
            }
            ConfigError::Whole(reason) => write!(f, "\n{BANNER}\n{reason}"),
        }
    }
}

impl std::error::Error for ConfigError {}
