//! A [`ReplySink`] for tests: the reply as a tree, shown as one line of JSON.

use super::ReplySink;
use std::fmt;

/// A reply. Sets show as `{"~":[..]}`, status replies with a leading `+`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the reply of its name")]
pub enum Value {
    Int(i64),
    Null,
    Simple(String),
    Bulk(String),
    Array(Vec<Value>),
    Set(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

#[derive(Clone, Copy)]
enum Kind {
    Array,
    Set,
    Map,
}

/// The sink: open aggregates with how many replies they still wait for.
#[derive(Default)]
pub struct Transcript {
    open: Vec<(Kind, usize, Vec<Value>)>,
    done: Vec<Value>,
}

impl Transcript {
    /// The one reply written; panics when it is unfinished or there are several.
    pub fn finish(mut self) -> Value {
        assert!(self.open.is_empty(), "an aggregate waits for more replies");
        assert_eq!(self.done.len(), 1, "more than one reply");
        self.done.remove(0)
    }

    fn begin(&mut self, kind: Kind, len: usize) {
        self.open.push((kind, len, Vec::new()));
        self.close();
    }

    fn put(&mut self, value: Value) {
        match self.open.last_mut() {
            Some((_, left, parts)) => {
                parts.push(value);
                *left -= 1;
            }
            None => self.done.push(value),
        }
        self.close();
    }

    fn close(&mut self) {
        if !matches!(self.open.last(), Some((_, 0, _))) {
            return;
        }
        let Some((kind, _, parts)) = self.open.pop() else {
            return;
        };
        let mut parts = parts.into_iter();
        let value = match kind {
            Kind::Array => Value::Array(parts.collect()),
            Kind::Set => Value::Set(parts.collect()),
            Kind::Map => {
                let mut pairs = Vec::new();
                while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
                    pairs.push((key, value));
                }
                Value::Map(pairs)
            }
        };
        self.put(value);
    }
}

impl ReplySink for Transcript {
    fn array(&mut self, len: usize) {
        self.begin(Kind::Array, len);
    }
    fn map(&mut self, len: usize) {
        self.begin(Kind::Map, 2 * len);
    }
    fn set(&mut self, len: usize) {
        self.begin(Kind::Set, len);
    }
    fn bulk(&mut self, bytes: &[u8]) {
        self.put(Value::Bulk(String::from_utf8_lossy(bytes).into_owned()));
    }
    fn simple(&mut self, text: &str) {
        self.put(Value::Simple(text.to_owned()));
    }
    fn int(&mut self, value: i64) {
        self.put(Value::Int(value));
    }
    fn null(&mut self) {
        self.put(Value::Null);
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let list = |values: &[Value]| {
            values
                .iter()
                .map(Value::to_string)
                .collect::<Vec<_>>()
                .join(",")
        };
        match self {
            Value::Int(value) => write!(f, "{value}"),
            Value::Null => f.write_str("null"),
            Value::Simple(text) => write!(f, "\"+{}\"", quoted(text)),
            Value::Bulk(text) => write!(f, "\"{}\"", quoted(text)),
            Value::Array(values) => write!(f, "[{}]", list(values)),
            Value::Set(values) => write!(f, "{{\"~\":[{}]}}", list(values)),
            Value::Map(pairs) => {
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(key, value)| format!("{key}:{value}"))
                    .collect();
                write!(f, "{{{}}}", pairs.join(","))
            }
        }
    }
}
