//! The bypass door's requests that the daemon has in hand.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use finesse_fuse::Errno;
use parking_lot::{Condvar, Mutex};

use crate::abi::MARK;

/// An answer: the body of a reply, or an errno.
pub(crate) type Answer = Result<Vec<u8>, Errno>;

/// One request, for whoever waits for its answer.
#[derive(Debug, Default)]
pub(crate) struct Call {
    answer: Mutex<Option<Answer>>,
    given: Condvar,
}

impl Call {
    /// Waits for the answer.
    pub(crate) fn wait(&self) -> Answer {
        let mut answer = self.answer.lock();
        loop {
            match answer.take() {
                Some(answer) => return answer,
                None => self.given.wait(&mut answer),
            }
        }
    }

    fn give(&self, answer: Answer) {
        *self.answer.lock() = Some(answer);
        self.given.notify_one();
    }
}

/// All of them, by number.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    next: AtomicU64,
    /// None: the session is over.
    under_way: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    calls: HashMap<u64, Arc<Call>>,
    over: bool,
}

impl Calls {
    /// A number for a request that is not answered.
    pub(crate) fn number(&self) -> u64 {
        // By twos, as the kernel's: odd ones are its interrupts.
        MARK | self.next.fetch_add(2, Ordering::Relaxed) & (MARK - 1)
    }

    /// A number for a request, and where its answer will be. `None`: it is over.
    pub(crate) fn begin(&self) -> Option<(u64, Arc<Call>)> {
        let unique = self.number();
        let call = Arc::<Call>::default();
        let mut open = self.under_way.lock();
        if open.over {
            return None;
        }
        open.calls.insert(unique, Arc::clone(&call));
        Some((unique, call))
    }

    /// The daemon answered. A second answer, or one to nothing, changes nothing.
    pub(crate) fn answer(&self, unique: u64, answer: Answer) {
        let call = self.under_way.lock().calls.remove(&unique);
        if let Some(call) = call {
            call.give(answer);
        }
    }

    /// The daemon will answer no more.
    pub(crate) fn end(&self) {
        let mut open = self.under_way.lock();
        open.over = true;
        let calls = std::mem::take(&mut open.calls);
        drop(open);
        for call in calls.into_values() {
            call.give(Err(Errno::ENOTCONN));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reaches_its_request_once() {
        let calls = Calls::default();
        let (a, first) = calls.begin().unwrap();
        let (b, second) = calls.begin().unwrap();
        assert!(a != b && a & b & MARK != 0 && (a | b) & 1 == 0);
        calls.answer(b, Ok(vec![2]));
        calls.answer(a, Err(Errno::ENOENT));
        calls.answer(a, Ok(vec![3]));
        assert_eq!(first.wait(), Err(Errno::ENOENT));
        assert_eq!(second.wait(), Ok(vec![2]));
    }

    #[test]
    fn the_end_answers_everything() {
        let calls = Calls::default();
        let (_, call) = calls.begin().unwrap();
        calls.end();
        assert_eq!(call.wait(), Err(Errno::ENOTCONN));
        assert!(calls.begin().is_none());
    }
}
