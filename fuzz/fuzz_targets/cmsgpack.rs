//! Any bytes for `cmsgpack.unpack`: values or an error; nothing is built that was not sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstart::script::lib::build::Sketch;
use redstart::script::lib::cmsgpack::unpack::Unpacker;

fuzz_target!(|bytes: &[u8]| {
    let mut out = Sketch::default();
    let mut unpacker = Unpacker::new(bytes, 0);
    let mut n = 0;
    while !unpacker.is_at_end() && unpacker.value(&mut out).is_ok() {
        n += 1;
        assert_eq!(out.len(), n);
    }
    assert!(out.string_bytes <= bytes.len());
});
