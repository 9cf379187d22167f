//! Where a thread of the bypass door is about to wait for something that may take long: a
//! gate, or the kernel's taking of a notification.
//!
//! Who serves requests in threads that must not wait (`finesse-serve` does, in those of a
//! daemon) hears of it here and goes on in another thread.

use std::cell::Cell;

thread_local! {
    static HEAR: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// `hear` is called in this thread from now on before it waits, with no lock held. It may
/// return in another thread.
pub fn hear_of_waits(hear: fn()) {
    HEAR.set(Some(hear));
}

/// Called before a wait.
///
/// Never inlined: a caller must not keep the address of anything that is the thread's own
/// across the call.
#[inline(never)]
pub(crate) fn about_to_wait() {
    if let Some(hear) = HEAR.get() {
        hear();
    }
}
