//! DEBUG PROTOCOL and ERROR: every kind of reply, for those who write clients.

use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, before_nul};

pub(super) fn protocol(ctx: &mut Ctx<'_>) -> Outcome {
    let kind = before_nul(ctx.arg(2)).to_ascii_lowercase();
    let mut r = ctx.reply();
    match kind.as_slice() {
        b"string" => r.bulk(b"Hello World"),
        b"integer" => r.int(12345),
        // A number that shows how doubles are written, not pi.
        b"double" => r.double(f64::from(3141) / 1000.0),
        b"null" => r.null(),
        b"array" => {
            r.array(3);
            (0..3).for_each(|i| r.int(i));
        }
        b"set" => {
            r.set(3);
            (0..3).for_each(|i| r.int(i));
        }
        b"map" => {
            r.map(3);
            for i in 0..3 {
                r.int(i);
                r.bool(i == 1);
            }
        }
        b"attrib" => {
            if r.resp3() {
                r.attribute(1);
                r.bulk(b"key-popularity");
                r.array(2);
                r.bulk(b"key:123");
                r.int(90);
            }
            r.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if !r.resp3() {
                return Err(Error::new("ERR RESP2 is not supported by this command"));
            }
            // The message comes behind the reply, as it would from elsewhere.
            r.bulk(b"Some real reply following the push reply");
            r.push(2);
            r.bulk(b"server-cpu-usage");
            r.int(42);
        }
        b"true" => r.bool(true),
        b"false" => r.bool(false),
        b"verbatim" => r.verbatim("txt", b"This is a verbatim\nstring"),
        b"bignum" => r.big_number(b"1234567999999999999999999999999999999"),
        _ => {
            return Err(Error::new(
                "ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(Flow::Done)
}

pub(super) fn error(ctx: &mut Ctx<'_>) -> Outcome {
    let text: Vec<u8> = ctx
        .arg(2)
        .iter()
        .map(|&b| if b == b'\r' || b == b'\n' { b' ' } else { b })
        .collect();
    Err(Error::Bytes(text))
}
