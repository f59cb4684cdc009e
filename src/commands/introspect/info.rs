//! COMMAND and COMMAND INFO: per command an array of ten: name, arity, flags, first key, last key, step, ACL categories,
//! tips, key specs, subcommands (each again an array of ten).

use super::ReplySink;
use crate::exec::command::{
    BeginSearch, CATEGORY_NAMES, FLAG_NAMES, FindKeys, KEY_FLAG_NAMES, KeyFlags, KeySpec, names_of,
};
use crate::exec::registry::{CommandId, Registry};

/// The reply of COMMAND and of COMMAND INFO without names.
pub fn all<S: ReplySink>(registry: &Registry, out: &mut S) {
    out.array(registry.top().count());
    registry.top().for_each(|id| describe(registry, id, out));
}

/// The reply of COMMAND INFO with names, which may be full names of subcommands; an unknown one is answered by null.
pub fn named<'n, S: ReplySink>(
    registry: &Registry,
    names: impl ExactSizeIterator<Item = &'n [u8]>,
    out: &mut S,
) {
    out.array(names.len());
    for name in names {
        match registry.lookup_full(name) {
            Some(id) => describe(registry, id, out),
            None => out.null(),
        }
    }
}

/// The array of ten of one command.
pub fn describe<S: ReplySink>(registry: &Registry, id: CommandId, out: &mut S) {
    let row = registry.row(id);
    let legacy = row.legacy_range();
    // The triple tells the last key relative to the first argument; nothing at all is told as three zeros.
    out.array(10);
    out.bulk(row.name.as_bytes());
    out.int(i64::from(row.arity));
    names(out, FLAG_NAMES, row.reply_flags().bits(), "");
    out.int(i64::from(legacy.first));
    out.int(i64::from(legacy.last));
    out.int(i64::from(legacy.step));
    names(out, CATEGORY_NAMES, row.categories().bits(), "@");
    out.set(row.tips.len());
    row.tips.iter().for_each(|tip| out.bulk(tip.as_bytes()));
    out.set(row.keys.len());
    row.keys.iter().for_each(|spec| key_spec(spec, out));
    let subcommands = registry.subcommands(id);
    // Compat: upstream answers an empty set where there are none, but an array where there are some.
    if subcommands.len() == 0 {
        out.set(0);
    } else {
        out.array(subcommands.len());
    }
    subcommands.for_each(|sub| describe(registry, sub, out));
}

/// A set of the names of bits.
fn names<S: ReplySink>(
    out: &mut S,
    table: &'static [(&'static str, u32)],
    bits: u32,
    prefix: &str,
) {
    let names = names_of(table, bits);
    out.set(names.clone().count());
    for name in names {
        if prefix.is_empty() {
            out.simple(name);
        } else {
            out.simple(&format!("{prefix}{name}"));
        }
    }
}

/// A set of the names of key flags, as COMMAND GETKEYSANDFLAGS tells them too.
pub(super) fn key_flags<S: ReplySink>(flags: KeyFlags, out: &mut S) {
    names(out, KEY_FLAG_NAMES, u32::from(flags.bits()), "");
}

fn key_spec<S: ReplySink>(spec: &KeySpec, out: &mut S) {
    out.map(3 + usize::from(!spec.notes.is_empty()));
    if !spec.notes.is_empty() {
        out.bulk(b"notes");
        out.bulk(spec.notes.as_bytes());
    }
    out.bulk(b"flags");
    key_flags(spec.flags, out);
    out.bulk(b"begin_search");
    match spec.begin {
        BeginSearch::Index(index) => step(out, "index", &[("index", index)]),
        BeginSearch::Unknown => step(out, "unknown", &[]),
        BeginSearch::Keyword {
            keyword,
            start_from,
        } => {
            out.map(2);
            out.bulk(b"type");
            out.bulk(b"keyword");
            out.bulk(b"spec");
            out.map(2);
            out.bulk(b"keyword");
            out.bulk(keyword.as_bytes());
            out.bulk(b"startfrom");
            out.int(i64::from(start_from));
        }
    }
    out.bulk(b"find_keys");
    match spec.find {
        FindKeys::Range {
            last_key,
            step: keystep,
            limit,
        } => {
            step(
                out,
                "range",
                &[
                    ("lastkey", last_key),
                    ("keystep", keystep),
                    ("limit", limit),
                ],
            );
        }
        FindKeys::KeyNum {
            num_idx,
            first_key,
            step: keystep,
        } => {
            step(
                out,
                "keynum",
                &[
                    ("keynumidx", num_idx),
                    ("firstkey", first_key),
                    ("keystep", keystep),
                ],
            );
        }
        FindKeys::Unknown => step(out, "unknown", &[]),
    }
}

/// One of the two steps of a key spec: its type and the numbers it works with.
fn step<S: ReplySink>(out: &mut S, kind: &str, numbers: &[(&str, i32)]) {
    out.map(2);
    out.bulk(b"type");
    out.bulk(kind.as_bytes());
    out.bulk(b"spec");
    out.map(numbers.len());
    for (name, number) in numbers {
        out.bulk(name.as_bytes());
        out.int(i64::from(*number));
    }
}
