//! Any bytes as a RESTORE payload body (the footer is made right, so that the checksum does not keep the fuzzer out).
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstart::persist::rdb::dump;

fuzz_target!(|bytes: &[u8]| {
    let payload = dump::add_footer(bytes.to_vec());
    for deep in [false, true] {
        if let Ok(value) = dump::decode(&payload, deep) {
            let again = dump::encode(&value, true);
            assert!(dump::decode(&again, false).is_ok());
        }
    }
    let _ = dump::decode_functions(&payload);
    let _ = dump::verify(bytes, true);
});
