//! A directive is one [`Row`]: its names, what kind of value it has, its bounds, who may change it and what must happen then.
//!
//! Rows are constants written with the constructors of `build.rs` (`int("port", num!(port), 0, 65535).apply(Apply::Port)`). They hold
//! `fn` pointers to the field of [`Config`] and nothing else; the default is whatever `Config::default()` has there. A kind
//! knows how to parse a value, print it for CONFIG GET and print it for a file (where texts are quoted and sizes have units).
//! Values of a shape no other directive has are [`Special`] rows with their own three functions (`rows/special.rs`).
use super::error::Reason;
use super::fields::Config;
use super::memory::{format_bytes, parse_bytes};
use super::parse::{quote, split_spaces};
use super::values::Text;
use crate::ds::numtext::parse_i64;

bitflags::bitflags! {
    /// Who may see and change a directive.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct RowFlags: u16 {
        /// Fixed at start: CONFIG SET refuses.
        const IMMUTABLE = 1;
        /// CONFIG SET needs `enable-protected-configs`.
        const PROTECTED = 1 << 1;
        /// A secret: not to appear in logs or the slow log.
        const SENSITIVE = 1 << 2;
        /// For tests: CONFIG GET shows it only by its exact name.
        const HIDDEN = 1 << 3;
        /// Not to be changed while a dataset is loaded.
        const DENY_LOADING = 1 << 4;
        /// The value is several words.
        const MULTI = 1 << 5;
        /// CONFIG REWRITE writes it even when it has its default.
        const ALWAYS_WRITTEN = 1 << 6;
        /// An empty text means "unset": CONFIG REWRITE drops the line instead of writing `""`.
        const EMPTY_IS_UNSET = 1 << 7;
    }
}

/// What the server must do after the field has changed, by CONFIG SET. The configuration itself has no side effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Apply {
    /// Nothing: whoever needs the value reads the field.
    None,
    /// Listen on the new addresses.
    Bind,
    /// Listen on the new TCP port.
    Port,
    /// Listen on the new TLS port.
    TlsPort,
    /// Load certificates and TLS settings anew.
    Tls,
    /// Check the limit of open files.
    MaxClients,
    /// Warn when below the use, evict.
    MaxMemory,
    /// Recompute the client limit and evict clients.
    MaxMemoryClients,
    /// Set the timer anew.
    Hz,
    /// Tell the logger.
    LogLevel,
    /// Start or stop the append only file.
    AppendOnly,
    /// Rethink pending fsyncs.
    AppendFsync,
    /// The save points are new: nothing is pending from the old ones.
    Save,
    /// Change the working directory.
    Dir,
    /// Set the default user's password.
    RequirePass,
    /// Resize the backlog.
    ReplBacklogSize,
    /// Recount the replicas good enough for writes.
    MinReplicas,
    /// Set the locale.
    Locale,
    /// Write the OOM scores.
    OomScoreAdj,
    /// Set the process title.
    ProcTitle,
    /// Start or stop the allocator's thread.
    JemallocThread,
    /// Start or stop the watchdog timer.
    Watchdog,
    /// Bind the running threads to other processors.
    Cpus,
    /// Install or remove the crash handlers.
    CrashLog,
    /// Start or stop active defragmentation.
    ActiveDefrag,
    /// Drop client buffers or tables that are now too large (tracking, ACL log, slow log).
    Trim,
    /// Tell the cluster.
    Cluster,
    /// Empty the latency histograms when switched off.
    LatencyTracking,
}

/// Access to a field of any type.
#[derive(Clone, Copy)]
pub struct Access<T: 'static> {
    /// Reads.
    pub get: fn(&Config) -> &T,
    /// Writes.
    pub get_mut: fn(&mut Config) -> &mut T,
}

/// Access to a numeric field of any width.
#[derive(Clone, Copy)]
pub struct NumAccess {
    /// Reads.
    pub get: fn(&Config) -> i64,
    /// Writes; the bounds of the row keep the value inside of the field's type.
    pub set: fn(&mut Config, i64),
}

