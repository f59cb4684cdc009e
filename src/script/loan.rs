//! The loan: how a function that a script calls reaches the server and the client it runs for.
//!
//! A command handler has `&mut Server` and `&mut Client`; Lua's frames lie between it and the functions a script calls, and
//! cannot hand references along. So while a script runs its state's [`Heap`] carries a pointer to a [`Loan`] on the handler's
//! stack, and [`borrow`] turns it back into the two references.
//!
//! Invariants that make this sound:
//! - [`lend`] makes the loan from the handler's own references, which are not used again until it has taken the loan back.
//! - The references that [`borrow`] hands out end with the Rust function called from Lua; such functions do not nest: a command
//!   run by a script cannot run a script, and neither can what is served meanwhile (`Scripts::running`). The one that does is the
//!   debugger's hook, which holds no such reference while code it was asked to run is running (`debugger/words.rs`).
//! - The Lua states are owned by `Scripts`; nothing that could drop one runs while `Scripts::running` holds.

use super::lua::{Heap, Lua, RawState, heap_of};
use crate::client::Client;
use crate::resp::Args;
use crate::server::Server;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::null_mut;

/// What is lent to a running script.
struct Loan<'a> {
    server: *mut Server,
    client: *mut Client,
    args: Args<'a>,
}

/// Lends the server and the client to a state while `run` runs it.
///
/// # Safety
/// `heap` must be the heap of a live state, and `run` must not touch the two references by other ways than [`borrow`].
pub unsafe fn lend<R>(
    heap: *mut Heap,
    server: &mut Server,
    client: &mut Client,
    args: Args<'_>,
    run: impl FnOnce() -> R,
) -> R {
    let mut loan = Loan {
        server,
        client,
        args,
    };
    // SAFETY: `heap` is live; the pointer is cleared before `loan` goes away, also when `run` panics.
    unsafe {
        (*heap).loan = (&raw mut loan).cast();
        let _end = End(heap);
        run()
    }
}

/// Takes the loan back when it goes out of scope.
struct End(*mut Heap);

impl Drop for End {
    fn drop(&mut self) {
        // SAFETY: the heap outlives the loan by the contract of `lend`.
        unsafe { (*self.0).loan = null_mut::<c_void>() }
    }
}

/// The server and the client of the running script; None when no script runs (a library is being loaded).
pub fn borrow<'a>(lua: &'a mut Lua<'_>) -> Option<(&'a mut Server, &'a mut Client)> {
    // SAFETY: Lua faces are made for states whose allocator is ours.
    unsafe { borrow_raw(lua.raw(), PhantomData).map(|(server, client, _)| (server, client)) }
}

/// As [`borrow`], for hooks.
///
/// # Safety
/// `l` must be a live state with our allocator, and the references must end before Lua goes on.
pub unsafe fn borrow_raw<'a>(
    l: *mut RawState,
    _life: PhantomData<&'a mut ()>,
) -> Option<(&'a mut Server, &'a mut Client, Args<'a>)> {
    // SAFETY: a loan is there only while `lend` runs, whose references are dormant meanwhile; functions called from Lua do
    // not nest, so nobody else holds what is made here.
    unsafe {
        let loan = (*heap_of(l)).loan.cast::<Loan<'a>>();
        if loan.is_null() {
            return None;
        }
        Some((&mut *(*loan).server, &mut *(*loan).client, (*loan).args))
    }
}
