//! COMMAND DOCS: a map from command name to what a manual would say, the argument tree included.
//!
//! Fields that a command has nothing to say about are left out, so what a map will hold is counted before it is written.

use super::ReplySink;
use crate::exec::args_grammar::{self, Arg};
use crate::exec::command::Command;
use crate::exec::registry::{CommandId, Registry};

/// The reply of COMMAND DOCS without names.
pub fn all<S: ReplySink>(registry: &Registry, out: &mut S) {
    let ids: Vec<_> = registry.top().collect();
    entries(registry, &ids, out);
}

/// The reply of COMMAND DOCS with names, which may be full names of subcommands; unknown ones are left out.
pub fn named<'n, S: ReplySink>(
    registry: &Registry,
    names: impl Iterator<Item = &'n [u8]>,
    out: &mut S,
) {
    let ids: Vec<_> = names
        .filter_map(|name| registry.lookup_full(name))
        .collect();
    entries(registry, &ids, out);
}

fn entries<S: ReplySink>(registry: &Registry, ids: &[CommandId], out: &mut S) {
    out.map(ids.len());
    for &id in ids {
        out.bulk(registry.row(id).name.as_bytes());
        document(registry, id, out);
    }
}

/// The documentation map of one command.
pub fn document<S: ReplySink>(registry: &Registry, id: CommandId, out: &mut S) {
    let row = registry.row(id);
    let args = arguments_of(row);
    let subcommands: Vec<_> = registry.subcommands(id).collect();
    let before = text_fields(&[
        ("summary", row.summary),
        ("since", row.since),
        ("group", row.group.name()),
        ("complexity", row.complexity),
    ]);
    let after = text_fields(&[
        ("deprecated_since", row.deprecated_since),
        ("replaced_by", row.replaced_by),
    ]);
    let doc_flags = doc_flags(row);
    let lists = [
        !row.history.is_empty(),
        !doc_flags.is_empty(),
        !args.is_empty(),
        !subcommands.is_empty(),
    ];
    out.map(before.len() + after.len() + lists.into_iter().filter(|&there| there).count());
    before.iter().for_each(|field| text(out, field));
    if !doc_flags.is_empty() {
        out.bulk(b"doc_flags");
        out.set(doc_flags.len());
        doc_flags.iter().for_each(|flag| out.simple(flag));
    }
    after.iter().for_each(|field| text(out, field));
    history(row, out);
    if !args.is_empty() {
        out.bulk(b"arguments");
        arguments(&args, out);
    }
    if !subcommands.is_empty() {
        out.bulk(b"subcommands");
        entries(registry, &subcommands, out);
    }
}

/// The argument tree of a row.
///
/// # Panics
/// When the row does not follow the grammar: a mistake in the row, which the table test finds.
pub fn arguments_of(row: &Command) -> Vec<Arg> {
    match args_grammar::parse(row.args) {
        Ok(args) => args,
        Err(error) => panic!("the arguments of {}: {error}", row.name),
    }
}

type Field<'t> = (&'static str, &'t str);

/// The fields that have something to say.
fn text_fields<'t>(fields: &[Field<'t>]) -> Vec<Field<'t>> {
    fields
        .iter()
        .copied()
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

fn text<S: ReplySink>(out: &mut S, (name, value): &Field<'_>) {
    out.bulk(name.as_bytes());
    out.bulk(value.as_bytes());
}

fn doc_flags(row: &Command) -> Vec<&'static str> {
    let deprecated = (!row.deprecated_since.is_empty()).then_some("deprecated");
    deprecated
        .into_iter()
        .chain(row.syscmd.then_some("syscmd"))
        .collect()
}

fn history<S: ReplySink>(row: &Command, out: &mut S) {
    if row.history.is_empty() {
        return;
    }
    out.bulk(b"history");
    out.set(row.history.len());
    for (version, change) in row.history {
        out.array(2);
        out.bulk(version.as_bytes());
        out.bulk(change.as_bytes());
    }
}

fn arguments<S: ReplySink>(args: &[Arg], out: &mut S) {
    out.array(args.len());
    args.iter().for_each(|arg| argument(arg, out));
}

fn argument<S: ReplySink>(arg: &Arg, out: &mut S) {
    let before = [
        ("name", Some(&*arg.name)),
        ("type", Some(arg.kind.name())),
        ("display_text", arg.display_text()),
    ];
    let after = text_fields(&[
        ("since", arg.since),
        ("deprecated_since", arg.deprecated_since),
    ]);
    let flags = [
        ("optional", arg.optional),
        ("multiple", arg.multiple),
        ("multiple_token", arg.multiple_token),
    ];
    let flags: Vec<_> = flags
        .into_iter()
        .filter(|(_, set)| *set)
        .map(|(name, _)| name)
        .collect();
    let before: Vec<Field<'_>> = before
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?)))
        .collect();
    let others = [
        arg.key_spec.is_some(),
        arg.token.is_some(),
        !flags.is_empty(),
        !arg.children.is_empty(),
    ];
    out.map(before.len() + after.len() + others.into_iter().filter(|&there| there).count());
    before.iter().for_each(|field| text(out, field));
    if let Some(index) = arg.key_spec {
        out.bulk(b"key_spec_index");
        out.int(i64::from(index));
    }
    // Shown even if empty: MIGRATE's empty key is announced by an empty word.
    if let Some(token) = arg.token {
        text(out, &("token", token));
    }
    after.iter().for_each(|field| text(out, field));
    if !flags.is_empty() {
        out.bulk(b"flags");
        out.set(flags.len());
        flags.iter().for_each(|flag| out.simple(flag));
    }
    if !arg.children.is_empty() {
        out.bulk(b"arguments");
        arguments(&arg.children, out);
    }
}
