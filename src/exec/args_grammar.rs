//! The grammar of a row's `args`: the argument tree of COMMAND DOCS, written in one readable line.
//!
//! It looks like the syntax line of a manual page. Items stand in order, separated by blanks:
//!
//! ```text
//! NX                     a bare word of the syntax (pure-token) whose name is the word in lower case
//! sorting=ALPHA          a bare word with another name;  equal='='  quotes what is not A-Z 0-9 _ -
//! value                  a string
//! offset:int             another type: int double pattern unix-time
//! key@0                  a key, found by key spec 0;  get:pattern@1  anything else tied to a key spec
//! addr<ip:port>          shown as ip:port rather than by its name
//! LIMIT count:int        announced by a word of the syntax
//! limit(offset count)    a block: these in order
//! order(ASC | DESC)      one of these;  a single choice ends in a bar: filter(ID |)
//! [item]                 optional
//! item...                may be repeated;  [WORD item...] repeats the item only, [WORD item]... the word too
//! item{6.2.0}            came with this version;  item{-2.8.12} was deprecated by it
//! ```
//!
//! A word followed by a lower-case item announces that item, unless the item is itself of the form `name=WORD`.
//! Rows are parsed only when COMMAND DOCS asks, so nothing of this costs memory; a unit test parses every row.

use std::borrow::Cow;
use std::fmt;

/// A node of the argument tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Its name, unique enough for documentation.
    pub name: Cow<'static, str>,
    /// What it is.
    pub kind: ArgKind,
    /// How syntax shows it, where that is not its name.
    pub display: Option<&'static str>,
    /// The key spec that finds it.
    pub key_spec: Option<u8>,
    /// The word announcing it, or the word it is.
    pub token: Option<&'static str>,
    /// Version it came with, or empty.
    pub since: &'static str,
    /// Version that deprecated it, or empty.
    pub deprecated_since: &'static str,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// When repeated, its token is repeated too.
    pub multiple_token: bool,
    /// The parts of a block, or the choices of a oneof.
    pub children: Vec<Arg>,
}

/// The type of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the type of its name")]
pub enum ArgKind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl ArgKind {
    /// The name COMMAND DOCS gives it.
    pub const fn name(self) -> &'static str {
        match self {
            ArgKind::String => "string",
            ArgKind::Integer => "integer",
            ArgKind::Double => "double",
            ArgKind::Key => "key",
            ArgKind::Pattern => "pattern",
            ArgKind::UnixTime => "unix-time",
            ArgKind::PureToken => "pure-token",
            ArgKind::OneOf => "oneof",
            ArgKind::Block => "block",
        }
    }

    /// The type a row writes as `name:word`.
    fn of(word: &str) -> Option<ArgKind> {
        Some(match word {
            "int" => ArgKind::Integer,
            "double" => ArgKind::Double,
            "pattern" => ArgKind::Pattern,
            "unix-time" => ArgKind::UnixTime,
            _ => return None,
        })
    }
}

impl Arg {
    fn new(name: impl Into<Cow<'static, str>>, kind: ArgKind) -> Arg {
        Arg {
            name: name.into(),
            kind,
            display: None,
            key_spec: None,
            token: None,
            since: "",
            deprecated_since: "",
            optional: false,
            multiple: false,
            multiple_token: false,
            children: Vec::new(),
        }
    }

    /// How syntax shows it; groups are shown by their parts.
    pub fn display_text(&self) -> Option<&str> {
        match self.kind {
            ArgKind::OneOf | ArgKind::Block => None,
            _ => Some(self.display.unwrap_or(&self.name)),
        }
    }
}

/// Where a row's `args` do not follow the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrammarError {
    /// Byte offset.
    pub at: usize,
    /// What should be there.
    pub expected: &'static str,
}

impl fmt::Display for GrammarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at {}", self.expected, self.at)
    }
}

