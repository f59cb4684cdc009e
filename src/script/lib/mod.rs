//! The libraries scripts find beside Lua's own: `cjson`, `cmsgpack`, `struct`, `bit`. Safe code over [`super::lua::Lua`].
//!
//! Each has `pub fn install(lua: &mut Lua<'_>)`, which leaves its table on top of the stack (the engine names and protects
//! it).
