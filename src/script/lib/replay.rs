//! Replays the answers of a real server (`tests/data/lua`, see `record.py` there) against our libraries.

#[cfg(test)]
mod tests {
    use crate::script::lib::{bit, cjson, cmsgpack, structs};
    use crate::script::lua::{Heap, Lua, RawState, allocate};
    use mlua_sys as ffi;

    const PRELUDE: &str = include_str!("../../../tests/data/lua/prelude.lua");

    /// A Lua state with its own libraries and ours.
    struct Scripts {
        l: *mut RawState,
        _heap: Box<Heap>,
    }

    impl Scripts {
        fn new() -> Self {
            let mut heap = Box::new(Heap::new(usize::MAX / 2));
            let user: *mut Heap = &mut *heap;
            // SAFETY: the heap outlives the state (see Drop), which is used by this thread only.
            let l = unsafe {
                let l = ffi::lua_newstate(allocate, user.cast());
                assert!(!l.is_null());
                ffi::luaL_openlibs(l);
                let mut lua = Lua::from_raw(l);
                for (name, install) in [
                    (c"cjson", cjson::install as fn(&mut Lua<'_>)),
                    (c"cmsgpack", cmsgpack::install),
                    (c"struct", structs::install),
                    (c"bit", bit::install),
                ] {
                    install(&mut lua);
                    ffi::lua_setglobal(l, name.as_ptr());
                }
                l
            };
            Scripts { l, _heap: heap }
        }

        /// Runs a chunk that returns one string.
        fn run(&mut self, chunk: &str) -> Vec<u8> {
            // SAFETY: a live state; the string is copied before it is popped.
            unsafe {
                let l = self.l;
                let name = c"@user_script".as_ptr();
                let mut status = ffi::luaL_loadbuffer(l, chunk.as_ptr().cast(), chunk.len(), name);
                if status == 0 {
                    status = ffi::lua_pcall(l, 0, 1, 0);
                }
                let mut len = 0;
                let p = ffi::lua_tolstring(l, -1, &mut len);
                let text = std::slice::from_raw_parts(p.cast::<u8>(), len).to_vec();
                ffi::lua_settop(l, 0);
                assert_eq!(status, 0, "{}", text.escape_ascii());
                text
            }
        }
    }

    impl Drop for Scripts {
        fn drop(&mut self) {
            // SAFETY: nobody uses the state any more; the heap goes after it.
            unsafe { ffi::lua_close(self.l) }
        }
    }

    /// As `record.py` writes bytes.
    fn escape(bytes: &[u8]) -> String {
        let one = |b: &u8| match b {
            b'\\' => "\\x5c".into(),
            0x20..=0x7e => char::from(*b).to_string(),
            _ => format!("\\x{b:02x}"),
        };
        bytes.iter().map(one).collect()
    }

    fn replay(recorded: &str) {
        let mut scripts = Scripts::new();
        let mut wrong = Vec::new();
        let mut n = 0;
        for line in recorded.lines() {
            let (case, answer) = line.split_once('\t').unwrap();
            let chunk =
                format!("{PRELUDE}\nreturn show(function() return pack_results({case}) end)");
            let ours = escape(&scripts.run(&chunk));
            n += 1;
            if ours != answer {
                wrong.push(format!("{case}\n  recorded {answer}\n  ours     {ours}"));
            }
        }
        assert!(n > 500);
        let first = &wrong[..wrong.len().min(40)];
        assert!(
            wrong.is_empty(),
            "{} of {n} differ:\n{}",
            wrong.len(),
            first.join("\n")
        );
    }

    #[test]
    fn cjson_answers_as_recorded() {
        replay(include_str!("../../../tests/data/lua/cjson.txt"));
    }

    #[test]
    fn cmsgpack_answers_as_recorded() {
        replay(include_str!("../../../tests/data/lua/cmsgpack.txt"));
    }

    #[test]
    fn struct_answers_as_recorded() {
        replay(include_str!("../../../tests/data/lua/struct.txt"));
    }

    #[test]
    fn bit_answers_as_recorded() {
        replay(include_str!("../../../tests/data/lua/bit.txt"));
    }
}
