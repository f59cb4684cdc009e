//! Names of our own functions, from the symbol table in the binary, without allocation: for reports of signal handlers.
//!
//! glibc's `backtrace_symbols_fd` knows exported names only, and an executable exports none. So the binary is mapped and its ELF
//! section `.symtab` searched. ELF64, little-endian; offsets of what is read:
//!
//! | structure | field | offset | size |
//! |--|--|--|--|
//! | header | section table offset, entry size, entries | 0x28, 0x3a, 0x3c | 8, 2, 2 |
//! | header | program table offset, entry size, entries | 0x20, 0x36, 0x38 | 8, 2, 2 |
//! | section | type, offset, size, link | 4, 0x18, 0x20, 0x28 | 4, 8, 8, 4 |
//! | segment | type, virtual address | 0, 0x10 | 4, 8 |
//! | symbol | name, info, value, size | 0, 4, 8, 16 | 4, 1, 8, 8 |

use super::line::Line;

const SECTION_SYMTAB: u64 = 2;
const SEGMENT_PHDR: u64 = 6;
const KIND_FUNCTION: u8 = 2;
const SYMBOL_BYTES: usize = 24;

/// The binary, mapped, with its tables found.
pub(super) struct Symbols<'a> {
    symbols: &'a [u8],
    names: &'a [u8],
    /// Run-time address less the address in the file.
    bias: u64,
}

/// A little-endian number of `n` bytes.
fn number(bytes: &[u8], at: usize, n: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(n)?)?;
    Some(part.iter().rev().fold(0, |v, &b| v << 8 | u64::from(b)))
}

/// Entry `i` of a table described in the header by three fields.
fn entry(elf: &[u8], offset_at: usize, size_at: usize, i: usize) -> Option<&[u8]> {
    let offset = number(elf, offset_at, 8)? as usize;
    let size = number(elf, size_at, 2)? as usize;
    if i as u64 >= number(elf, size_at + 2, 2)? {
        return None;
    }
    let start = offset.checked_add(size.checked_mul(i)?)?;
    elf.get(start..start.checked_add(size)?)
}

fn section(elf: &[u8], i: usize) -> Option<&[u8]> {
    entry(elf, 0x28, 0x3a, i)
}

/// The bytes a section stands for.
fn content<'a>(elf: &'a [u8], section: &[u8]) -> Option<&'a [u8]> {
    let offset = number(section, 0x18, 8)? as usize;
    elf.get(offset..offset.checked_add(number(section, 0x20, 8)? as usize)?)
}

impl<'a> Symbols<'a> {
    /// The symbols of an ELF file that was loaded with its program headers at `headers_at`.
    fn of(elf: &'a [u8], headers_at: u64) -> Option<Self> {
        if elf.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let table = (0..)
            .map_while(|i| section(elf, i))
            .find(|s| number(s, 4, 4) == Some(SECTION_SYMTAB))?;
        let names = section(elf, number(table, 0x28, 4)? as usize)?;
        let headers = (0..)
            .map_while(|i| entry(elf, 0x20, 0x36, i))
            .find(|s| number(s, 0, 4) == Some(SEGMENT_PHDR))?;
        Some(Symbols {
            symbols: content(elf, table)?,
            names: content(elf, names)?,
            bias: headers_at.wrapping_sub(number(headers, 0x10, 8)?),
        })
    }

    /// Those of the running binary; None when it was stripped or cannot be read. The mapping stays for good.
    pub(super) fn of_this_process() -> Option<Symbols<'static>> {
        // SAFETY: open, fstat, mmap and getauxval are called with valid arguments; the mapping is private, read-only and never
        // unmapped, so a 'static slice of it stays valid.
        unsafe {
            let fd = libc::open(c"/proc/self/exe".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            if fd < 0 {
                return None;
            }
            let mut about: libc::stat = std::mem::zeroed();
            let known = libc::fstat(fd, &mut about) == 0;
            let len = if known { about.st_size as usize } else { 0 };
            let map = libc::mmap(
                std::ptr::null_mut(),
                len.max(1),
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                fd,
                0,
            );
            libc::close(fd);
            if map == libc::MAP_FAILED || len == 0 {
                return None;
            }
            let elf = std::slice::from_raw_parts(map.cast::<u8>(), len);
            Symbols::of(elf, libc::getauxval(libc::AT_PHDR))
        }
    }

