//! What rules need to know of the commands: a plain table with one row per command and subcommand, by dense number.
//!
//! Names are the original ones: `rename-command` does not change what a rule means, so an ACL file stays true on every server.

use std::collections::HashMap;

/// One command or subcommand.
#[derive(Debug, Clone)]
pub struct Fact {
    /// Lower case, a subcommand's in full (`config|get`).
    pub name: &'static str,
    /// Bits of its categories, those of the table given to [`Commands::new`].
    pub categories: u32,
    /// Numbers of its subcommands: first and one past the last.
    pub subcommands: (u16, u16),
    /// Whether it is a subcommand itself.
    pub is_sub: bool,
}

/// All commands. The position of a row is the number by which permissions know it.
#[derive(Debug, Default)]
pub struct Commands {
    facts: Vec<Fact>,
    by_name: HashMap<&'static str, u16>,
    categories: &'static [(&'static str, u32)],
}

impl Commands {
    /// A table from its rows and the names of the category bits (without `@`).
    pub fn new(facts: Vec<Fact>, categories: &'static [(&'static str, u32)]) -> Self {
        let named = facts.iter().enumerate();
        let by_name = named.map(|(i, f)| (f.name, i as u16)).collect();
        Commands {
            facts,
            by_name,
            categories,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// The number of a command by its name, `get` or `config|get`, any ASCII case.
    pub fn find(&self, name: &[u8]) -> Option<u16> {
        let folded = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        self.by_name.get(folded.as_str()).copied()
    }

    /// The row of a number from [`Commands::find`] or the registry.
    pub fn fact(&self, id: u16) -> &Fact {
        &self.facts[usize::from(id)]
    }

    /// Whether a command has subcommands.
    pub fn is_container(&self, id: u16) -> bool {
        let (first, end) = self.fact(id).subcommands;
        first < end
    }

    /// A command and its subcommands.
    pub fn with_subcommands(&self, id: u16) -> impl Iterator<Item = u16> + use<> {
        let (first, end) = self.fact(id).subcommands;
        std::iter::once(id).chain(first..end)
    }

    /// The bit of a category by its name without `@`, any ASCII case.
    pub fn category(&self, name: &[u8]) -> Option<u32> {
        let mut known = self.categories.iter();
        known
            .find(|(n, _)| n.as_bytes().eq_ignore_ascii_case(name))
            .map(|(_, bit)| *bit)
    }

    /// Every command and subcommand of a category, containers before their subcommands.
    pub fn of_category(&self, bit: u32) -> impl Iterator<Item = u16> + '_ {
        (0..self.facts.len() as u16).filter(move |id| self.fact(*id).categories & bit != 0)
    }
}
