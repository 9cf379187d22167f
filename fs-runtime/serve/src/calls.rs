//! The bypass door's requests that the daemon has in hand.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use finesse_fuse::Errno;
use parking_lot::{Condvar, Mutex};

use crate::abi::MARK;
use crate::fiber::Fiber;

/// An answer: the body of a reply, or an errno.
pub(crate) type Answer = Result<Vec<u8>, Errno>;

/// One request, for whoever waits for its answer: a thread, or a fiber.
#[derive(Debug, Default)]
pub(crate) struct Call {
    state: Mutex<Waiting>,
    given: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    answer: Option<Answer>,
    fiber: Option<Fiber>,
}

impl Call {
    /// Waits for the answer.
    pub(crate) fn wait(&self) -> Answer {
        let mut state = self.state.lock();
        loop {
            match state.answer.take() {
                Some(answer) => return answer,
                None => self.given.wait(&mut state),
            }
        }
    }

    /// The fiber that asked waits here; it comes back at once when the answer is there.
    pub(crate) fn park(&self, fiber: Fiber) -> Option<Fiber> {
        let mut state = self.state.lock();
        if state.answer.is_some() {
            return Some(fiber);
        }
        state.fiber = Some(fiber);
        None
    }

    /// Returns the fiber that has waited.
    fn give(&self, answer: Answer) -> Option<Fiber> {
        let mut state = self.state.lock();
        state.answer = Some(answer);
        self.given.notify_one();
        state.fiber.take()
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

    /// The daemon answered. A second answer, or one to nothing, changes nothing. Returns
    /// the fiber that has waited for it.
    pub(crate) fn answer(&self, unique: u64, answer: Answer) -> Option<Fiber> {
        let call = self.under_way.lock().calls.remove(&unique)?;
        call.give(answer)
    }

    /// The daemon will answer no more. Returns the fibers that have waited.
    pub(crate) fn end(&self) -> Vec<Fiber> {
        let mut open = self.under_way.lock();
        open.over = true;
        let calls = std::mem::take(&mut open.calls);
        drop(open);
        let give = |call: Arc<Call>| call.give(Err(Errno::ENOTCONN));
        calls.into_values().filter_map(give).collect()
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
        for (unique, answer) in [(b, Ok(vec![2])), (a, Err(Errno::ENOENT)), (a, Ok(vec![3]))] {
            assert!(calls.answer(unique, answer).is_none());
        }
        assert_eq!(first.wait(), Err(Errno::ENOENT));
        assert_eq!(second.wait(), Ok(vec![2]));
    }

    #[test]
    fn the_end_answers_everything() {
        let calls = Calls::default();
        let (_, call) = calls.begin().unwrap();
        assert!(calls.end().is_empty());
        assert_eq!(call.wait(), Err(Errno::ENOTCONN));
        assert!(calls.begin().is_none());
    }
}
