//! Certificates of X.509 version 1: no extensions, so nothing to check but signature, issuer and dates (RFC 5280, 4.1).
//!
//! ```text
//! Certificate  ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE, signature BIT STRING }
//! TBSCertificate ::= SEQUENCE { serial INTEGER, signature SEQUENCE, issuer SEQUENCE, validity SEQUENCE { Time, Time },
//!                               subject SEQUENCE, subjectPublicKeyInfo SEQUENCE { algorithm SEQUENCE, key BIT STRING } }
//! ```
//!
//! Version 2 and 3 begin with a `[0]` tag where version 1 has its serial number; those are left to rustls, as is anything that
//! does not parse. Such a certificate is never taken for an authority: it must be signed by a root directly.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use rustls::{CertificateError, Error, RootCertStore, SignatureScheme};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;

/// The parts of a certificate, as they stand in it.
#[derive(Debug)]
pub struct OldCertificate<'c> {
    /// The signed part, with its head.
    signed: &'c [u8],
    algorithm: &'c [u8],
    signature: &'c [u8],
    issuer: &'c [u8],
    not_before: u64,
    not_after: u64,
    key_algorithm: &'c [u8],
    key: &'c [u8],
}

/// Takes DER values off the front of bytes.
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    /// The next value: its tag, its content, and both with the length between.
    fn next(&mut self) -> Option<(u8, &'d [u8], &'d [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut len = usize::from(first);
        if first >= 0x80 {
            let n = usize::from(first & 0x7f);
            if n == 0 || n > 4 {
                return None;
            }
            let (bytes, after) = rest.split_at_checked(n)?;
            len = bytes.iter().fold(0, |l, b| l << 8 | usize::from(*b));
            rest = after;
        }
        let (content, after) = rest.split_at_checked(len)?;
        let whole = &self.0[..self.0.len() - after.len()];
        self.0 = after;
        Some((tag, content, whole))
    }

    /// The content of the next value, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'d [u8]> {
        self.next()
            .filter(|(t, ..)| *t == tag)
            .map(|(_, content, _)| content)
    }

    /// The bytes of a bit string without unused bits.
    fn bits(&mut self) -> Option<&'d [u8]> {
        self.take(BIT_STRING)?.strip_prefix(&[0])
    }

    /// Seconds since 1970.
    fn time(&mut self) -> Option<u64> {
        let (tag, text, _) = self.next()?;
        let text = text.strip_suffix(b"Z")?;
        let text = std::str::from_utf8(text)
            .ok()
            .filter(|t| t.bytes().all(|c| c.is_ascii_digit()))?;
        let (year, rest) = match tag {
            UTC_TIME if text.len() == 12 => {
                let y: u64 = text[..2].parse().ok()?;
                (if y < 50 { 2000 + y } else { 1900 + y }, &text[2..])
            }
            GENERALIZED_TIME if text.len() == 14 => (text[..4].parse().ok()?, &text[4..]),
            _ => return None,
        };
        let part = |i: usize| rest[2 * i..2 * i + 2].parse::<u64>().ok();
        let days = days_since_1970(year, part(0)?, part(1)?)?;
        Some(((days * 24 + part(2)?) * 60 + part(3)?) * 60 + part(4)?)
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; earlier ones count as that day.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1;
    // 719468: from 0000-03-01 to 1970-01-01.
    Some(days.saturating_sub(719_468))
}

impl<'c> OldCertificate<'c> {
    /// Takes a version 1 certificate apart; None for any other.
    pub fn parse(cert: &'c CertificateDer<'_>) -> Option<Self> {
        let mut outer = Der(cert);
        let mut parts = Der(outer.take(SEQUENCE)?);
        let (tag, body, signed) = parts.next()?;
        let algorithm = parts.take(SEQUENCE)?;
        let signature = parts.bits()?;
        let mut body = Der(body);
        body.take(INTEGER)?;
        let inner_algorithm = body.take(SEQUENCE)?;
        let issuer = body.take(SEQUENCE)?;
        let mut validity = Der(body.take(SEQUENCE)?);
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        body.take(SEQUENCE)?;
        let mut info = Der(body.take(SEQUENCE)?);
        let (key_algorithm, key) = (info.take(SEQUENCE)?, info.bits()?);
        let whole = outer.0.is_empty() && parts.0.is_empty() && body.0.is_empty();
        (tag == SEQUENCE && inner_algorithm == algorithm && whole).then_some(OldCertificate {
            signed,
            algorithm,
            signature,
            issuer,
            not_before,
            not_after,
            key_algorithm,
            key,
        })
    }

    /// Whether a root signed it and it is in date.
    pub fn check(
        &self,
        roots: &RootCertStore,
        algorithms: &WebPkiSupportedAlgorithms,
        now: UnixTime,
    ) -> Result<(), Error> {
        let refuse = |why| Err(Error::InvalidCertificate(why));
        if now.as_secs() < self.not_before {
            return refuse(CertificateError::NotValidYet);
        }
        if now.as_secs() > self.not_after {
            return refuse(CertificateError::Expired);
        }
        let mut why = CertificateError::UnknownIssuer;
        for root in roots
            .roots
            .iter()
            .filter(|r| r.subject.as_ref() == self.issuer)
        {
            let mut info = Der(root.subject_public_key_info.as_ref());
            let (Some(key_algorithm), Some(key)) = (info.take(SEQUENCE), info.bits()) else {
                continue;
            };
            let fits = |a: &&&dyn SignatureVerificationAlgorithm| {
                a.signature_alg_id().as_ref() == self.algorithm
                    && a.public_key_alg_id().as_ref() == key_algorithm
            };
            for a in algorithms.all.iter().filter(fits) {
                if a.verify_signature(key, self.signed, self.signature).is_ok() {
                    return Ok(());
                }
                why = CertificateError::BadSignature;
            }
        }
        refuse(why)
    }

    /// Whether `message` was signed by the certificate's key.
    pub fn check_signature(
        &self,
        algorithms: &WebPkiSupportedAlgorithms,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        let known = algorithms
            .mapping
            .iter()
            .filter(|(s, _)| *s == scheme)
            .flat_map(|(_, a)| a.iter());
        for a in known.filter(|a| a.public_key_alg_id().as_ref() == self.key_algorithm) {
            if a.verify_signature(self.key, message, signature).is_ok() {
                return Ok(());
            }
        }
        Err(Error::InvalidCertificate(CertificateError::BadSignature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;

    #[test]
    fn dates() {
        let at = |tag, text: &[u8]| {
            let der = [&[tag, text.len() as u8], text].concat();
            Der(&der).time()
        };
        assert_eq!(at(UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(at(UTC_TIME, b"240229123456Z"), Some(1_709_210_096));
        assert_eq!(
            at(GENERALIZED_TIME, b"20500101000000Z"),
            Some(2_524_608_000)
        );
        assert_eq!(at(UTC_TIME, b"241301000000Z"), None);
        assert_eq!(at(UTC_TIME, b"2401010000Z"), None);
    }

    /// Whatever stands there, taking it apart ends without a panic, and damage to a real one is noticed.
    #[test]
    fn garbage_is_no_certificate() {
        let mut rng = Rng::new(9);
        for _ in 0..50_000 {
            let bytes: Vec<u8> = (0..rng.below(60))
                .map(|_| [0x30, 0x02, 0x03, 0x17, 1, 5, 0x81, rng.below(256) as u8][rng.below(8)])
                .collect();
            let _ = OldCertificate::parse(&CertificateDer::from(bytes));
        }
    }
}
