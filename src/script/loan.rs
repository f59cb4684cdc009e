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

/// What is lent to a running script: a server and a client, except in this file's tests.
struct Loan<'a, S, C> {
    server: *mut S,
    client: *mut C,
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
    // SAFETY: the caller's contract is that of `lend_any`.
    unsafe { lend_any(heap, server, client, args, run) }
}

/// # Safety
/// As [`lend`]; whoever takes the loan meanwhile must name the same types.
unsafe fn lend_any<S, C, R>(
    heap: *mut Heap,
    server: &mut S,
    client: &mut C,
    args: Args<'_>,
    run: impl FnOnce() -> R,
) -> R {
    let mut loan = Loan {
        server: &raw mut *server,
        client: &raw mut *client,
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
    // SAFETY: the heap belongs to the face's state, and `lend` lends a server and a client; the references end with the face.
    unsafe { take(lua.heap()).map(|(server, client, _)| (server, client)) }
}

/// As [`borrow`], for hooks.
///
/// # Safety
/// `l` must be a live state with our allocator, and the references must end before Lua goes on.
pub unsafe fn borrow_raw<'a>(
    l: *mut RawState,
    _life: PhantomData<&'a mut ()>,
) -> Option<(&'a mut Server, &'a mut Client, Args<'a>)> {
    // SAFETY: the heap belongs to `l`, and `lend` lends a server and a client; the rest is the caller's contract.
    unsafe { take(heap_of(l)) }
}

/// What the heap's loan holds.
///
/// # Safety
/// `heap` must be live, its loan one of these types, and the references must end before anybody else takes them.
unsafe fn take<'a, S, C>(heap: *mut Heap) -> Option<(&'a mut S, &'a mut C, Args<'a>)> {
    // SAFETY: a loan is there only while `lend` runs, whose references are dormant meanwhile; functions called from Lua do
    // not nest, so nobody else holds what is made here.
    unsafe {
        let loan = (*heap).loan.cast::<Loan<'a, S, C>>();
        if loan.is_null() {
            return None;
        }
        Some((&mut *(*loan).server, &mut *(*loan).client, (*loan).args))
    }
}

#[cfg(test)]
mod tests {
    //! The pointers alone, without Lua: what Miri can look at (`tests/miri`). Each block takes a loan that `lend_any` just made of
    //! the same types, and lets go of it before the next one does.
    use super::*;
    use crate::resp::ArgRange;

    type Parts<'a> = (&'a mut Vec<u32>, &'a mut String, Args<'a>);

    fn taken<'a>(heap: *mut Heap) -> Option<Parts<'a>> {
        unsafe { take(heap) }
    }

    #[test]
    fn what_was_lent_is_changed_by_each_function_in_turn() {
        let mut heap = Heap::new(0);
        let heap = &raw mut heap;
        let (mut server, mut client) = (vec![1], String::from("a"));
        let ranges = [ArgRange::new(0, 3), ArgRange::new(3, 3)];
        let args = Args::new(b"GETkey", &ranges, &[]);
        assert!(taken(heap).is_none());
        let run = || {
            for i in 2..5 {
                let (server, client, args) = taken(heap).expect("a loan");
                server.push(i);
                client.push('b');
                assert_eq!(args.iter().last(), Some(b"key".as_slice()));
            }
            taken(heap).map(|(server, ..)| server.len())
        };
        assert_eq!(
            unsafe { lend_any(heap, &mut server, &mut client, args, run) },
            Some(4)
        );
        assert!(taken(heap).is_none());
        // The owner goes on with what was lent.
        server.push(5);
        assert_eq!((server, client.as_str()), (vec![1, 2, 3, 4, 5], "abbb"));
    }

    #[test]
    fn a_panic_takes_the_loan_back() {
        let mut heap = Heap::new(0);
        let heap = &raw mut heap;
        let (mut server, mut client) = (Vec::<u32>::new(), String::new());
        let args = Args::new(b"", &[], &[]);
        let run = || -> () {
            taken(heap).expect("a loan").0.push(1);
            panic!("in a script");
        };
        let lent = std::panic::AssertUnwindSafe(|| unsafe {
            lend_any(heap, &mut server, &mut client, args, run)
        });
        assert!(std::panic::catch_unwind(lent).is_err());
        assert!(taken(heap).is_none());
        assert_eq!(server, [1]);
    }
}
