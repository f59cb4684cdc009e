//! Commands as they stand in the file: the strict multibulk form, straight into one buffer.

use crate::resp::Args;

/// Most bytes that `*` or `$`, a length and a line end take.
const HEAD_MAX: usize = 24;

/// Appends `mark`, a length and a line end.
#[inline]
fn head(out: &mut Vec<u8>, mark: u8, n: usize) {
    // Nearly every length has one digit or two.
    match n {
        0..=9 => out.extend_from_slice(&[mark, b'0' + n as u8, b'\r', b'\n']),
        10..=99 => {
            let tens = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
            out.extend_from_slice(&[mark, tens[0], tens[1], b'\r', b'\n']);
        }
        _ => {
            out.push(mark);
            out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Appends the start of a command with `n` arguments.
#[inline]
pub fn start(out: &mut Vec<u8>, n: usize) {
    head(out, b'*', n);
}

/// Appends one argument.
#[inline]
pub fn arg(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends an integer as an argument.
#[inline]
pub fn int(out: &mut Vec<u8>, n: i64) {
    arg(out, itoa::Buffer::new().format(n).as_bytes());
}

/// Appends a whole command.
#[inline]
pub fn command(out: &mut Vec<u8>, args: Args<'_>) {
    out.reserve(args.total_len() + HEAD_MAX * (args.len() + 1));
    start(out, args.len());
    for i in 0..args.len() {
        arg(out, args.at(i));
    }
}

/// Appends SELECT.
pub fn select(out: &mut Vec<u8>, db: u32) {
    start(out, 2);
    arg(out, b"SELECT");
    int(out, db.into());
}

/// Appends an annotation: what follows was written at or after this Unix time (seconds).
pub fn timestamp(out: &mut Vec<u8>, now_s: i64) {
    out.extend_from_slice(format!("#TS:{now_s}\r\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    #[test]
    fn forms() {
        let mut out = Vec::new();
        timestamp(&mut out, 1628217470);
        select(&mut out, 12);
        let long = "x".repeat(100);
        let args = OwnedArgs::from_iter(["set", "", "0123456789ab", &long]);
        command(&mut out, args.view());
        int(&mut out, -5);
        let want = format!(
            "#TS:1628217470\r\n*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n*4\r\n$3\r\nset\r\n$0\r\n\r\n$12\r\n0123456789ab\r\n$100\r\n{long}\r\n$2\r\n-5\r\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
