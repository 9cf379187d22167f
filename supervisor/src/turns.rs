//! Whose turn it is to receive.
//!
//! The kernel wakes every thread that waits for a notification, for each notification
//! (`recv_wait_event`, kernel/seccomp.c), and one that wakes for nothing costs as much as
//! the call. So one worker receives and serves, again and again, and the others are
//! parked. A worker that is held up steps aside for a parked one. When calls come from
//! several threads at once, two workers receive where there are four CPUs: a call keeps two
//! busy, one that serves it and one that watches for the reply, and with more calls under
//! way than that, CPUs have to be woken for each.
//!
//! A worker may be held up where it cannot tell, in a page fault on the target's memory
//! for instance. A watchdog looks for that, every few milliseconds while there are calls
//! and not at all while there are none.

use std::cell::LazyCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How long a worker may be held up before another one receives.
const TICK: Duration = Duration::from_millis(5);
/// Ticks without a call after which the watchdog sleeps.
const QUIET: u32 = 4;
/// Calls that say whether calls come from several threads at once, less the older they are.
const WINDOW: u32 = 16;
/// Most workers that receive at once: each but one is woken for nothing.
const RECEIVERS: usize = 2;

/// The turns of all workers.
#[derive(Debug)]
pub(crate) struct Turns {
    seats: Mutex<Seats>,
    parked: Condvar,
    /// Notifications received.
    received: AtomicU64,
    last_tid: AtomicU32,
    /// How many of the last calls came from another thread than the one before, as [`Turns::is_crowded`]
    /// weighs them. Relaxed: a hint.
    mixed: AtomicU32,
    /// The watchdog sleeps without end.
    watchdog_sleeps: AtomicBool,
    watchdog: Condvar,
    alarm: Mutex<()>,
}

