//! The table of directives, in files by topic. Order is only that of the documentation and of CONFIG GET.
use super::directive::Row;

mod access;
mod check;
mod cluster;
mod encodings;
mod memory;
mod network;
mod observe;
mod persistence;
mod process;
mod replication;
mod special;
mod tls;

static TABLES: [&[Row]; 10] = [
    network::ROWS,
    tls::ROWS,
    process::ROWS,
    persistence::ROWS,
    memory::ROWS,
    encodings::ROWS,
    replication::ROWS,
    access::ROWS,
    observe::ROWS,
    cluster::ROWS,
];

/// Directives of older versions that mean nothing any more: a line of theirs is accepted and ignored.
pub const RETIRED: [&str; 3] = [
    "list-max-ziplist-entries",
    "list-max-ziplist-value",
    "io-threads-do-reads",
];

/// Every directive.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// The directive of that name or older name, ASCII case ignored.
pub fn find(name: &[u8]) -> Option<&'static Row> {
    let same = |own: &str| own.as_bytes().eq_ignore_ascii_case(name);
    rows().find(|row| same(row.name) || row.alias.is_some_and(same))
}
