//! Any bytes as JSON for `cjson.decode`: an error, or exactly one value built; never a panic, however deep it nests.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstart::script::lib::build::Sketch;
use redstart::script::lib::cjson::decode::{DecodeOptions, decode};

fuzz_target!(|bytes: &[u8]| {
    for (max_depth, invalid_numbers) in [(1000, true), (3, false), (usize::MAX, true)] {
        let mut out = Sketch::default();
        if decode(bytes, DecodeOptions { max_depth, invalid_numbers }, &mut out).is_ok() {
            assert_eq!(out.len(), 1);
            // No escape is shorter than what it stands for.
            assert!(out.string_bytes <= bytes.len());
        }
    }
});