#[derive(Debug)]
struct Seats {
    /// Workers that receive.
    receiving: usize,
    /// How many shall.
    wanted: usize,
    /// Workers that wait for a turn.
    waiting: usize,
    /// A worker takes a call that waits already, and would be held up if another one took it.
    is_taking: bool,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Turns {
            seats: Mutex::new(Seats {
                receiving: 0,
                wanted: 1,
                waiting: 0,
                is_taking: false,
            }),
            parked: Condvar::new(),
            received: AtomicU64::new(0),
            last_tid: AtomicU32::new(0),
            mixed: AtomicU32::new(0),
            watchdog_sleeps: AtomicBool::new(false),
            watchdog: Condvar::new(),
            alarm: Mutex::new(()),
        }
    }

    /// Waits for a turn and begins it.
    pub(crate) fn begin(&self) {
        let mut seats = self.seats.lock();
        while seats.receiving >= seats.wanted || seats.is_taking {
            seats.waiting += 1;
            self.parked.wait(&mut seats);
            seats.waiting -= 1;
        }
        seats.receiving += 1;
    }

    /// Ends a turn: a notification of thread `tid` was received.
    pub(crate) fn end(&self, tid: u32) {
        self.seats.lock().receiving -= 1;
        self.count(tid);
    }

    /// Lets this worker take a call that waits already, by `take`, which does not wait for one. Not if
    /// somebody receives. `take` also says whose call it is.
    pub(crate) fn take<T>(&self, take: impl FnOnce() -> Option<(T, u32)>) -> Option<T> {
        {
            let seats = &mut *self.seats.lock();
            if seats.receiving > 0 || seats.is_taking {
                return None;
            }
            seats.is_taking = true;
        }
        let taken = take();
        {
            let seats = &mut *self.seats.lock();
            seats.is_taking = false;
            // Who parked meanwhile goes on when this worker steps aside, as always, unless another one
            // is to receive beside it.
            if seats.waiting > 0 && seats.receiving + 1 < seats.wanted {
                self.parked.notify_one();
            }
        }
        let (taken, tid) = taken?;
        self.count(tid);
        Some(taken)
    }

    fn count(&self, tid: u32) {
        // SeqCst, as the look at the flag below: pairs with `sleep_until_called`.
        self.received.fetch_add(1, Ordering::SeqCst);
        let is_other = self.last_tid.swap(tid, Ordering::Relaxed) != tid;
        let before = self.mixed.load(Ordering::Relaxed);
        let now = before - before / WINDOW + if is_other { WINDOW } else { 0 };
        // Seldom where calls come from one thread.
        if now != before {
            self.mixed.store(now, Ordering::Relaxed);
        }
        if self.watchdog_sleeps.load(Ordering::SeqCst) {
            let _alarm = self.alarm.lock();
            self.watchdog.notify_one();
        }
    }

    /// Lets a parked worker receive, because this one is held up. False when there is
    /// none: another worker must be started.
    pub(crate) fn step_aside(&self) -> bool {
        let seats = self.seats.lock();
        if seats.receiving > 0 {
            return true;
        }
        self.parked.notify_one();
        seats.waiting > 0
    }

    /// Whether calls come from several threads at once, so that others wait while one is
    /// served: about one call in four comes from another thread than the one before.
    ///
    /// Some threads take turns in one program without ever calling at once; many switches mean that they
    /// do not wait for each other.
    pub(crate) fn is_crowded(&self) -> bool {
        self.mixed.load(Ordering::Relaxed) >= WINDOW * WINDOW / 4
    }

    /// Watches over the turns; `more` starts another worker, `rescue` looks after calls that a worker may
    /// have left lying.
    pub(crate) fn watch(self: &Arc<Self>, more: impl Fn(), rescue: impl Fn(Duration)) {
        let pairs = LazyCell::new(|| {
            let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
            (cpus / 2).clamp(1, RECEIVERS)
        });
        let mut quiet = 0;
        let mut seen = 0;
        loop {
            std::thread::sleep(TICK);
            rescue(TICK);
            let received = self.received.load(Ordering::Relaxed);
            let calls = received - seen;
            seen = received;
            if calls == 0 && self.seats.lock().receiving == 0 && !self.step_aside() {
                more();
            }
            let many = self.is_crowded() && calls > 20;
            self.want(if many { *pairs } else { 1 });
            quiet = if calls == 0 { quiet + 1 } else { 0 };
            if quiet >= QUIET {
                self.sleep_until_called(received);
                quiet = 0;
            }
        }
    }

    fn want(&self, wanted: usize) {
        let mut seats = self.seats.lock();
        if wanted > seats.wanted {
            self.parked.notify_all();
        }
        seats.wanted = wanted;
    }

    fn sleep_until_called(&self, received: u64) {
        let mut alarm = self.alarm.lock();
        self.watchdog_sleeps.store(true, Ordering::SeqCst);
        // A call in between is seen here, or sees the flag and waits for the lock.
        if self.received.load(Ordering::SeqCst) == received && self.seats.lock().receiving > 0 {
            self.watchdog.wait(&mut alarm);
        }
        self.watchdog_sleeps.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn one_receives_until_it_steps_aside() {
        let turns = Arc::new(Turns::new());
        turns.begin();
        let other = {
            let turns = Arc::clone(&turns);
            thread::spawn(move || turns.begin())
        };
        while turns.seats.lock().waiting == 0 {
            thread::yield_now();
        }
        turns.end(1);
        assert!(!other.is_finished());
        assert!(turns.step_aside());
        other.join().unwrap();
        assert_eq!(turns.seats.lock().receiving, 1);
    }

    #[test]
    fn some_calls_of_several_threads_are_a_crowd_until_one_calls_alone() {
        let turns = Turns::new();
        let call = |tid| turns.take(|| Some(((), tid))).unwrap();
        let calls_until = |crowded| {
            let calls = (1..100).find(|n| {
                call(if crowded { *n % 2 } else { 7 });
                turns.is_crowded() == crowded
            });
            calls.unwrap()
        };
        assert!((4..8).contains(&calls_until(true)));
        (0..100).for_each(call);
        assert!(turns.is_crowded());
        assert!((16..32).contains(&calls_until(false)));
        // One in eight is not enough.
        (0..100).for_each(|n| call(n / 8));
        assert!(!turns.is_crowded());
    }

    #[test]
    fn a_call_that_waits_is_taken_by_one_and_not_beside_a_receiver() {
        let turns = Turns::new();
        let inner = || turns.take(|| Some((1, 1)));
        assert_eq!(turns.take(|| Some((inner(), 2))), Some(None));
        turns.begin();
        assert_eq!(inner(), None);
        turns.end(1);
        assert_eq!(inner(), Some(1));
    }

    #[test]
    fn nobody_left_means_another_worker() {
        let turns = Turns::new();
        turns.begin();
        assert!(turns.step_aside(), "somebody receives");
        turns.end(1);
        assert!(!turns.step_aside());
    }

    #[test]
    fn the_watchdog_replaces_a_worker_that_hangs() {
        let turns = Arc::new(Turns::new());
        turns.begin();
        turns.end(1);
        let started = Arc::new(AtomicU32::new(0));
        let (watched, count) = (Arc::clone(&turns), Arc::clone(&started));
        thread::spawn(move || {
            let more = || {
                count.fetch_add(1, Ordering::Relaxed);
                // The new worker takes its turn and keeps it.
                watched.begin();
            };
            watched.watch(more, |_| ());
        });
        let end = std::time::Instant::now() + Duration::from_secs(10);
        while started.load(Ordering::Relaxed) == 0 {
            assert!(std::time::Instant::now() < end, "no worker was started");
            thread::yield_now();
        }
    }
}
