//! Messages for the daemon's threads, which take them in their reads of /dev/fuse.
//!
//! A thread that finds nothing registers as idle and sleeps on its own eventfd and on
//! /dev/fuse at once. A message wakes the one that fell asleep last, whose caches are
//! warm. No wake-up is lost: messages are put and idleness is declared under one lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::abi::Message;
use crate::fiber::Fiber;
use crate::mode::Counted;
use crate::waiter::Waiter;

/// What lies in the mailbox.
#[derive(Debug)]
pub(crate) enum Parcel {
    /// A request of the bypass door.
    Message(Message),
    /// A request of the kernel, which was set aside.
    Aside(Message, #[allow(dead_code)] Counted),
    /// A fiber that has its answer.
    Fiber(Fiber),
    /// The news that a request of the bypass door, of that number, may end early.
    Interrupt(u64),
}

impl From<Message> for Parcel {
    fn from(message: Message) -> Self {
        Parcel::Message(message)
    }
}

impl From<Fiber> for Parcel {
    fn from(fiber: Fiber) -> Self {
        Parcel::Fiber(fiber)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    /// Number of messages, for a look without the lock. Only a hint; relaxed.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Parcel>,
    idle: Vec<Arc<Waiter>>,
    /// Nobody was asleep to be nudged: whoever falls asleep next is.
    nudged: bool,
    closed: bool,
}

impl Mailbox {
    /// Puts a message; gives it back when nobody will take it any more.
    pub(crate) fn put(&self, parcel: impl Into<Parcel>) -> Result<(), Parcel> {
        self.put_and(parcel.into(), true)
    }

    /// The same by a thread that will take it soon itself: nobody is woken.
    pub(crate) fn put_for_me(&self, parcel: impl Into<Parcel>) -> Result<(), Parcel> {
        self.put_and(parcel.into(), false)
    }

    fn put_and(&self, parcel: Parcel, wake: bool) -> Result<(), Parcel> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(parcel);
        }
        state.messages.push_back(parcel);
        self.waiting.store(state.messages.len(), Ordering::Relaxed);
        let woken = if wake { state.idle.pop() } else { None };
        drop(state);
        if let Some(waiter) = woken {
            waiter.wake();
        }
        Ok(())
    }

    /// Wakes the thread that fell asleep last, or falls asleep next, to look for requests
    /// itself.
    pub(crate) fn nudge(&self) {
        let mut state = self.state.lock();
        let woken = state.idle.pop();
        state.nudged = woken.is_none();
        drop(state);
        if let Some(waiter) = woken {
            waiter.wake_to_watch();
        }
    }

    /// Whether there may be something to take. Only a hint.
    pub(crate) fn has_some(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != 0
    }

    /// The oldest message. Another thread is woken for what is left.
    pub(crate) fn take(&self) -> Option<Parcel> {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut state = self.state.lock();
        let parcel = state.messages.pop_front();
        self.waiting.store(state.messages.len(), Ordering::Relaxed);
        let woken = self.another(&mut state);
        drop(state);
        if let Some(waiter) = woken {
            waiter.wake();
        }
        parcel
    }

    /// Declares a thread idle; false when there is a message to take instead, or it is to look
    /// for requests.
    pub(crate) fn rest(&self, waiter: &Arc<Waiter>) -> bool {
        let mut state = self.state.lock();
        if !state.messages.is_empty() || state.closed {
            return false;
        }
        if std::mem::take(&mut state.nudged) {
            waiter.watches_next();
            return false;
        }
        state.idle.push(Arc::clone(waiter));
        true
    }

    /// The thread is awake, or gone: it is not to be woken. If it was, and goes on to
    /// something else, the message is for another.
    pub(crate) fn rise(&self, waiter: &Arc<Waiter>, takes_messages: bool) {
        let mut state = self.state.lock();
        state.idle.retain(|idle| !Arc::ptr_eq(idle, waiter));
        let woken = if takes_messages {
            None
        } else {
            self.another(&mut state)
        };
        drop(state);
        if let Some(waiter) = woken {
            waiter.wake();
        }
    }

    /// Whether there will be no message any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// No message is taken any more, and those who sleep wake up. Returns what was not taken.
    pub(crate) fn close(&self) -> Vec<Parcel> {
        let mut state = self.state.lock();
        state.closed = true;
        let left = std::mem::take(&mut state.messages);
        self.waiting.store(0, Ordering::Relaxed);
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        idle.iter().for_each(|waiter| waiter.wake());
        left.into()
    }

    fn another(&self, state: &mut State) -> Option<Arc<Waiter>> {
        if state.messages.is_empty() {
            return None;
        }
        state.idle.pop()
    }
}

#[cfg(test)]
mod tests {
    use finesse_fuse::doors::Caller;

    use super::*;
    use crate::abi::opcode;

    fn message(node: u64) -> Message {
        Message::new(opcode::FORGET, node, Caller::NOBODY)
    }

    fn woken(waiter: &Waiter) -> bool {
        waiter.settle()
    }

    #[test]
    fn who_fell_asleep_last_is_woken_first() {
        let mailbox = Mailbox::default();
        let [first, last] = [(); 2].map(|()| Arc::new(Waiter::new().unwrap()));
        assert!(mailbox.rest(&first) && mailbox.rest(&last));
        assert!(mailbox.put(message(1)).is_ok());
        assert!(!woken(&first) && woken(&last));
        assert!(!mailbox.rest(&last), "there is something to take");
        assert!(mailbox.take().is_some() && mailbox.take().is_none());
        assert!(mailbox.rest(&last));
    }

    #[test]
    fn a_message_is_not_stranded_with_a_thread_that_went_away() {
        let mailbox = Mailbox::default();
        let [first, last] = [(); 2].map(|()| Arc::new(Waiter::new().unwrap()));
        assert!(mailbox.rest(&first) && mailbox.rest(&last));
        assert!(mailbox.put(message(1)).is_ok());
        mailbox.rise(&last, false);
        assert!(woken(&first));
    }

    #[test]
    fn a_nudge_that_finds_nobody_asleep_is_for_the_next() {
        let mailbox = Mailbox::default();
        let waiter = Arc::new(Waiter::new().unwrap());
        mailbox.nudge();
        assert!(!mailbox.rest(&waiter) && waiter.takes_to_watching());
        assert!(mailbox.rest(&waiter), "it was for once");
        mailbox.nudge();
        assert!(woken(&waiter) && waiter.takes_to_watching());
        assert!(mailbox.rest(&waiter), "and this one was not kept");
    }

    #[test]
    fn taking_one_of_two_wakes_another() {
        let mailbox = Mailbox::default();
        assert!(mailbox.put(message(1)).is_ok() && mailbox.put(message(2)).is_ok());
        let waiter = Arc::new(Waiter::new().unwrap());
        assert!(!mailbox.rest(&waiter));
        mailbox.state.lock().idle.push(Arc::clone(&waiter));
        assert!(mailbox.take().is_some());
        assert!(woken(&waiter));
    }

    #[test]
    fn nothing_is_put_after_the_end() {
        let mailbox = Mailbox::default();
        let waiter = Arc::new(Waiter::new().unwrap());
        assert!(mailbox.rest(&waiter));
        assert!(mailbox.close().is_empty());
        assert!(woken(&waiter));
        assert!(mailbox.put(message(1)).is_err() && mailbox.take().is_none());
    }
}