/// Access to a field that is one of several names.
#[derive(Clone, Copy)]
pub struct ChoiceAccess {
    /// The canonical name.
    pub get: fn(&Config) -> &'static str,
    /// False: no such name.
    pub set: fn(&mut Config, &[u8]) -> bool,
    /// All names.
    pub names: fn() -> Vec<&'static str>,
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Decimal.
    Plain,
    /// Bytes, with `k`, `kb`, `m`, `mb`, `g`, `gb`.
    Memory,
    /// Octal (file modes).
    Octal,
}

/// Where a value comes from; multi-line directives accumulate in files and replace in CONFIG SET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// CONFIG SET.
    Command,
    /// A file or the command line, and this is the first such line of the directive.
    FirstLine,
    /// A further line.
    LaterLine,
}

/// Refuses texts a directive cannot have.
pub type Check = fn(&[u8]) -> Result<(), Reason>;
/// Takes the words of a value.
pub type SetWords = fn(&mut Config, &[&[u8]], Origin) -> Result<(), Reason>;
/// Lines for a file, each with whether it must be written even when no old line can be reused.
pub type Lines = Vec<(Vec<u8>, bool)>;

/// A directive whose value has a shape of its own.
pub struct Special {
    /// The value as CONFIG GET prints it.
    pub get: fn(&Config) -> Vec<u8>,
    /// Takes the words of a line or of a CONFIG SET.
    pub set: SetWords,
    /// The lines CONFIG REWRITE writes, with the directive's name, and whether each must be written even when no old line
    /// can be reused.
    pub lines: fn(&Config, &Config) -> Lines,
}

/// The kind of a directive's value.
pub enum Kind {
    /// yes or no.
    Bool(Access<bool>),
    /// A number from `min` to `max`.
    Int {
        /// The field.
        at: NumAccess,
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
        /// How it is written.
        unit: Unit,
        /// Only matters for which message a negative value gets.
        unsigned: bool,
    },
    /// Bytes taken as they are.
    Text(Access<Text>),
    /// One of several names.
    Choice(ChoiceAccess),
    /// Anything else.
    Special(&'static Special),
}

/// One directive.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its older name, which works everywhere the name does.
    pub alias: Option<&'static str>,
    /// Its value.
    pub kind: Kind,
    /// Who may see and change it.
    pub flags: RowFlags,
    /// What the server does after a change.
    pub apply: Apply,
    /// Refuses texts the directive cannot have.
    pub check: Option<Check>,
    /// Brings an accepted value into the range that takes effect (`hz`).
    pub settle: Option<fn(&mut Config)>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Row({})", self.name)
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Row) -> bool {
        self.name == other.name
    }
}

impl Row {
    /// A row without flags, checks and effects; `build.rs` has a constructor per kind.
    pub const fn new(name: &'static str, kind: Kind) -> Row {
        Row {
            name,
            alias: None,
            kind,
            flags: RowFlags::empty(),
            apply: Apply::None,
            check: None,
            settle: None,
        }
    }
    /// Gives the row an older name.
    pub const fn alias(mut self, alias: &'static str) -> Row {
        self.alias = Some(alias);
        self
    }
    /// Adds flags.
    pub const fn flags(mut self, flags: RowFlags) -> Row {
        self.flags = self.flags.union(flags);
        self
    }
    /// Adds IMMUTABLE.
    pub const fn immutable(self) -> Row {
        self.flags(RowFlags::IMMUTABLE)
    }
    /// Names what the server does after a change.
    pub const fn apply(mut self, apply: Apply) -> Row {
        self.apply = apply;
        self
    }
    /// Adds a check of texts.
    pub const fn check(mut self, check: Check) -> Row {
        self.check = Some(check);
        self
    }
    /// Adds a correction of accepted values.
    pub const fn settle(mut self, settle: fn(&mut Config)) -> Row {
        self.settle = Some(settle);
        self
    }

    /// The value as CONFIG GET prints it.
    pub fn get(&self, config: &Config) -> Vec<u8> {
        match &self.kind {
            Kind::Bool(at) => yes_no(*(at.get)(config)).to_vec(),
            Kind::Int {
                at,
                unit: Unit::Octal,
                ..
            } => format!("{:o}", (at.get)(config)).into_bytes(),
            Kind::Int { at, .. } => (at.get)(config).to_string().into_bytes(),
            Kind::Text(at) => (at.get)(config).as_bytes().to_vec(),
            Kind::Choice(at) => (at.get)(config).as_bytes().to_vec(),
            Kind::Special(special) => (special.get)(config),
        }
    }

