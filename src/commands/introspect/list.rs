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
            [filterby, kind, value] if crate::resp::is_word(filterby, b"filterby") => {
                if crate::resp::is_word(kind, b"module") {
                    Ok(Filter::Module)
                } else if crate::resp::is_word(kind, b"aclcat") {
                    Ok(Filter::Category(category(value)))
                } else if crate::resp::is_word(kind, b"pattern") {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::introspect::transcript::Transcript;
    use crate::exec::command::{Command, acl, flags};

    static GET: Command = Command {
        name: "get",
        flags: flags("readonly fast"),
        acl: acl("string"),
        ..Command::DEFAULT
    };
    static CONFIG_GET: Command = Command {
        name: "config|get",
        flags: flags("admin"),
        ..Command::DEFAULT
    };
    static CONFIG: Command = Command {
        name: "config",
        subcommands: &[&CONFIG_GET],
        ..Command::DEFAULT
    };

    fn listed(args: &[&[u8]]) -> Result<String, IntrospectError> {
        let (registry, mut out) = (Registry::new(&[&GET, &CONFIG]), Transcript::default());
        // A stand-in for ds::glob: a leading star, or equality.
        let glob: Glob = |pattern, name| match pattern.strip_prefix(b"*") {
            Some(end) => name.ends_with(&end.to_ascii_lowercase()),
            None => name.eq_ignore_ascii_case(pattern),
        };
        list(&registry, &Filter::parse(args)?, glob, &mut out);
        Ok(out.finish().to_string())
    }

    #[test]
    fn filters() {
        assert_eq!(listed(&[]).unwrap(), r#"["get","config","config|get"]"#);
        assert_eq!(
            listed(&[b"FilterBy", b"Pattern", b"*GET"]).unwrap(),
            r#"["get","config|get"]"#
        );
        assert_eq!(
            listed(&[b"filterby", b"aclcat", b"Dangerous"]).unwrap(),
            r#"["config|get"]"#
        );
        assert_eq!(listed(&[b"filterby", b"aclcat", b"@read"]).unwrap(), "[]");
        assert_eq!(listed(&[b"filterby", b"module", b"x"]).unwrap(), "[]");
    }

    #[test]
    fn mistakes() {
        let wrong: [&[&[u8]]; 4] = [
            &[b"x"],
            &[b"filterby", b"module"],
            &[b"filterby", b"foo", b"x"],
            &[b"filterby", b"pattern", b"a", b"b"],
        ];
        for args in wrong {
            assert_eq!(listed(args), Err(IntrospectError::Syntax));
        }
    }
}