    /// The function that holds an address, and how far into it the address is.
    pub(super) fn find(&self, address: u64) -> Option<(&'a [u8], u64)> {
        let address = address.wrapping_sub(self.bias);
        let found = self.symbols.chunks_exact(SYMBOL_BYTES).find(|s| {
            let (start, size) = (number(s, 8, 8).unwrap_or(0), number(s, 16, 8).unwrap_or(0));
            s[4] & 15 == KIND_FUNCTION && address >= start && address - start < size
        })?;
        let name = self.names.get(number(found, 0, 4)? as usize..)?;
        let end = name.iter().position(|&b| b == 0)?;
        Some((&name[..end], address - number(found, 8, 8)?))
    }
}

/// Writes a mangled Rust name as a path, roughly: its identifiers with `::` between them. Other names stay as they are.
pub(super) fn readable(name: &[u8], to: &mut Line) {
    let rust = name.starts_with(b"_R") || name.starts_with(b"_ZN");
    if !rust {
        to.text(name);
        return;
    }
    let mut at = 2;
    let mut first = true;
    while at < name.len() {
        match name[at] {
            // A number in base 62 up to an underscore: it tells apart what has the same name, or refers back.
            b's' | b'B' if name.starts_with(b"_R") => {
                let rest = &name[at..];
                at += rest.iter().position(|&b| b == b'_').unwrap_or(rest.len()) + 1;
            }
            b'0'..=b'9' => {
                let mut len = 0;
                while let Some(digit) = name.get(at).filter(|b| b.is_ascii_digit()) {
                    len = (len * 10 + usize::from(digit - b'0')).min(name.len());
                    at += 1;
                }
                at += usize::from(name.starts_with(b"_R") && name.get(at) == Some(&b'_'));
                let word = &name[at.min(name.len())..(at + len).min(name.len())];
                at += len.max(1);
                // The last one of the older scheme is a hash.
                let hash = word.len() == 17 && word[0] == b'h';
                if !hash && !word.is_empty() {
                    to.text(if first { b"" } else { b"::" }).text(word);
                    first = false;
                }
            }
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn a_function_of_ours() -> u64 {
        std::hint::black_box(7)
    }

    #[test]
    fn finds_a_function_of_this_binary() {
        assert_eq!(a_function_of_ours(), 7);
        let symbols = Symbols::of_this_process().expect("a binary with symbols");
        let address = a_function_of_ours as *const () as u64;
        let (name, offset) = symbols.find(address + 1).expect("a name");
        let mut line = Line::new();
        readable(name, &mut line);
        let text = String::from_utf8_lossy(line.as_bytes()).into_owned();
        assert!(
            text.ends_with("crash::symbols::tests::a_function_of_ours"),
            "{text}"
        );
        assert_eq!(offset, 1);
        assert!(symbols.find(8).is_none());
    }

    #[test]
    fn names_of_both_schemes_and_others() {
        let cases: [(&[u8], &[u8]); 4] = [
            (
                b"_ZN8redstart3sys5crash17h0123456789abcdefE",
                b"redstart::sys::crash",
            ),
            (b"_RNvNtCs7kP2_8redstart3sys5crash", b"redstart::sys::crash"),
            (b"epoll_wait", b"epoll_wait"),
            (b"_ZN99x", b"x"),
        ];
        for (mangled, path) in cases {
            let mut line = Line::new();
            readable(mangled, &mut line);
            assert_eq!(line.as_bytes(), path);
        }
    }

    #[test]
    fn damaged_files_have_no_symbols() {
        let own = std::fs::read("/proc/self/exe").expect("our own binary");
        let mut rng = crate::ds::rng::Rng::new(3);
        for _ in 0..300 {
            let mut elf = own[..own.len().min(1 << 16)].to_vec();
            for _ in 0..8 {
                elf[rng.below(64)] = rng.next_u64() as u8;
            }
            if let Some(s) = Symbols::of(&elf, rng.next_u64()) {
                s.find(rng.next_u64());
            }
            assert!(Symbols::of(&elf[..rng.below(80)], 0).is_none());
        }
    }
}
