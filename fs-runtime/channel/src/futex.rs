//! Sleeping on a word of shared memory (futex(2), not private: two processes share it).

/// How many sleepers to wake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wake {
    One,
    All,
}

#[cfg(loom)]
pub(crate) use model::{wait, wake};
#[cfg(not(loom))]
pub(crate) use system::{wait, wake};

#[cfg(not(loom))]
mod system {
    use std::time::Duration;

    use rustix::thread::futex::{self, Flags, Timespec};

    use super::Wake;
    use crate::sync::AtomicU32;

    /// Sleeps while `word` holds `expected`, until a wake-up or for `timeout` at most. May
    /// return early; callers check their condition again.
    pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
        let timeout = timeout.map(|t| Timespec {
            tv_sec: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(t.subsec_nanos()),
        });
        // Every outcome (woken, EAGAIN, EINTR, ETIMEDOUT) means the same: look again.
        let _ = futex::wait(word, Flags::empty(), expected, timeout.as_ref());
    }

    /// Wakes sleepers on `word`.
    pub(crate) fn wake(word: &AtomicU32, whom: Wake) {
        let count = match whom {
            Wake::One => 1,
            // The kernel counts with an int.
            Wake::All => i32::MAX.cast_unsigned(),
        };
        let _ = futex::wake(word, Flags::empty(), count);
    }
}

/// A futex for the model checker: compare and queue are one step, as under the kernel's
/// bucket lock, and the longest sleeper wakes first. Time-outs never come, so a lost
/// wake-up shows as a deadlock.
#[cfg(loom)]
mod model {
    use std::time::Duration;

    use loom::sync::{Condvar, Mutex};

    use super::Wake;
    use crate::sync::{AtomicU32, Ordering};

    #[derive(Default)]
    struct Queue {
        /// Which word, and which sleep.
        asleep: Vec<(usize, u64)>,
        sleeps: u64,
    }

    loom::lazy_static! {
        static ref QUEUE: Mutex<Queue> = Mutex::new(Queue::default());
        static ref CHANGED: Condvar = Condvar::new();
    }

    pub(crate) fn wait(word: &AtomicU32, expected: u32, _timeout: Option<Duration>) {
        let mut queue = QUEUE.lock().unwrap();
        if word.load(Ordering::SeqCst) != expected {
            return;
        }
        queue.sleeps += 1;
        let me = (address(word), queue.sleeps);
        queue.asleep.push(me);
        while queue.asleep.contains(&me) {
            queue = CHANGED.wait(queue).unwrap();
        }
    }

    pub(crate) fn wake(word: &AtomicU32, whom: Wake) {
        let mut queue = QUEUE.lock().unwrap();
        let before = queue.asleep.len();
        match whom {
            Wake::All => queue.asleep.retain(|(w, _)| *w != address(word)),
            Wake::One => {
                if let Some(i) = queue.asleep.iter().position(|(w, _)| *w == address(word)) {
                    queue.asleep.remove(i);
                }
            }
        }
        if queue.asleep.len() != before {
            CHANGED.notify_all();
        }
    }

    fn address(word: &AtomicU32) -> usize {
        std::ptr::from_ref(word).addr()
    }
}
