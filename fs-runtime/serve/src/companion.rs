//! The thread that takes over what a thread of the daemon must not wait for.
//!
//! To wake a thread on another CPU takes some ten times as long as to switch to one on the
//! same CPU. So this one is kept on the CPU of whoever hands something over, and that one
//! sleeps meanwhile: it is woken in the same way once the errand is done, to look for the next
//! request.

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Condvar, Mutex};
use rustix::thread::{CpuSet, Pid, gettid, sched_getcpu, sched_setaffinity};

use crate::session::Session;
use crate::threads;
use crate::ushers::Errand;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Companion(Arc<Desk>);

/// What the thread shares with those who hand over.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    come: Condvar,
    /// The thread's id, once it runs. Relaxed, as the CPU: only hints.
    thread: AtomicI32,
    /// The CPU that it is kept on, plus one.
    cpu: AtomicU32,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

#[derive(Default)]
enum State {
    /// There is no thread.
    #[default]
    Absent,
    Idle,
    Given(Errand),
    Busy,
    Over,
}

impl Companion {
    /// Has `errand` done at once, or gives it back. The caller is to sleep; it is nudged
    /// afterwards ([`crate::mailbox::Mailbox::nudge`]).
    pub(crate) fn hand_over(&self, session: &Arc<Session>, errand: Errand) -> Result<(), Errand> {
        let desk = &self.0;
        let mut state = desk.state.lock();
        match &*state {
            State::Absent => {
                let (desk, session) = (Arc::clone(desk), Arc::downgrade(session));
                let run = move || desk.serve(&session);
                if threads::spawn("finesse-companion", run).is_err() {
                    return Err(errand);
                }
            }
            State::Idle => {}
            State::Given(_) | State::Busy | State::Over => return Err(errand),
        }
        *state = State::Given(errand);
        drop(state);
        desk.draw_near();
        desk.come.notify_one();
        Ok(())
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        *self.0.state.lock() = State::Over;
        self.0.come.notify_one();
    }
}

impl Desk {
    /// Keeps the thread on the caller's CPU.
    fn draw_near(&self) {
        let cpu = sched_getcpu();
        let here = u32::try_from(cpu).map_or(0, |cpu| cpu + 1);
        let thread = Pid::from_raw(self.thread.load(Ordering::Relaxed));
        if thread.is_none() || self.cpu.swap(here, Ordering::Relaxed) == here {
            return;
        }
        let mut only = CpuSet::new();
        only.set(cpu);
        // Where it cannot be, it is slower.
        let _ = sched_setaffinity(thread, &only);
    }

    fn is_idle(&self) {
        let mut state = self.state.lock();
        if matches!(*state, State::Busy) {
            *state = State::Idle;
        }
    }

    fn serve(&self, session: &Weak<Session>) {
        let thread = gettid().as_raw_nonzero().get();
        self.thread.store(thread, Ordering::Relaxed);
        let mut state = self.state.lock();
        loop {
            match std::mem::replace(&mut *state, State::Busy) {
                State::Given(errand) => {
                    drop(state);
                    let Some(session) = session.upgrade() else {
                        return;
                    };
                    errand(&session);
                    self.is_idle();
                    session.post.mailbox.nudge();
                    // This may be its end, which locks the state.
                    drop(session);
                    state = self.state.lock();
                }
                State::Over => return,
                // Woken for nothing.
                other => {
                    *state = other;
                    self.come.wait(&mut state);
                }
            }
        }
    }
}
