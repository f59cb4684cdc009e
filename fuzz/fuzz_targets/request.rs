//! Any bytes as what a client sends, whole and in pieces: the parser must find the same commands, or the same error, however
//! the bytes are cut. The first byte chooses the pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redstart::resp::parse::{Limits, Parser, ProtocolError, Step};
use redstart::resp::Args;

type Commands = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// Feeds pieces the way the server does: long arguments are filled directly, the rest lies in one buffer.
fn commands(bytes: &[u8], piece: usize, limits: &Limits) -> Commands {
    let (mut parser, mut buf, mut found) = (Parser::new(), Vec::new(), Vec::new());
    for chunk in bytes.chunks(piece) {
        let mut chunk = chunk;
        while !chunk.is_empty() {
            if let Some((v, lacks)) = parser.filling() {
                let n = lacks.min(chunk.len());
                v.extend_from_slice(&chunk[..n]);
                chunk = &chunk[n..];
                if parser.filling().is_some_and(|(_, lacks)| lacks > 0) {
                    continue;
                }
            } else {
                buf.extend_from_slice(chunk);
                chunk = &[];
            }
            let mut at = 0;
            loop {
                let (mut ranges, mut big) = (Vec::new(), Vec::new());
                match parser.parse(&buf[at..], &mut ranges, &mut big, limits) {
                    Ok(Step::Complete(n)) => {
                        let args = Args::new(&buf[at..at + n], &ranges, &big);
                        if !args.is_empty() {
                            found.push(args.iter().map(<[u8]>::to_vec).collect());
                        }
                        at += n;
                    }
                    Ok(Step::Incomplete) => break,
                    Ok(Step::Filling(n)) => {
                        buf.truncate(at + n);
                        break;
                    }
                    Err(e) => return (found, Some(e)),
                }
            }
            buf.drain(..at);
        }
    }
    (found, None)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let limits = Limits { max_bulk: 512 * 1024 * 1024, authenticated: first & 1 == 0, whole: false };
    let whole = commands(rest, rest.len().max(1), &limits);
    let pieces = commands(rest, usize::from(first >> 1).max(1), &limits);
    // Lengths of lines that do not end are looked at when bytes arrive, so only where whole lines came the errors are equal.
    assert_eq!(whole.0, pieces.0);
});
