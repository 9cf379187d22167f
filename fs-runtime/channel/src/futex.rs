//! Sleeping on a word of shared memory (futex(2), not private: two processes share it).

use std::time::Duration;

use crate::sync::AtomicU32;

/// Sleeps while `word` holds `expected`, until a wake-up or for `timeout` at most. May
/// return early; callers check their condition again.
#[cfg(not(loom))]
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    use rustix::thread::futex::{Flags, Timespec, wait};
    let timeout = timeout.map(|t| Timespec {
        tv_sec: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(t.subsec_nanos()),
    });
    // Every outcome (woken, EAGAIN, EINTR, ETIMEDOUT) means the same: look again.
    let _ = wait(word, Flags::empty(), expected, timeout.as_ref());
}

/// Wakes at most `count` sleepers on `word`.
#[cfg(not(loom))]
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    use rustix::thread::futex::{Flags, wake};
    let _ = wake(word, Flags::empty(), count);
}

/// A futex for the model checker: compare and sleep are one step, as in the kernel.
#[cfg(loom)]
mod model {
    use loom::sync::{Condvar, Mutex};

    loom::lazy_static! {
        pub(super) static ref BUCKET: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
    }
}

#[cfg(loom)]
pub(crate) fn wait(word: &AtomicU32, expected: u32, _timeout: Option<Duration>) {
    let (lock, condvar) = &*model::BUCKET;
    let guard = lock.lock().unwrap();
    if word.load(crate::sync::Ordering::SeqCst) == expected {
        drop(condvar.wait(guard).unwrap());
    }
}

#[cfg(loom)]
pub(crate) fn wake(_word: &AtomicU32, _count: u32) {
    let (lock, condvar) = &*model::BUCKET;
    let _guard = lock.lock().unwrap();
    condvar.notify_all();
}
