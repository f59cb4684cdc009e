//! Any bytes as an append only file: no panic; what is called valid must read cleanly again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstart::persist::aof::source::{AofError, Source};

fn count(bytes: &[u8]) -> (usize, u64, Option<AofError>) {
    let mut source = Source::new(bytes, 0);
    let (mut commands, mut valid) = (0, 0);
    loop {
        match source.next_batch(7) {
            Ok(0) => return (commands, valid, None),
            Ok(n) => {
                for i in 0..n {
                    let (args, offset) = source.command(i);
                    assert!(!args.is_empty() && offset > valid);
                    valid = offset;
                }
                commands += n;
            }
            Err(e) => return (commands, valid, Some(e)),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (commands, valid, _) = count(bytes);
    let cut = &bytes[..usize::try_from(valid).expect("within the file")];
    let (again, end, error) = count(cut);
    assert!(error.is_none() && again == commands && end == valid, "{error:?}");
});
