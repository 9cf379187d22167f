//! The bypass door's requests that the daemon has in hand.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use finesse_fuse::Errno;
use finesse_fuse::doors::CallId;
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
    calls: HashMap<u64, (Arc<Call>, CallId)>,
    /// Those for whose callers a signal has come, until they are over: all that they ask
    /// may end early.
    interrupted: HashSet<CallId>,
    over: bool,
}

/// A request that the daemon is about to be asked.
#[derive(Debug)]
pub(crate) struct Begun {
    /// Its number.
    pub(crate) unique: u64,
    /// Where its answer will be.
    pub(crate) call: Arc<Call>,
    /// Whether it may end early.
    pub(crate) is_interrupted: bool,
}

impl Calls {
    /// A number for a request that is not answered.
    pub(crate) fn number(&self) -> u64 {
        // By twos, as the kernel's: odd ones are its interrupts.
        MARK | self.next.fetch_add(2, Ordering::Relaxed) & (MARK - 1)
    }

    /// A request that is part of `part_of`. `None`: the session is over.
    pub(crate) fn begin(&self, part_of: CallId) -> Option<Begun> {
        let unique = self.number();
        let call = Arc::<Call>::default();
        let mut open = self.under_way.lock();
        if open.over {
            return None;
        }
        open.calls.insert(unique, (Arc::clone(&call), part_of));
        Some(Begun {
            unique,
            call,
            is_interrupted: open.interrupted.contains(&part_of),
        })
    }

    /// What `part_of` asks may end early from now on. Returns the number of what it asks now,
    /// once.
    pub(crate) fn interrupt(&self, part_of: CallId) -> Option<u64> {
        let mut open = self.under_way.lock();
        if !open.interrupted.insert(part_of) {
            return None;
        }
        let mut calls = open.calls.iter();
        // A walk asks one thing after the other.
        let asked = calls.find(|(_, (_, whose))| *whose == part_of);
        asked.map(|(unique, _)| *unique)
    }

    /// Nothing more is asked for `part_of`.
    pub(crate) fn is_over(&self, part_of: CallId) {
        let mut open = self.under_way.lock();
        if !open.interrupted.is_empty() {
            open.interrupted.remove(&part_of);
        }
    }

    /// Whether the daemon has not answered that request yet.
    pub(crate) fn has(&self, unique: u64) -> bool {
        self.under_way.lock().calls.contains_key(&unique)
    }

    /// The daemon answered. A second answer, or one to nothing, changes nothing. Returns
    /// the fiber that has waited for it.
    pub(crate) fn answer(&self, unique: u64, answer: Answer) -> Option<Fiber> {
        let (call, _) = self.under_way.lock().calls.remove(&unique)?;
        call.give(answer)
    }

    /// The daemon will answer no more. Returns the fibers that have waited.
    pub(crate) fn end(&self) -> Vec<Fiber> {
        let mut open = self.under_way.lock();
        open.over = true;
        let calls = std::mem::take(&mut open.calls);
        drop(open);
        let give = |(call, _): (Arc<Call>, CallId)| call.give(Err(Errno::ENOTCONN));
        calls.into_values().filter_map(give).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reaches_its_request_once() {
        let calls = Calls::default();
        let [first, second] = [(); 2].map(|()| calls.begin(CallId::NONE).unwrap());
        let (a, b) = (first.unique, second.unique);
        assert!(a != b && a & b & MARK != 0 && (a | b) & 1 == 0);
        for (unique, answer) in [(b, Ok(vec![2])), (a, Err(Errno::ENOENT)), (a, Ok(vec![3]))] {
            assert!(calls.answer(unique, answer).is_none());
        }
        assert_eq!(first.call.wait(), Err(Errno::ENOENT));
        assert_eq!(second.call.wait(), Ok(vec![2]));
    }

    #[test]
    fn the_end_answers_everything() {
        let calls = Calls::default();
        let begun = calls.begin(CallId::NONE).unwrap();
        assert!(calls.end().is_empty());
        assert_eq!(begun.call.wait(), Err(Errno::ENOTCONN));
        assert!(calls.begin(CallId::NONE).is_none());
    }

    #[test]
    fn a_signal_concerns_all_that_a_call_asks_until_it_is_over() {
        let calls = Calls::default();
        let (one, other) = (CallId(1), CallId(2));
        let asked = calls.begin(one).unwrap();
        calls.begin(other).unwrap();
        assert!(!asked.is_interrupted);
        assert_eq!(calls.interrupt(one), Some(asked.unique));
        assert_eq!(calls.interrupt(one), None, "it was told already");
        assert!(calls.answer(asked.unique, Ok(vec![])).is_none());
        assert!(!calls.has(asked.unique));
        assert!(calls.begin(one).unwrap().is_interrupted);
        assert!(!calls.begin(other).unwrap().is_interrupted);
        calls.is_over(one);
        assert!(!calls.begin(one).unwrap().is_interrupted);
    }
}
