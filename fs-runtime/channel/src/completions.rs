//! The counter that one client thread sleeps on while it waits for several slots.

use std::time::Duration;

use crate::futex::{self, Wake};
use crate::sync::{AtomicU32, Ordering};

/// One word of the header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completions<'m>(pub(crate) &'m AtomicU32);

impl Completions<'_> {
    /// To be read before looking at the slots.
    pub(crate) fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    /// Sleeps until the counter may differ from `seen`.
    pub(crate) fn sleep(&self, seen: u32, timeout: Option<Duration>) {
        futex::wait(self.0, seen, timeout);
    }

    /// Counts one more and wakes whoever sleeps.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        futex::wake(self.0, Wake::All);
    }
}
