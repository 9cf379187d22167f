//! The end of one side's waiting, which the peer cannot hold up.
//!
//! The words that threads sleep on lie in shared memory: a peer that keeps rewriting one
//! could hide a last wake-up. So the sleepers are also counted in private memory, and
//! whoever ends the waiting wakes them until none is left.

use crate::sync::{AtomicU32, Ordering, pause};

const OVER: u32 = 1 << 31;

/// Whether the end has come, in the highest bit; below it, the threads that sleep or are
/// about to. One word, so that a sleeper and the end see each other in some order.
#[derive(Debug)]
pub(crate) struct End(AtomicU32);

impl End {
    pub(crate) fn new() -> Self {
        End(AtomicU32::new(0))
    }

    pub(crate) fn has_come(&self) -> bool {
        self.0.load(Ordering::Acquire) & OVER != 0
    }

    /// Calls `sleep`, unless the end has come.
    pub(crate) fn sleep(&self, sleep: impl FnOnce()) {
        // Pairs with the read-modify-write in `come`: the first of the two is seen.
        if self.0.fetch_add(1, Ordering::AcqRel) & OVER == 0 {
            sleep();
        }
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// Brings the end: returns when nobody sleeps any more. `wake` wakes all who do.
    pub(crate) fn come(&self, wake: impl Fn()) {
        self.0.fetch_or(OVER, Ordering::AcqRel);
        loop {
            // At least once: a waiter may sleep on something that is not counted here.
            wake();
            if self.0.load(Ordering::Acquire) & !OVER == 0 {
                return;
            }
            pause();
        }
    }
}
