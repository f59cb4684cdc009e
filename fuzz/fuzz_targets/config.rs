//! Any bytes as a configuration file: accepted or refused, and what CONFIG REWRITE makes of it is accepted again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstart::config::{Config, Loader, OwnedLines, rewrite};

fn load(bytes: &[u8]) -> Option<Config> {
    let mut loader = Loader::default();
    loader.enter_dir = |_| Ok(());
    loader.text("fuzz", bytes).ok()?;
    loader.finish().ok()
}

fuzz_target!(|bytes: &[u8]| {
    // Included files are not ours to read here.
    if bytes.to_ascii_lowercase().windows(7).any(|w| w == b"include") {
        return;
    }
    let Some(config) = load(bytes) else { return };
    let kept = OwnedLines { users: Some(Vec::new()), ..OwnedLines::default() };
    let rewritten = rewrite::rewrite(bytes, &config, &kept);
    assert!(load(&rewritten).is_some(), "{}", String::from_utf8_lossy(&rewritten));
});