    /// Sets the field from the words of a line, or from the single value of a CONFIG SET.
    pub fn set(&self, config: &mut Config, args: &[&[u8]], origin: Origin) -> Result<(), Reason> {
        let split;
        let args = match args {
            [one] if self.flags.contains(RowFlags::MULTI) => {
                split = split_spaces(one);
                &split[..]
            }
            _ => args,
        };
        match (&self.kind, args) {
            (Kind::Special(special), _) => (special.set)(config, args, origin)?,
            (_, [value]) => self.set_single(config, value)?,
            _ => return Err(Reason::WrongArgs),
        }
        if let Some(settle) = self.settle {
            settle(config);
        }
        Ok(())
    }

    fn set_single(&self, config: &mut Config, value: &[u8]) -> Result<(), Reason> {
        match &self.kind {
            Kind::Bool(at) => *(at.get_mut)(config) = parse_yes_no(value)?,
            Kind::Int {
                at,
                min,
                max,
                unit,
                unsigned,
            } => (at.set)(config, parse_number(value, *min, *max, *unit, *unsigned)?),
            Kind::Text(at) => {
                if let Some(check) = self.check {
                    check(value)?;
                }
                *(at.get_mut)(config) = Text::from(value);
            }
            Kind::Choice(at) => {
                if !(at.set)(config, value) {
                    return Err(Reason::NotOneOf((at.names)()));
                }
            }
            Kind::Special(_) => return Err(Reason::WrongArgs),
        }
        Ok(())
    }

    /// The lines CONFIG REWRITE writes for it, each with whether it must appear even when no old line can be reused.
    pub fn lines(&self, config: &Config, defaults: &Config) -> Lines {
        let value = match &self.kind {
            Kind::Special(special) => return (special.lines)(config, defaults),
            Kind::Int {
                at,
                unit: Unit::Memory,
                ..
            } => format_bytes((at.get)(config) as u64).into_bytes(),
            Kind::Text(at) => {
                let text = (at.get)(config);
                if text.is_empty() && self.flags.contains(RowFlags::EMPTY_IS_UNSET) {
                    return Vec::new();
                }
                quote(text)
            }
            _ => self.get(config),
        };
        let differs = self.get(config) != self.get(defaults);
        vec![(
            line(self.name, &value),
            differs || self.flags.contains(RowFlags::ALWAYS_WRITTEN),
        )]
    }
}

/// `name value`.
pub fn line(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b" ", value].concat()
}

/// `yes` or `no`.
pub fn yes_no(value: bool) -> &'static [u8] {
    if value { b"yes" } else { b"no" }
}

fn parse_yes_no(value: &[u8]) -> Result<bool, Reason> {
    if value.eq_ignore_ascii_case(b"yes") {
        Ok(true)
    } else if value.eq_ignore_ascii_case(b"no") {
        Ok(false)
    } else {
        Err(Reason::NotBool)
    }
}

fn parse_number(
    value: &[u8],
    min: i64,
    max: i64,
    unit: Unit,
    unsigned: bool,
) -> Result<i64, Reason> {
    let n = match unit {
        Unit::Plain => parse_i64(value).ok_or(Reason::NotInteger)?,
        // Sizes above i64::MAX come out negative, and are refused as such.
        Unit::Memory => parse_bytes(value).ok_or(Reason::NotMemory)? as i64,
        Unit::Octal => parse_octal(value).ok_or(Reason::NotOctal)?,
    };
    if unsigned && n < 0 {
        return Err(Reason::Negative);
    }
    if n < min || n > max {
        return Err(match unit {
            Unit::Octal => Reason::RangeOctal(min, max),
            _ => Reason::Range(min, max),
        });
    }
    Ok(n)
}

/// Octal digits; nothing at all is 0, as upstream takes it.
fn parse_octal(value: &[u8]) -> Option<i64> {
    value.iter().try_fold(0i64, |n, &digit| match digit {
        b'0'..=b'7' => n.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}
