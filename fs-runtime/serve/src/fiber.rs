//! Serving a request of the bypass door in a thread of the daemon.
//!
//! The walk asks the daemon again and again and waits for each answer; but the daemon's
//! thread has to return from its read to answer. So the walk runs on a stack of its own, a
//! *fiber*: it is left when there is a question, the read returns with the question, and the
//! fiber is entered again when the daemon comes back to read.
//!
//! A fiber may be entered by another thread than before: one of the daemon, when the answer
//! came late, or one of ours, when the fiber is about to wait for something (a gate, a
//! notification), which a thread of the daemon must not.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::ptr::null;
use std::sync::Arc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use finesse_fuse::doors::{Errand, Promise};
use parking_lot::Mutex;

use crate::abi::Message;
use crate::calls::Call;

/// The walk is shallow: forty links, one frame each, and what formatting needs.
const STACK: usize = 256 * 1024;

/// Stacks that are kept for the next fibers.
const KEPT: usize = 32;

static STACKS: Mutex<Vec<DefaultStack>> = Mutex::new(Vec::new());

/// What a fiber wants when it is left.
#[derive(Debug)]
pub(crate) enum Wants {
    /// The answer to a question, which the daemon has to be given.
    Answer(Message, Arc<Call>),
    /// To go on in a thread that may wait.
    ThreadThatMayWait,
}

/// Why a fiber was left.
#[derive(Debug)]
pub(crate) enum Left {
    /// It wants something before it goes on.
    Wanting(Fiber, Wants),
    /// It is done; a thread of the daemon that finished it has promised to look for the next request.
    Done(Option<Promise>),
}

type Leave = Yielder<(), Wants>;

/// A walk under way.
pub(crate) struct Fiber(Coroutine<(), Wants, Option<Promise>, DefaultStack>);

// SAFETY: nothing on a fiber's stack belongs to a thread when the fiber is left. It is left
// in two places. `ask` is called by the backend's functions, and there the walk holds shared
// counters (Arc), gates and look-ups, which are Send, and no guard of a mutex (the lock order
// in `crate::vfs` of fs-runtime: no lock is held while the file system is asked).
// `wait_elsewhere` is called by `about_to_wait`, with no lock held. Neither function is
// inlined, so no caller keeps the address of a thread-local value across them.
unsafe impl Send for Fiber {}

impl fmt::Debug for Fiber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fiber").finish_non_exhaustive()
    }
}

thread_local! {
    /// How the fiber that this thread runs is left; null: it runs none.
    static LEAVE: Cell<*const Leave> = const { Cell::new(null()) };
    /// Whether this thread is the daemon's, and must not wait.
    static DAEMONS: Cell<bool> = const { Cell::new(false) };
}

impl Fiber {
    /// A fiber that will serve `errand`; `Err` gives it back when there is no memory.
    pub(crate) fn new(errand: Errand) -> Result<Fiber, Errand> {
        let kept = STACKS.lock().pop();
        let Some(stack) = kept.or_else(|| DefaultStack::new(STACK).ok()) else {
            return Err(errand);
        };
        Ok(Fiber(Coroutine::with_stack(
            stack,
            move |leave: &Leave, ()| {
                set_leave(leave);
                errand.run(is_in_daemons_thread)
            },
        )))
    }

    /// Goes on until it wants something or is done.
    pub(crate) fn enter(mut self) -> Left {
        let left = self.0.resume(());
        set_leave(null());
        match left {
            CoroutineResult::Yield(wants) => Left::Wanting(self, wants),
            CoroutineResult::Return(promise) => {
                let mut stacks = STACKS.lock();
                if stacks.len() < KEPT {
                    stacks.push(self.0.into_stack());
                }
                Left::Done(promise)
            }
        }
    }

    /// Goes on in a thread of ours until it is done. What it asks for from here on, it waits
    /// for in the usual way.
    pub(crate) fn finish(self) {
        let mut next = self.enter();
        while let Left::Wanting(fiber, wants) = next {
            debug_assert!(
                matches!(wants, Wants::ThreadThatMayWait),
                "only a thread of the daemon is left with a question"
            );
            next = fiber.enter();
        }
    }
}

/// This thread is the daemon's, and may run fibers.
pub(crate) fn is_the_daemons() {
    DAEMONS.set(true);
    finesse_fuse::doors::hear_of_waits(wait_elsewhere);
}

/// Whether the caller is in a fiber that a thread of the daemon runs.
#[inline(never)]
pub(crate) fn is_in_daemons_thread() -> bool {
    DAEMONS.get() && !get_leave().is_null()
}

// Never inlined: whoever leaves a fiber may be in another thread afterwards, and must not
// have kept the address of this one's.

#[inline(never)]
fn get_leave() -> *const Leave {
    LEAVE.get()
}

#[inline(never)]
fn set_leave(leave: *const Leave) {
    LEAVE.set(leave);
}

/// Leaves the fiber with a question. Returns when the answer is there, maybe in another
/// thread.
#[inline(never)]
pub(crate) fn ask(message: Message, call: Arc<Call>) {
    leave(Wants::Answer(message, call));
}

/// Leaves the fiber, if the caller is in one that a thread of the daemon runs. Returns in a
/// thread that may wait.
#[inline(never)]
fn wait_elsewhere() {
    if is_in_daemons_thread() {
        leave(Wants::ThreadThatMayWait);
    }
}

#[inline(never)]
fn leave(wants: Wants) {
    let how = get_leave();
    debug_assert!(!how.is_null(), "only a fiber is left");
    // SAFETY: a pointer that is not null is the yielder of the fiber that this thread runs:
    // it was set when the fiber was entered, and is set to null when it is left. The yielder
    // lives on the fiber's stack as long as the fiber is not done.
    let leave = unsafe { &*how };
    leave.suspend(wants);
    // In the thread that has entered the fiber again.
    set_leave(how);
}
