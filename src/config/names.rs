//! Globs over names: the patterns of CONFIG GET and of `include`.
//!
//! `*` any bytes, `?` one byte, `[a-z]` and `[^x]` a class, `\` quotes the next byte. Names are short and patterns come from
//! the operator, so the plain backtracking match is enough; keys are matched by `ds::glob`, which is built for speed.
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// True when the whole of `text` matches. With `fold` ASCII case does not count.
pub fn glob_match(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to resume after the last star: names are short, so the quadratic worst case does not matter.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if let Some(next) = match_one(pattern, p, text[t], fold) {
            p = next;
            t += 1;
        } else if let Some((after, from)) = star {
            star = Some((after, from + 1));
            (p, t) = (after, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

/// The place behind the pattern element at `p` when it matches `byte`.
fn match_one(pattern: &[u8], p: usize, byte: u8, fold: bool) -> Option<usize> {
    let same = |b: u8| b == byte || fold && b.eq_ignore_ascii_case(&byte);
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => match_class(pattern, p + 1, byte, fold),
        b'\\' if p + 1 < pattern.len() => same(pattern[p + 1]).then_some(p + 2),
        b => same(b).then_some(p + 1),
    }
}

fn match_class(pattern: &[u8], mut p: usize, byte: u8, fold: bool) -> Option<usize> {
    let lower = |b: u8| if fold { b.to_ascii_lowercase() } else { b };
    let byte = lower(byte);
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    while let Some(&b) = pattern.get(p) {
        match (b, pattern.get(p + 1), pattern.get(p + 2)) {
            (b']', _, _) => break,
            (b'\\', Some(&quoted), _) => {
                found |= lower(quoted) == byte;
                p += 2;
            }
            (from, Some(b'-'), Some(&to)) => {
                let (a, z) = (lower(from), lower(to));
                found |= (a.min(z)..=a.max(z)).contains(&byte);
                p += 3;
            }
            _ => {
                found |= lower(b) == byte;
                p += 1;
            }
        }
    }
    // A class without its `]` ends with the pattern.
    (found != negated).then_some((p + 1).min(pattern.len()))
}

/// True when the text holds a byte that makes it a pattern.
pub fn is_glob(text: &[u8]) -> bool {
    text.iter().any(|b| b"*?[".contains(b))
}

/// The existing paths that match `pattern`, sorted; each component may hold globs. A leading dot must be matched by a dot.
/// Directories that cannot be read match nothing.
pub fn expand_paths(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = component.as_os_str();
        if is_glob(name.as_bytes()) {
            found = found
                .iter()
                .flat_map(|base| matching_entries(base, name.as_bytes()))
                .collect();
        } else {
            found.iter_mut().for_each(|path| path.push(name));
        }
    }
    found.retain(|path| path.exists());
    found.sort();
    found
}

fn matching_entries(base: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let here = if base.as_os_str().is_empty() {
        Path::new(".")
    } else {
        base
    };
    let Ok(entries) = std::fs::read_dir(here) else {
        return Vec::new();
    };
    let matches = |name: &OsStr| {
        let hidden = name.as_bytes().starts_with(b".") && !pattern.starts_with(b".");
        !hidden && glob_match(pattern, name.as_bytes(), false)
    };
    entries
        .flatten()
        .filter(|e| matches(&e.file_name()))
        .map(|e| base.join(e.file_name()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, want) in [
            ("*", "", true),
            ("time*", "timeout", true),
            ("TIME*", "timeout", true),
            ("*-port", "tls-port", true),
            ("*-port", "port", false),
            ("ti?eout", "timeout", true),
            ("[s-u]imeout", "timeout", true),
            ("[^t]imeout", "timeout", false),
            ("\\timeout", "timeout", true),
            ("*a*b*c*", "xxaxxbxxcxx", true),
            ("*a*b*c*", "xxaxxcxxbxx", false),
            ("[tT", "t", true),
            ("", "a", false),
        ] {
            assert_eq!(
                glob_match(pattern.as_bytes(), text.as_bytes(), true),
                want,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn case_counts_in_paths() {
        assert!(!glob_match(b"A*", b"abc", false));
        assert!(glob_match(b"[a-c]*", b"abc", false));
    }

    #[test]
    fn paths() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".hidden.conf", "c.txt"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            let found = expand_paths(&dir.path().join(pattern));
            found
                .iter()
                .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(names("*.conf"), ["a.conf", "b.conf"]);
        assert_eq!(names("nosuch*"), Vec::<String>::new());
        assert_eq!(names("[ab].conf"), ["a.conf", "b.conf"]);
    }
}
