//! Bridge to the CRC and LZF of `ds` until the branch that brings them is merged.
use crc::{CRC_64_REDIS, Crc, Table};
static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    let mut d = CRC.digest_with_initial(crc.reverse_bits());
    d.update(bytes);
    d.finalize()
}
pub fn lzf_compress(_src: &[u8], _out: &mut Vec<u8>) -> bool {
    false
}
pub fn lzf_decompress(src: &[u8], out: &mut Vec<u8>, len: usize) -> bool {
    let start = out.len();
    let mut i = 0;
    while i < src.len() {
        let c = src[i] as usize;
        i += 1;
        if c < 32 {
            let Some(run) = src.get(i..i + c + 1) else { return false };
            out.extend_from_slice(run);
            i += c + 1;
        } else {
            let mut n = c >> 5;
            if n == 7 {
                let Some(&b) = src.get(i) else { return false };
                n += b as usize;
                i += 1;
            }
            let Some(&b) = src.get(i) else { return false };
            i += 1;
            let back = ((c & 31) << 8 | b as usize) + 1;
            if back > out.len() - start || out.len() - start + n + 2 > len {
                return false;
            }
            for _ in 0..n + 2 {
                out.push(out[out.len() - back]);
            }
        }
    }
    out.len() - start == len
}
