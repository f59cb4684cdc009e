//! CRC-16 (XMODEM) of keys, and the cluster slot made of it.
//!
//! A key's slot is the checksum modulo 16384. If the key contains '{' and somewhere behind it '}' with at least one byte between
//! the first '{' and the first '}' after it, only those bytes are hashed: that is how clients put keys into one slot.

use crc::{CRC_16_XMODEM, Crc, Table};

/// Number of cluster slots.
pub const SLOTS: u16 = 16_384;

static TABLES: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_XMODEM);

/// The checksum of `bytes`.
pub fn checksum(bytes: &[u8]) -> u16 {
    TABLES.checksum(bytes)
}

/// The part of `key` that decides its slot.
pub fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = memchr::memchr(b'{', key) else {
        return key;
    };
    match memchr::memchr(b'}', &key[open + 1..]) {
        Some(len @ 1..) => &key[open + 1..open + 1 + len],
        _ => key,
    }
}

/// The cluster slot of `key`, below [`SLOTS`].
pub fn key_slot(key: &[u8]) -> u16 {
    checksum(hash_tag(key)) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_a_real_server() {
        assert_eq!(checksum(b"123456789"), 0x31c3);
        for (key, slot) in [
            ("", 0),
            ("foo", 12182),
            ("foo{}{bar}", 8363),
            ("foo{{bar}}zap", 4015),
            ("foo{bar}{zap}", 5061),
            ("{}x", 10595),
            ("a{b", 13340),
            ("a}b{c}", 7365),
            ("{user1000}.following", 3443),
            ("12345", 5228),
        ] {
            assert_eq!(key_slot(key.as_bytes()), slot, "{key}");
        }
        assert_eq!(key_slot(b"{user1000}.following"), key_slot(b"user1000"));
    }
}
