//! On which CPUs the two sides run.
//!
//! Watching pays only while the peer runs on another CPU: on the same one it keeps the
//! peer from doing what is waited for. The scheduler does put them together, as a wake-up
//! draws the woken thread near, and leaves them there, as both look busy. So each side
//! writes down where it is; the client then does not watch a server that shares its CPU,
//! and a server's thread leaves the CPU of its client. Both words are hints: a peer that
//! lies makes itself slower.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::thread::{sched_getaffinity, sched_getcpu, sched_setaffinity};

/// A move costs some 20 µs, and the scheduler may undo it.
const BETWEEN_MOVES: Duration = Duration::from_millis(2);

/// Two words of the header: the CPU that each side last ran on, plus one; 0 for unknown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement<'m> {
    pub(crate) client: &'m AtomicU32,
    pub(crate) server: &'m AtomicU32,
}

impl Placement<'_> {
    /// The client writes down its CPU.
    pub(crate) fn note_client(&self) {
        note(self.client, here());
    }

    /// A server's thread writes down its CPU.
    pub(crate) fn note_server(&self) {
        note(self.server, here());
    }

    /// For the client: whether the server last ran on this CPU.
    pub(crate) fn server_is_here(&self) -> bool {
        self.server.load(Ordering::Relaxed) == here()
    }

    /// For the server: whether the client last ran on this CPU.
    pub(crate) fn client_is_here(&self) -> bool {
        self.client.load(Ordering::Relaxed) == here()
    }

    /// The same for a server's thread that watches, which writes down its CPU, for bystanders
    /// too.
    pub(crate) fn client_is_where_i_watch(&self) -> bool {
        let here = here();
        note(self.server, here);
        note(&WATCHED_FROM, here);
        self.client.load(Ordering::Relaxed) == here
    }
}

fn here() -> u32 {
    u32::try_from(sched_getcpu()).map_or(0, |cpu| cpu + 1)
}

/// Writes only what is news: the peer reads this word again and again.
fn note(word: &AtomicU32, here: u32) {
    if word.load(Ordering::Relaxed) != here {
        word.store(here, Ordering::Relaxed);
    }
}

/// The CPU that a thread of this process last watched from and will again, plus one; 0: none.
/// A hint, as the words of the header.
static WATCHED_FROM: AtomicU32 = AtomicU32::new(0);

static BYSTANDERS: Mover = Mover::new();

/// A watching thread goes to sleep.
pub(crate) fn watches_no_more() {
    WATCHED_FROM.store(0, Ordering::Relaxed);
}

/// For a thread that serves the kernel: leaves the CPU that another thread watches the
/// doorbells from. What it would be woken for there has to wait until the watching is over.
pub fn leave_to_the_watcher() {
    leave(&WATCHED_FROM, &BYSTANDERS);
}

fn leave(taken: &AtomicU32, mover: &Mover) {
    let taken = taken.load(Ordering::Relaxed);
    if taken != 0 && taken == here() {
        mover.move_away();
    }
}

/// Takes server threads off their client's CPU, now and then.
#[derive(Debug)]
pub(crate) struct Mover(Mutex<Option<Instant>>);

impl Mover {
    pub(crate) const fn new() -> Self {
        Mover(Mutex::new(None))
    }

    /// Moves the calling thread to another of its CPUs. False when it has no other, or one
    /// was moved a moment ago.
    pub(crate) fn move_away(&self) -> bool {
        self.may_move(Instant::now()) && leave_this_cpu().unwrap_or(false)
    }

    fn may_move(&self, now: Instant) -> bool {
        let Some(mut last) = self.0.try_lock() else {
            return false;
        };
        let is_due = last.is_none_or(|last| now - last >= BETWEEN_MOVES);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

/// By forbidding the CPU and allowing it again.
fn leave_this_cpu() -> rustix::io::Result<bool> {
    let allowed = sched_getaffinity(None)?;
    let mut others = allowed;
    others.unset(sched_getcpu());
    if others.count() == 0 {
        return Ok(false);
    }
    sched_setaffinity(None, &others)?;
    sched_setaffinity(None, &allowed)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use rustix::thread::CpuSet;

    use super::*;

    #[test]
    fn a_thread_leaves_its_cpu_and_may_come_back() {
        let allowed = sched_getaffinity(None).unwrap();
        let leaves = || {
            let cpu = sched_getcpu();
            let moved = leave_this_cpu().unwrap();
            assert_eq!(moved, allowed.count() > 1);
            assert_eq!(sched_getaffinity(None).unwrap(), allowed);
            !moved || sched_getcpu() != cpu
        };
        // The scheduler may bring it back at any moment; it does not each time.
        assert!((0..20).any(|_| leaves()));
    }

    #[test]
    fn a_pinned_thread_stays() {
        let mut pinned = CpuSet::new();
        pinned.set(sched_getcpu());
        sched_setaffinity(None, &pinned).unwrap();
        assert!(!leave_this_cpu().unwrap());
        assert_eq!(sched_getaffinity(None).unwrap(), pinned);
    }

    #[test]
    fn who_serves_the_kernel_leaves_the_cpu_that_is_watched_from() {
        let alone = sched_getaffinity(None).unwrap().count() == 1;
        let leaves = |watched: bool| {
            let mover = Mover::new();
            let cpu = here();
            leave(&AtomicU32::new(if watched { cpu } else { 0 }), &mover);
            let moved = mover.0.lock().is_some();
            moved && (alone || here() != cpu)
        };
        // As above.
        assert!((0..20).any(|_| leaves(true)));
        assert!(!(0..20).any(|_| leaves(false)));
    }

    #[test]
    fn moves_are_rare() {
        let mover = Mover::new();
        let now = Instant::now();
        assert!(mover.may_move(now));
        assert!(!mover.may_move(now + BETWEEN_MOVES / 2));
        assert!(mover.may_move(now + BETWEEN_MOVES));
    }

    #[test]
    fn each_side_finds_the_other_where_it_is() {
        let words = [AtomicU32::new(0), AtomicU32::new(0)];
        let placement = Placement {
            client: &words[0],
            server: &words[1],
        };
        assert!(!placement.server_is_here() && !placement.client_is_here());
        let mut pinned = CpuSet::new();
        pinned.set(sched_getcpu());
        sched_setaffinity(None, &pinned).unwrap();
        placement.note_server();
        assert!(placement.server_is_here() && !placement.client_is_here());
        placement.note_client();
        assert!(placement.client_is_here());
    }
}
