//! CRC-64 of RDB files and DUMP payloads: Jones polynomial, reflected, start value and final xor 0 (`CRC-64/REDIS`).
//!
//! The tables come from the `crc` crate (sixteen at once, so that a step takes sixteen bytes). The value is its own state:
//! `update(update(0, a), b)` is the checksum of a followed by b.

use crc::{CRC_64_REDIS, Crc, Table};

static TABLES: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// Continues `crc` (0 at the start) over `bytes`.
pub fn update(crc: u64, bytes: &[u8]) -> u64 {
    // The crate wants the start value as written in the algorithm's description, i.e. not reflected.
    let mut digest = TABLES.digest_with_initial(crc.reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

/// The checksum of `bytes`.
pub fn checksum(bytes: &[u8]) -> u64 {
    update(0, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;

    #[test]
    fn known_value() {
        assert_eq!(checksum(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(checksum(b""), 0);
    }

    #[test]
    fn pieces_give_the_same_as_the_whole() {
        let mut rng = Rng::new(13);
        for _ in 0..500 {
            let bytes: Vec<u8> = (0..rng.below(200)).map(|_| rng.next_u64() as u8).collect();
            let cut = rng.below(bytes.len() + 1);
            assert_eq!(
                update(update(0, &bytes[..cut]), &bytes[cut..]),
                checksum(&bytes)
            );
            assert_eq!(checksum(&bytes), bit_by_bit(&bytes));
        }
    }

    /// The definition: reflected, polynomial 0xad93d23594c935a9.
    fn bit_by_bit(bytes: &[u8]) -> u64 {
        let polynomial = 0xad93_d235_94c9_35a9u64.reverse_bits();
        bytes.iter().fold(0, |crc, &byte| {
            (0..8).fold(crc ^ u64::from(byte), |crc, _| {
                (crc >> 1) ^ if crc & 1 == 1 { polynomial } else { 0 }
            })
        })
    }
}
