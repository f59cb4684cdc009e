//! The scripts EVAL and SCRIPT LOAD brought, by their SHA-1.
//!
//! A script is compiled once and kept in its Lua state. Those that only EVAL brought are kept up to [`EVAL_KEPT`]; then the one
//! not used for longest goes, so that a client which makes up a new text for every call does not fill memory. Scripts loaded on
//! purpose stay until SCRIPT FLUSH.

use super::engine::Function;
use super::shebang::ScriptFlags;
use std::collections::{BTreeMap, HashMap};

/// A script's name.
pub type Sha = [u8; 20];

/// Scripts of EVAL that are kept.
const EVAL_KEPT: usize = 500;

/// A compiled script.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// The compiled function.
    pub function: Function,
    /// What its first line says.
    pub flags: ScriptFlags,
}

#[derive(Debug)]
struct Entry {
    script: Script,
    /// When it was last used; None for one that SCRIPT LOAD brought.
    used: Option<u64>,
    /// Bytes of its text.
    text_len: usize,
}

/// See the file header.
#[derive(Debug, Default)]
pub struct Cache {
    by_sha: HashMap<Sha, Entry, foldhash::fast::RandomState>,
    /// Those that may go, by when they were last used.
    by_use: BTreeMap<u64, Sha>,
    uses: u64,
    /// Bytes of all texts.
    text_bytes: usize,
}

/// What reads 40 hex digits of any case.
pub fn parse_sha(text: &[u8]) -> Option<Sha> {
    if text.len() != 40 {
        return None;
    }
    let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
    let mut sha = [0; 20];
    for (byte, pair) in sha.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(sha)
}

impl Cache {
    /// Number of scripts.
    pub fn len(&self) -> usize {
        self.by_sha.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.by_sha.is_empty()
    }

    /// Heap bytes held, texts as upstream counts them included.
    pub fn mem_bytes(&self) -> usize {
        self.by_sha.capacity() * (size_of::<(Sha, Entry)>() + 1)
            + self.by_use.len() * size_of::<(u64, Sha)>()
            + self.text_bytes
    }

    /// Whether a script is there.
    pub fn contains(&self, sha: &Sha) -> bool {
        self.by_sha.contains_key(sha)
    }

    /// What a script declares.
    pub fn flags(&self, sha: &Sha) -> Option<ScriptFlags> {
        self.by_sha.get(sha).map(|entry| entry.script.flags)
    }

    /// A script that is about to run.
    #[inline]
    pub fn use_script(&mut self, sha: &Sha) -> Option<Script> {
        let entry = self.by_sha.get_mut(sha)?;
        if let Some(used) = entry.used
            && used != self.uses
        {
            self.by_use.remove(&used);
            self.uses += 1;
            self.by_use.insert(self.uses, *sha);
            entry.used = Some(self.uses);
        }
        Some(entry.script)
    }

    /// Adds a script; `evictable`: it came by EVAL. Returns those that had to go.
    pub fn add(
        &mut self,
        sha: Sha,
        script: Script,
        text_len: usize,
        evictable: bool,
    ) -> Vec<Script> {
        let mut used = None;
        if evictable {
            self.uses += 1;
            self.by_use.insert(self.uses, sha);
            used = Some(self.uses);
        }
        self.text_bytes += text_len;
        self.by_sha.insert(
            sha,
            Entry {
                script,
                used,
                text_len,
            },
        );
        let mut gone = Vec::new();
        while self.by_use.len() > EVAL_KEPT
            && let Some((_, oldest)) = self.by_use.pop_first()
            && let Some(entry) = self.by_sha.remove(&oldest)
        {
            self.text_bytes -= entry.text_len;
            gone.push(entry.script);
        }
        gone
    }

    /// SCRIPT LOAD of a script that is there: it stays from now on.
    pub fn pin(&mut self, sha: &Sha) -> bool {
        let Some(entry) = self.by_sha.get_mut(sha) else {
            return false;
        };
        if let Some(used) = entry.used.take() {
            self.by_use.remove(&used);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::engine::{Engine, Purpose};

    #[test]
    fn the_one_not_used_for_longest_goes() {
        let engine = Engine::new(Purpose::Eval, usize::MAX, false);
        let function = engine.handle().compile(b"return 1", "@x").unwrap();
        let script = Script {
            function,
            flags: ScriptFlags::COMPATIBLE,
        };
        let sha = |n: usize| {
            let mut s = [0; 20];
            s[..8].copy_from_slice(&n.to_le_bytes());
            s
        };
        let mut cache = Cache::default();
        cache.add(sha(10_000), script, 1, false);
        for n in 0..EVAL_KEPT {
            assert!(cache.add(sha(n), script, 1, true).is_empty());
        }
        assert!(cache.use_script(&sha(0)).is_some() && cache.pin(&sha(1)));
        assert!(cache.add(sha(1000), script, 1, true).is_empty());
        assert_eq!(cache.add(sha(1001), script, 1, true).len(), 1);
        assert!(!cache.contains(&sha(2)) && cache.contains(&sha(0)));
        assert!(cache.contains(&sha(1)) && cache.contains(&sha(10_000)));
        assert_eq!(cache.len(), EVAL_KEPT + 2);
        assert_eq!(cache.text_bytes, EVAL_KEPT + 2);
    }

    #[test]
    fn names() {
        let text = b"E0E1F9FABFC9D4800C877A703B823AC0578FF8DB";
        let sha = parse_sha(text).unwrap();
        assert_eq!(super::super::api::hex(&sha), text.to_ascii_lowercase()[..]);
        assert!(parse_sha(b"e0").is_none() && parse_sha(&[b'g'; 40]).is_none());
    }
}
