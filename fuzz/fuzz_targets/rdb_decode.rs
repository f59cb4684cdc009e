//! Any bytes as an RDB file: the decoder must neither panic nor hang nor allocate what it was not sent.
//! What it accepts is saved and loaded again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstart::persist::rdb::{Decoder, Encoder, EntryMeta, Event, LoadOptions, RdbError, RdbValue, SaveOptions};

fn load(bytes: &[u8], checksum: bool) -> Result<Vec<(Vec<u8>, RdbValue)>, RdbError> {
    let options = LoadOptions { checksum, deep: true, skip_modules: true };
    let mut decoder = Decoder::new(bytes, options);
    let mut out = Vec::new();
    loop {
        match decoder.next()? {
            Event::Entry(entry) => {
                let key = entry.key.to_vec();
                out.extend(entry.value.into_owned()?.map(|value| (key, value)));
            }
            Event::Eof(_) => return Ok(out),
            _ => {}
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(entries) = load(bytes, false) else { return };
    let mut encoder = Encoder::new(std::io::Cursor::new(Vec::new()), SaveOptions::default());
    encoder.header().expect("memory takes everything");
    for (key, value) in &entries {
        encoder.put_entry(key, &EntryMeta::default(), value).expect("memory takes everything");
    }
    let (saved, _) = encoder.finish_file().expect("memory takes everything");
    let again = load(&saved.into_inner(), true).expect("what was saved loads");
    assert_eq!(again.len(), entries.len());
});
