//! Any format and any data for `struct.unpack` and `struct.size`: values or an error, within the data's bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstart::script::lib::build::Sketch;
use redstart::script::lib::structs;

fuzz_target!(|input: (&[u8], &[u8], usize)| {
    let (format, data, at) = input;
    let mut out = Sketch::default();
    if let Ok((n, _)) = structs::decode(format, data, at, &mut out) {
        assert_eq!(n, out.len());
    }
    let _ = structs::size_of_format(format);
});
