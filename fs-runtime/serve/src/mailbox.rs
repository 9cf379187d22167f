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
use crate::mode::Counted;
use crate::waiter::Waiter;

/// What lies in the mailbox.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) message: Message,
    /// Of a request of the kernel: that it is set aside.
    #[allow(dead_code)] // Held for its drop.
    pub(crate) aside: Option<Counted>,
}

impl From<Message> for Parcel {
    fn from(message: Message) -> Self {
        Parcel {
            message,
            aside: None,
        }
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
    closed: bool,
}

impl Mailbox {
    /// Puts a message; false when nobody will take it any more.
    pub(crate) fn put(&self, message: impl Into<Parcel>) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        state.messages.push_back(message.into());
        self.waiting.store(state.messages.len(), Ordering::Relaxed);
        let woken = state.idle.pop();
        drop(state);
        if let Some(waiter) = woken {
            waiter.wake();
        }
        true
    }

    /// The oldest message. Another thread is woken for what is left.
    pub(crate) fn take(&self) -> Option<Parcel> {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut state = self.state.lock();
        let message = state.messages.pop_front();
        self.waiting.store(state.messages.len(), Ordering::Relaxed);
        let woken = self.another(&mut state);
        drop(state);
        if let Some(waiter) = woken {
            waiter.wake();
        }
        message
    }

    /// Declares a thread idle; false when there is a message to take instead.
    pub(crate) fn rest(&self, waiter: &Arc<Waiter>) -> bool {
        let mut state = self.state.lock();
        if !state.messages.is_empty() || state.closed {
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

    /// No message is taken any more, and those who sleep wake up.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.messages.clear();
        self.waiting.store(0, Ordering::Relaxed);
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        idle.iter().for_each(|waiter| waiter.wake());
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
        let nobody = Caller {
            uid: 0,
            gid: 0,
            pid: 0,
        };
        Message::new(opcode::FORGET, node, nobody)
    }

    fn woken(waiter: &Waiter) -> bool {
        waiter.settle()
    }

    #[test]
    fn who_fell_asleep_last_is_woken_first() {
        let mailbox = Mailbox::default();
        let [first, last] = [(); 2].map(|()| Arc::new(Waiter::new().unwrap()));
        assert!(mailbox.rest(&first) && mailbox.rest(&last));
        assert!(mailbox.put(message(1)));
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
        mailbox.put(message(1));
        mailbox.rise(&last, false);
        assert!(woken(&first));
    }

    #[test]
    fn taking_one_of_two_wakes_another() {
        let mailbox = Mailbox::default();
        mailbox.put(message(1));
        mailbox.put(message(2));
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
        mailbox.close();
        assert!(woken(&waiter));
        assert!(!mailbox.put(message(1)) && mailbox.take().is_none());
    }
}
