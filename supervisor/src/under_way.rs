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

/// A forwarded call, which may become a slow one.
#[derive(Debug)]
pub(crate) struct Call {
    connection: Arc<Connection>,
    posted: Instant,
    call: SlowCall,
}

impl Call {
    /// One that was posted just now.
    pub(crate) fn new(
        connection: Arc<Connection>,
        notification: Notification,
        pending: Pending,
        answer: Answer,
    ) -> Call {
        Call {
            connection,
            posted: Instant::now(),
            call: SlowCall {
                notification,
                pending,
                answer,
                is_interrupted: false,
            },
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn pending(&self) -> &Pending {
        &self.call.pending
    }

    /// How long ago it was posted.
    pub(crate) fn age(&self) -> Duration {
        self.posted.elapsed()
    }

    /// Whether there is a reply to collect, or will be none.
    pub(crate) fn is_over(&self) -> bool {
        self.connection.client().is_over(&self.call.pending)
    }

    /// Takes the reply and answers.
    pub(crate) fn collect(self, buffer: &mut Vec<u8>) {
        self.call.collect(self.connection.client(), buffer);
    }

    /// Leaves it to the thread that waits for slow calls.
    pub(crate) fn hand_over(self) {
        self.connection.hand_over(self.call);
    }
}

/// Those that no worker waits for now.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Oldest first.
    calls: VecDeque<Call>,
    /// Workers that finish them. There is one as long as there are calls.
    workers: usize,
}

impl UnderWay {
    /// More than these are not worth their slots: the file system is busy with the first.
    const MOST: usize = 8;

    /// A worker comes that will finish calls, its own first one among them.
    pub(crate) fn begin(&self, call: Call) {
        let mut state = self.0.lock();
        state.workers += 1;
        state.calls.push_back(call);
    }

    pub(crate) fn add(&self, call: Call) {
        self.0.lock().calls.push_back(call);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.lock().calls.len() >= Self::MOST
    }

    /// One that is over.
    pub(crate) fn over(&self) -> Option<Call> {
        self.0.lock().over()
    }

    /// One that is over, or else the oldest, for a worker that waits for it. With none left, the worker
    /// has gone.
    pub(crate) fn next(&self) -> Option<Call> {
        let mut state = self.0.lock();
        let next = state.over().or_else(|| state.calls.pop_front());
        if next.is_none() {
            state.workers -= 1;
        }
        next
    }

    /// A worker goes and leaves the calls to the others; false if there are none.
    pub(crate) fn leave_to_others(&self) -> bool {
        let mut state = self.0.lock();
        let others = state.workers > 1;
        state.workers -= usize::from(others);
        others
    }

    /// Leaves those that were posted longer ago to the threads that wait for slow calls.
    pub(crate) fn rescue(&self, longer: Duration) {
        loop {
            let is_late = |call: &mut Call| call.age() > longer;
            let Some(call) = self.0.lock().calls.pop_front_if(is_late) else {
                return;
            };
            call.hand_over();
        }
    }
}

impl State {
    fn over(&mut self) -> Option<Call> {
        let index = self.calls.iter().position(Call::is_over)?;
        self.calls.remove(index)
    }
}
