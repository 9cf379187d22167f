//! Our own work inside a call of the daemon: not cancelled, not seen in errno, and no
//! panic leaves it.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

unsafe extern "C" {
    /// pthread_setcancelstate(3).
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
}

const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// Set by the first panic: from then on the library does nothing any more.
static BROKEN: AtomicBool = AtomicBool::new(false);

/// Does `work`, which calls nothing of libc that is a cancellation point, inside a call that
/// will succeed, and so may leave errno changed; `None` when it panics, or when something did
/// before.
pub(super) fn quickly<T>(work: impl FnOnce() -> T) -> Option<T> {
    if BROKEN.load(Ordering::Relaxed) {
        return None;
    }
    catch_unwind(AssertUnwindSafe(work))
        .inspect_err(|_| BROKEN.store(true, Ordering::Relaxed))
        .ok()
}

/// Does `work`; `None` when it panics, or when something did before.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    let errno = nix::errno::Errno::last_raw();
    let mut old = 0;
    // SAFETY: `old` is a valid place for the old state.
    unsafe {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &raw mut old);
    }
    let done = quickly(work);
    // SAFETY: the state is the one that was there before; no place for another is given.
    // No cancellation happens here: it is deferred until a cancellation point, which this
    // is not.
    unsafe {
        pthread_setcancelstate(old, null_mut());
    }
    nix::errno::Errno::set_raw(errno);
    done
}
