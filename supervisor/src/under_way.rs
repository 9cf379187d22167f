//! Calls that were forwarded and wait for their replies, while the worker that forwarded them
//! serves others.
//!
//! They belong to nobody: whichever worker has time finishes the oldest. Should it be held up with the
//! next call, in a page fault on the target's memory that waits for one of these perhaps, the watchdog
//! finds them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use finesse_channel::Pending;
use finesse_notify::Notification;
use parking_lot::Mutex;

use crate::answer::Answer;
use crate::connection::Connection;
use crate::slow::SlowCall;

/// A forwarded call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) connection: Arc<Connection>,
    pub(crate) notification: Notification,
    pub(crate) pending: Pending,
    pub(crate) answer: Answer,
    pub(crate) posted: Instant,
}

impl Call {
    /// Whether there is a reply to collect, or will be none.
    pub(crate) fn is_over(&self) -> bool {
        self.connection.client().is_over(&self.pending)
    }

    /// Takes the reply and answers.
    pub(crate) fn collect(self, buffer: &mut Vec<u8>) {
        let client = self.connection.client();
        self.answer
            .collect(client, self.notification, self.pending, buffer);
    }

    /// Leaves it to the thread that waits for slow calls.
    pub(crate) fn hand_over(self) {
        self.connection.hand_over(SlowCall {
            notification: self.notification,
            pending: self.pending,
            answer: self.answer,
            is_interrupted: false,
        });
    }
}

/// Those that no worker waits for now, oldest first.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<VecDeque<Call>>);

impl UnderWay {
    /// More than these are not worth their slots: the file system is busy with the first.
    const MOST: usize = 8;

    pub(crate) fn is_full(&self) -> bool {
        self.0.lock().len() >= Self::MOST
    }

    pub(crate) fn add(&self, call: Call) {
        self.0.lock().push_back(call);
    }

    /// The oldest, for whoever waits for it.
    pub(crate) fn oldest(&self) -> Option<Call> {
        self.0.lock().pop_front()
    }

    /// The oldest, if it is over.
    pub(crate) fn over(&self) -> Option<Call> {
        self.0.lock().pop_front_if(|call| call.is_over())
    }

    /// Leaves those that were posted longer ago to the threads that wait for slow calls.
    pub(crate) fn rescue(&self, longer: Duration) {
        loop {
            let is_late = |call: &mut Call| call.posted.elapsed() > longer;
            let Some(call) = self.0.lock().pop_front_if(is_late) else {
                return;
            };
            call.hand_over();
        }
    }
}
