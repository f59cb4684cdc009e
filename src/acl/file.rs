//! ACL files: a line per user, `user NAME RULES`, read and written as text.
//!
//! Blank lines are skipped; there are no comments. Words are split at single blanks, without quoting. Everything that is
//! wrong is reported at once, line by line, and then nothing is taken.

use super::rules::{RuleError, merge_selectors};
use super::user::{RuleContext, User};
use super::users::{Users, is_name};
use std::collections::HashSet;

/// The users of an ACL file's text. `path` is what errors call the file.
///
/// # Errors
/// The text that ACL LOAD replies and the log tells, all errors in one line.
pub fn parse(text: &[u8], path: &[u8], context: RuleContext<'_>) -> Result<Vec<User>, Vec<u8>> {
    let mut read = Read::default();
    for (i, line) in text.split(|b| *b == b'\n').enumerate() {
        // Upstream reads C strings.
        let line = line.split(|b| *b == 0).next().unwrap_or_default();
        let line = line.trim_ascii();
        if !line.is_empty() {
            let mut place = path.to_vec();
            place.extend_from_slice(format!(":{}", i + 1).as_bytes());
            parse_line(line, i + 1, &place, context, &mut read);
        }
    }
    if read.errors.is_empty() {
        return Ok(read.users);
    }
    read.errors.extend_from_slice(
        b"WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
    );
    Err(read.errors)
}

/// What was read so far.
#[derive(Default)]
struct Read {
    users: Vec<User>,
    names: HashSet<Box<[u8]>>,
    errors: Vec<u8>,
}

fn parse_line(line: &[u8], number: usize, place: &[u8], context: RuleContext<'_>, read: &mut Read) {
    let errors = &mut read.errors;
    let mut complain = |parts: &[&[u8]]| parts.iter().for_each(|p| errors.extend_from_slice(p));
    let mut words = line.split(|b| *b == b' ');
    let (Some(b"user"), Some(name)) = (words.next(), words.next()) else {
        return complain(&[
            place,
            b" should start with user keyword followed by the username. ",
        ]);
    };
    if !is_name(name) {
        return complain(&[
            place,
            b": username '",
            name,
            b"' contains invalid characters. ",
        ]);
    }
    if read.names.contains(name) {
        let line = format!("' found on line {number}. ");
        return complain(&[b"WARNING: Duplicate user '", name, line.as_bytes()]);
    }
    let Ok(rules) = merge_selectors(words.map(<[u8]>::trim_ascii)) else {
        return complain(&[place, b": Unmatched parenthesis in selector definition."]);
    };
    let mut user = User::new(name, context);
    // An unknown name says nothing of the other rules; any other mistake may be why what follows is wrong, too.
    let mut told = false;
    for rule in rules {
        match user.apply(&rule, context) {
            Ok(()) => {}
            Err(e @ RuleError::Unknown) => {
                let why = format!("': {e}. ");
                complain(&[
                    place,
                    b": Error in applying operation '",
                    &rule,
                    why.as_bytes(),
                ]);
            }
            Err(_) if told => {}
            Err(e) => {
                told = true;
                complain(&[place, format!(": {e}. ").as_bytes()]);
            }
        }
    }
    read.names.insert(name.into());
    read.users.push(user);
}

/// The text of an ACL file that holds these users.
pub fn print(users: &Users, old_form: bool) -> Vec<u8> {
    users
        .iter()
        .flat_map(|u| [u.line(old_form), b"\n".to_vec()].concat())
        .collect()
}
