//! CONFIG GET and CONFIG SET against a [`Config`], without side effects.
//!
//! CONFIG SET is all or nothing. [`prepare_set`] checks everything and answers with the new configuration and the rows that
//! changed; the server swaps it in, runs what the rows' [`Apply`](super::Apply) asks for, and when one of those fails puts
//! the old configuration back, applies the rows that had been applied once more, and replies with [`apply_failed`].
use super::directive::{Origin, Row, RowFlags};
use super::error::{Reason, SetError};
use super::fields::Config;
use super::names::{glob_match, is_glob};
use super::rows::{find, rows};

/// The directives named or matched by `patterns`, each once, with their values.
///
/// A name is answered as it was typed, a glob with the directives' own names; older names count as directives of their
/// own. Directives for tests answer only to their name. Unknown names are left out.
pub fn get_matching<'a>(
    config: &Config,
    patterns: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    let add = |name: &str, row: &Row, found: &mut Vec<(String, Vec<u8>)>| {
        if !found
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            found.push((name.to_string(), row.get(config)));
        }
    };
    for pattern in patterns {
        if !is_glob(pattern) {
            if let Some(row) = find(pattern) {
                add(&String::from_utf8_lossy(pattern), row, &mut found);
            }
            continue;
        }
        for row in rows().filter(|row| !row.flags.contains(RowFlags::HIDDEN)) {
            for name in [Some(row.name), row.alias].into_iter().flatten() {
                if glob_match(pattern, name.as_bytes(), true) {
                    add(name, row, &mut found);
                }
            }
        }
    }
    found
}

/// One accepted CONFIG SET, ready to be applied.
#[derive(Debug)]
pub struct Prepared {
    /// The configuration with all values set.
    pub config: Config,
    /// The rows whose value is not what it was, in the order of the command, with the names as typed.
    pub changed: Vec<(&'static Row, String)>,
}

/// What a CONFIG SET may do at this moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct SetRights {
    /// Protected directives too (`enable-protected-configs` allows this client).
    pub protected: bool,
    /// A dataset is being loaded.
    pub loading: bool,
}

/// Checks the name and value pairs of a CONFIG SET; see the module for what to do with the answer.
pub fn prepare_set(
    current: &Config,
    pairs: &[(&[u8], &[u8])],
    rights: SetRights,
) -> Result<Prepared, SetError> {
    // All names are judged before any value.
    let mut named: Vec<&'static Row> = Vec::with_capacity(pairs.len());
    for (i, (name, _)) in pairs.iter().enumerate() {
        let row = find(name).ok_or_else(|| SetError::Unknown(printable(name)))?;
        let reason = if row.flags.contains(RowFlags::IMMUTABLE) {
            Some(Reason::Immutable)
        } else if row.flags.contains(RowFlags::PROTECTED) && !rights.protected {
            Some(Reason::Protected)
        } else if row.flags.contains(RowFlags::DENY_LOADING) && rights.loading {
            return Err(SetError::Loading);
        } else {
            // A name and its older name are not duplicates: the last one wins.
            pairs[..i]
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
                .then_some(Reason::Duplicate)
        };
        if let Some(reason) = reason {
            return Err(failed(name, reason));
        }
        named.push(row);
    }
    let mut config = current.clone();
    for (row, (name, value)) in named.iter().zip(pairs) {
        row.set(&mut config, &[value], Origin::Command)
            .map_err(|reason| failed(name, reason))?;
    }
    let changed = |(row, (name, _)): (&'static Row, &(&[u8], &[u8]))| {
        // `dir` shows the current directory, so its field is what tells a change.
        let differs =
            row.get(&config) != row.get(current) || config.dir != current.dir && row.name == "dir";
        differs.then(|| (row, printable(name)))
    };
    let changed = named.into_iter().zip(pairs).filter_map(changed).collect();
    Ok(Prepared { config, changed })
}

/// The error of a value that could not be applied, with the reason the server gives.
pub fn apply_failed(name: &str, reason: &'static str) -> SetError {
    SetError::Failed {
        name: name.to_string(),
        reason: Reason::Text(reason),
    }
}

fn failed(name: &[u8], reason: Reason) -> SetError {
    SetError::Failed {
        name: printable(name),
        reason,
    }
}

/// A name as it may stand in an error reply: up to a NUL byte, on one line.
fn printable(name: &[u8]) -> String {
    let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..end]).replace(['\r', '\n'], " ")
}
