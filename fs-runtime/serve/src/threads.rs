//! Threads of ours in the daemon's process.
#![allow(unsafe_code)]

use std::io;
use std::mem::zeroed;
use std::thread::{Builder, JoinHandle};

/// Runs `make` with all signals blocked, so that threads made there never take one that
/// is meant for the daemon.
pub(crate) fn without_signals<T>(make: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are written before they are read: one by sigfillset, the other by
    // pthread_sigmask, which cannot fail with SIG_SETMASK.
    let old = unsafe {
        let (mut all, mut old): (libc::sigset_t, libc::sigset_t) = (zeroed(), zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut old);
        old
    };
    let made = make();
    // SAFETY: `old` is the mask from above.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const old, std::ptr::null_mut());
    }
    made
}

/// A thread that takes no signals.
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    without_signals(|| Builder::new().name(name.to_owned()).spawn(run))
}
