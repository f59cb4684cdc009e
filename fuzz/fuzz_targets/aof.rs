//! Any bytes as an append only file: no panic; what is called valid must read cleanly again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstart::persist::aof::source::{AofError, Source};

fn count(bytes: &[u8]) -> (usize, u64, Option<AofError>) {
    let mut source = Source::new(bytes, 0);
    let mut items = 0;
    loop {
        match source.next_item() {
            Ok(Some(_)) => items += 1,
            Ok(None) => return (items, source.valid_up_to, None),
            Err(e) => return (items, source.valid_up_to, Some(e)),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (items, valid, _) = count(bytes);
    let cut = &bytes[..usize::try_from(valid).expect("within the file")];
    let (again, end, error) = count(cut);
    assert!(error.is_none() && again == items && end == valid, "{error:?}");
});
