//! COMMAND COUNT and COMMAND LIST.

use super::{IntrospectError, ReplySink};
use crate::exec::command::{AclCategories, CATEGORY_NAMES};
use crate::exec::registry::{CommandId, Registry};

/// Which commands and subcommands COMMAND LIST names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter<'a> {
    /// Every one.
    None,
    /// Those of a module: none, as there are no modules.
    Module,
    /// Those in an ACL category; `None` for a category that does not exist, which holds nothing.
    Category(Option<AclCategories>),
    /// Those whose name matches a glob pattern, any ASCII case.
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    /// The filter told by what follows COMMAND LIST.
    ///
    /// # Errors
    /// [`IntrospectError::Syntax`] unless that is nothing or `FILTERBY kind value`.
    pub fn parse(args: &[&'a [u8]]) -> Result<Filter<'a>, IntrospectError> {
        match args {
            [] => Ok(Filter::None),
            [filterby, kind, value] if filterby.eq_ignore_ascii_case(b"filterby") => {
                if kind.eq_ignore_ascii_case(b"module") {
                    Ok(Filter::Module)
                } else if kind.eq_ignore_ascii_case(b"aclcat") {
                    Ok(Filter::Category(category(value)))
                } else if kind.eq_ignore_ascii_case(b"pattern") {
                    Ok(Filter::Pattern(value))
                } else {
                    Err(IntrospectError::Syntax)
                }
            }
            _ => Err(IntrospectError::Syntax),
        }
    }

    fn passes(&self, registry: &Registry, id: CommandId, glob: Glob) -> bool {
        let row = registry.row(id);
        match self {
            Filter::None => true,
            Filter::Module => false,
            Filter::Category(category) => {
                category.is_some_and(|category| row.categories().contains(category))
            }
            Filter::Pattern(pattern) => glob(pattern, row.name.as_bytes()),
        }
    }
}

/// The ACL category of a name without `@`, any ASCII case.
pub fn category(name: &[u8]) -> Option<AclCategories> {
    let (_, bit) = CATEGORY_NAMES
        .iter()
        .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))?;
    Some(AclCategories::from_bits_retain(*bit))
}

/// The reply of COMMAND COUNT: top-level commands.
pub fn count<S: ReplySink>(registry: &Registry, out: &mut S) {
    out.int(registry.top().count() as i64);
}

/// Whether a pattern (first) matches a name (second), any ASCII case.
pub type Glob = fn(&[u8], &[u8]) -> bool;

/// The reply of COMMAND LIST.
pub fn list<S: ReplySink>(registry: &Registry, filter: &Filter<'_>, glob: Glob, out: &mut S) {
    let mut found = Vec::new();
    for id in registry.top() {
        found.extend(filter.passes(registry, id, glob).then_some(id));
        found.extend(
            registry
                .subcommands(id)
                .filter(|&sub| filter.passes(registry, sub, glob)),
        );
    }
    out.array(found.len());
    found
        .iter()
        .for_each(|&id| out.bulk(registry.row(id).name.as_bytes()));
}
