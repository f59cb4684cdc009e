//! Randomness from the kernel: seeds, run ids, ACL GENPASS.

/// Fills `buf` with random bytes.
pub fn fill(buf: &mut [u8]) {
    let mut done = 0;
    while done < buf.len() {
        // SAFETY: the kernel writes at most the given length into the rest of `buf`.
        let n = unsafe { libc::getrandom(buf[done..].as_mut_ptr().cast(), buf.len() - done, 0) };
        assert!(
            n > 0 || std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted,
            "the kernel has no randomness"
        );
        done += n.max(0) as usize;
    }
}

/// 64 random bits.
pub fn random_u64() -> u64 {
    let mut b = [0; 8];
    fill(&mut b);
    u64::from_ne_bytes(b)
}

/// 40 random hex digits: run ids and replication ids.
pub fn random_hex() -> String {
    let mut b = [0; 20];
    fill(&mut b);
    b.iter().map(|x| format!("{x:02x}")).collect()
}
