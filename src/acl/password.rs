//! Passwords: kept and compared as SHA-256 in hex, as ACL files have them.

use sha2::{Digest, Sha256};

/// Length of a hash in hex.
pub const HASH_LEN: usize = 64;

/// A password's SHA-256, lower-case hex.
pub type Hash = [u8; HASH_LEN];

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> Vec<u8> {
    let digits = |b: &u8| [HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]];
    bytes.iter().flat_map(digits).collect()
}

/// The hash of a password.
pub fn hash(password: &[u8]) -> Hash {
    let mut out = [0; HASH_LEN];
    for (pair, byte) in out.chunks_exact_mut(2).zip(Sha256::digest(password)) {
        pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    out
}

/// A hash as a rule gives it: exactly 64 lower-case hex digits.
pub fn parse_hash(text: &[u8]) -> Option<Hash> {
    let digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let hash: Hash = text.try_into().ok()?;
    hash.iter().all(digit).then_some(hash)
}

/// Whether two hashes are equal; takes the same time wherever they differ.
pub fn same(a: &Hash, b: &Hash) -> bool {
    let differ = a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y));
    std::hint::black_box(differ) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes() {
        // The value `ACL SETUSER x >a` leaves in ACL LIST of 8.2.3.
        let a = b"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
        assert_eq!(&hash(b"a"), a);
        assert_eq!(parse_hash(a), Some(*a));
        assert!(same(&hash(b"a"), a) && !same(&hash(b"b"), a));
        for wrong in [&a[..63], b"", &a.to_ascii_uppercase()] {
            assert_eq!(parse_hash(wrong), None);
        }
        assert_eq!(hex(&[0, 255, 0x1a]), b"00ff1a");
    }

    #[test]
    fn every_byte_counts() {
        let a = hash(b"secret");
        for i in 0..HASH_LEN {
            let mut b = a;
            b[i] ^= 1;
            assert!(!same(&a, &b), "{i}");
        }
    }
}
