//! Where the bypass door waits for an answer of the file system.

use std::sync::Arc;

use fuser::Errno;
use parking_lot::{Condvar, Mutex};

/// A place for one answer. An answer given before [`Slot::wait`], which is the rule for
/// file systems that answer in the calling thread, wakes nobody.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    answer: Mutex<Option<Result<T, Errno>>>,
    given: Condvar,
}

impl<T> Slot<T> {
    /// Asks by `ask`, which must let the answer be given or dropped, and waits for it.
    pub(crate) fn ask(unique: u64, ask: impl FnOnce(Answer<T>)) -> Result<T, Errno> {
        let slot = Arc::new(Slot {
            answer: Mutex::new(None),
            given: Condvar::new(),
        });
        ask(Answer {
            slot: Some(Arc::clone(&slot)),
            unique,
        });
        slot.wait()
    }

    fn wait(&self) -> Result<T, Errno> {
        let mut answer = self.answer.lock();
        loop {
            match answer.take() {
                Some(answer) => return answer,
                None => self.given.wait(&mut answer),
            }
        }
    }
}

/// The right, and duty, to answer once.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    slot: Option<Arc<Slot<T>>>,
    unique: u64,
}

impl<T> Answer<T> {
    pub(crate) fn give(mut self, answer: Result<T, Errno>) {
        self.put(answer);
    }

    fn put(&mut self, answer: Result<T, Errno>) {
        if let Some(slot) = self.slot.take() {
            *slot.answer.lock() = Some(answer);
            slot.given.notify_one();
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if self.slot.is_some() {
            log::warn!(
                "Reply not sent for operation {}, replying with I/O error",
                self.unique
            );
            self.put(Err(Errno::EIO));
        }
    }
}