/// Parses a row's `args` into its top-level items.
///
/// # Errors
/// Where the text does not follow the grammar: a mistake in a row.
pub fn parse(text: &'static str) -> Result<Vec<Arg>, GrammarError> {
    let mut parser = Parser { text, at: 0 };
    let (items, choice) = parser.items()?;
    if choice {
        return Err(parser.expected("no bar outside of a group"));
    }
    if parser.at < text.len() {
        return Err(parser.expected("an item"));
    }
    Ok(items)
}

struct Parser {
    text: &'static str,
    at: usize,
}

impl Parser {
    fn rest(&self) -> &'static str {
        &self.text[self.at..]
    }

    fn peek(&self) -> u8 {
        self.rest().bytes().next().unwrap_or(0)
    }

    fn expected(&self, expected: &'static str) -> GrammarError {
        GrammarError {
            at: self.at,
            expected,
        }
    }

    /// Steps over `mark` if it is next.
    fn eat(&mut self, mark: &str) -> bool {
        let found = self.rest().starts_with(mark);
        if found {
            self.at += mark.len();
        }
        found
    }

    fn blanks(&mut self) {
        while self.eat(" ") {}
    }

    /// Steps over what is up to `end`, and over `end`.
    fn until(&mut self, end: char, expected: &'static str) -> Result<&'static str, GrammarError> {
        let rest = self.rest();
        let len = rest.find(end).ok_or(self.expected(expected))?;
        self.at += len + end.len_utf8();
        Ok(&rest[..len])
    }

    /// A run of word bytes, not empty.
    fn word(&mut self) -> Result<&'static str, GrammarError> {
        let rest = self.rest();
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let len = rest.bytes().position(|b| !is_word(b)).unwrap_or(rest.len());
        if len == 0 {
            return Err(self.expected("a word"));
        }
        self.at += len;
        Ok(&rest[..len])
    }

    /// Items up to a closing mark or the end, and whether bars stood between them.
    fn items(&mut self) -> Result<(Vec<Arg>, bool), GrammarError> {
        let (mut items, mut bars) = (Vec::new(), 0);
        loop {
            self.blanks();
            match self.peek() {
                0 | b')' | b']' => break,
                b'|' => {
                    self.at += 1;
                    bars += 1;
                }
                _ => items.push(self.item()?),
            }
        }
        if bars > 0 && bars != items.len().max(2) - 1 {
            return Err(self.expected("one item between bars"));
        }
        Ok((items, bars > 0))
    }

    fn item(&mut self) -> Result<Arg, GrammarError> {
        let mut arg;
        if self.eat("[") {
            arg = self.item()?;
            arg.optional = true;
            if !self.eat("]") {
                return Err(self.expected("a closing bracket"));
            }
            if self.eat("...") {
                arg.multiple = true;
                arg.multiple_token = arg.token.is_some();
            }
        } else {
            arg = self.announced()?;
            arg.multiple |= self.eat("...");
        }
        while self.eat("{") {
            let version = self.until('}', "a closing brace")?;
            match version.strip_prefix('-') {
                Some(deprecated) => arg.deprecated_since = deprecated,
                None => arg.since = version,
            }
        }
        Ok(arg)
    }

    /// An item with the word announcing it, or the word alone.
    fn announced(&mut self) -> Result<Arg, GrammarError> {
        if !matches!(self.peek(), b'A'..=b'Z' | b'\'') {
            return self.plain();
        }
        let token = self.token()?;
        let mut arg = if self.announces() {
            self.blanks();
            self.plain()?
        } else {
            Arg::new(token.to_ascii_lowercase(), ArgKind::PureToken)
        };
        arg.token = Some(token);
        Ok(arg)
    }

    /// Whether the token just read announces what follows: a lower-case item that is no `name=WORD`.
    fn announces(&self) -> bool {
        let next = self
            .rest()
            .strip_prefix(' ')
            .map_or("", |rest| rest.trim_start());
        let end = next
            .find([' ', '=', '(', ')', '[', ']', '|', '<', ':', '@', '.', '{'])
            .unwrap_or(next.len());
        next.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && !next[end..].starts_with('=')
    }

    fn token(&mut self) -> Result<&'static str, GrammarError> {
        if self.eat("'") {
            self.until('\'', "a closing quote")
        } else {
            self.word()
        }
    }

    /// A named item: a leaf, a renamed word or a group.
    fn plain(&mut self) -> Result<Arg, GrammarError> {
        let name = self.word()?;
        if self.eat("=") {
            let mut arg = Arg::new(name, ArgKind::PureToken);
            arg.token = Some(self.token()?);
            return Ok(arg);
        }
        if self.eat("(") {
            let (children, choice) = self.items()?;
            if children.is_empty() || !self.eat(")") {
                return Err(self.expected("items and a closing parenthesis"));
            }
            let kind = if choice {
                ArgKind::OneOf
            } else {
                ArgKind::Block
            };
            return Ok(Arg {
                children,
                ..Arg::new(name, kind)
            });
        }
        self.leaf(name)
    }

    fn leaf(&mut self, name: &'static str) -> Result<Arg, GrammarError> {
        let mut arg = Arg::new(name, ArgKind::String);
        if self.eat("<") {
            arg.display = Some(self.until('>', "a closing angle")?);
        }
        let typed = self.eat(":");
        if typed {
            let word = self.word()?;
            arg.kind = ArgKind::of(word).ok_or(self.expected("a type"))?;
        }
        if self.eat("@") {
            let index = self.word()?;
            arg.key_spec = Some(
                index
                    .parse()
                    .map_err(|_| self.expected("the number of a key spec"))?,
            );
            if !typed {
                arg.kind = ArgKind::Key;
            }
        }
        Ok(arg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &'static str) -> Arg {
        let mut items = parse(text).unwrap();
        assert_eq!(items.len(), 1, "{text}");
        items.remove(0)
    }

    #[test]
    fn leaves() {
        assert_eq!(one("value"), Arg::new("value", ArgKind::String));
        assert_eq!(
            one("key@0"),
            Arg {
                key_spec: Some(0),
                ..Arg::new("key", ArgKind::Key)
            }
        );
        let by = Arg {
            display: Some("pattern"),
            key_spec: Some(1),
            token: Some("BY"),
            optional: true,
            ..Arg::new("by-pattern", ArgKind::Pattern)
        };
        assert_eq!(one("[BY by-pattern<pattern>:pattern@1]"), by);
        assert_eq!(one("addr<ip:port>{6.2.0}").since, "6.2.0");
        assert_eq!(one("old{-2.8.12}").deprecated_since, "2.8.12");
    }

    #[test]
    fn words() {
        assert_eq!(
            one("NX"),
            Arg {
                token: Some("NX"),
                ..Arg::new("nx", ArgKind::PureToken)
            }
        );
        assert_eq!(
            one("equal='='"),
            Arg {
                token: Some("="),
                ..Arg::new("equal", ArgKind::PureToken)
            }
        );
        assert_eq!(one("none=''").token, Some(""));
        assert_eq!(parse("NX sorting=ALPHA").unwrap().len(), 2);
        assert_eq!(parse("NX XX").unwrap().len(), 2);
        assert_eq!(one("EX seconds:int").kind, ArgKind::Integer);
    }

    #[test]
    fn groups_and_repetition() {
        let arg = one("LIMIT limit(offset:int count:int)...");
        assert!(
            arg.kind == ArgKind::Block
                && arg.children.len() == 2
                && arg.multiple
                && !arg.multiple_token
        );
        assert_eq!(one("order(ASC | DESC)").kind, ArgKind::OneOf);
        assert_eq!(one("only(ASC |)").kind, ArgKind::OneOf);
        let arg = one("[GET pattern]...{2.0.0}");
        assert!(arg.optional && arg.multiple && arg.multiple_token && arg.since == "2.0.0");
        let arg = one("[KEYS key@1...]");
        assert!(arg.optional && arg.multiple && !arg.multiple_token);
        let arg = one("[arg]...");
        assert!(arg.multiple && !arg.multiple_token);
    }

    #[test]
    fn mistakes_are_told() {
        for text in [
            "a |",
            "f(",
            "f()",
            "[a",
            "a)",
            "a{1",
            "a:number",
            "a@x",
            "'x",
            "f(a b | c)",
            "a<b",
            "]",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
