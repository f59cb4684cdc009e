//! Any bytes as an AOF manifest: what is accepted is printed and read back equal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstart::persist::aof::manifest::Manifest;

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    let text = manifest.text();
    if !text.is_empty() {
        assert_eq!(Manifest::parse(text.as_bytes()).expect("what was printed reads"), manifest);
    }
});
