//! How long to watch a word before sleeping.
//!
//! Waking a thread on a sleeping CPU costs some 50 µs, watching from another CPU 0.1 µs;
//! but watching takes a CPU from whoever could use it. So: watch only where there is a
//! second CPU, only one server thread at a time, only for about as long as requests have
//! been apart lately, and stop at once where another thread wants this CPU.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Looks between two glances at the clock: about 2 µs.
const LOOKS: u32 = 64;
/// A longer time between two glances means that a thread that computes had this CPU for a
/// time slice. Shorter ones are interrupts, and the hypervisor.
const PREEMPTED: Duration = Duration::from_micros(500);

static CPUS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get));

/// Threads of this process that watch, over all channels.
static WATCHERS: AtomicUsize = AtomicUsize::new(0);

/// The right to watch, given to fewer threads than there are CPUs.
#[derive(Debug)]
pub(crate) struct Watch(());

impl Watch {
    pub(crate) fn begin() -> Option<Watch> {
        let limit = CPUS.saturating_sub(1);
        // A plain count: Relaxed, no memory hangs on it.
        WATCHERS
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < limit).then_some(n + 1)
            })
            .ok()
            .map(|_| Watch(()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How watching ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Watched {
    /// There was something to see.
    Done,
    /// The time was up.
    TimeUp,
    /// Another thread wanted the CPU: watching takes it from somebody.
    Preempted,
    /// The peer itself wants this CPU.
    Futile,
}

/// Looks until `done` says so, for `budget` at most, and not while `futile` says that it
/// keeps the peer from its work.
///
/// It never yields: a yield hands a whole time slice to whoever computes here, some
/// milliseconds, while a sleeper that is woken gets the CPU at once.
pub(crate) fn until(
    budget: Duration,
    mut done: impl FnMut() -> bool,
    futile: impl Fn() -> bool,
) -> Watched {
    let mut now = Instant::now();
    let end = now + if *CPUS < 2 { Duration::ZERO } else { budget };
    let unmet = loop {
        if futile() {
            break Watched::Futile;
        }
        for _ in 0..LOOKS {
            if done() {
                return Watched::Done;
            }
            std::hint::spin_loop();
        }
        let after = Instant::now();
        if after - now > PREEMPTED {
            break Watched::Preempted;
        }
        if after >= end {
            break Watched::TimeUp;
        }
        now = after;
    };
    // It may have happened while the clock was read.
    if done() { Watched::Done } else { unmet }
}

/// How long a server thread watches, learnt from how far requests were apart.
#[derive(Debug)]
pub(crate) struct Patience {
    budget: Duration,
    /// Requests until watching is tried again after a preemption.
    pause: u32,
    /// Preemptions lately: each doubles the next pause.
    preemptions: u32,
    /// Requests since the last one while watching.
    undisturbed: u32,
}

impl Patience {
    const LEAST: Duration = Duration::from_micros(4);
    const MOST: Duration = Duration::from_micros(500);
    const PAUSE: u32 = 200;
    /// Doublings at most: 12,800 requests.
    const DOUBLINGS: u32 = 6;
    /// Undisturbed requests that make a preemption the first one again.
    const CALM: u32 = 2000;

    pub(crate) fn new() -> Self {
        Patience {
            budget: Self::LEAST,
            pause: 0,
            preemptions: 0,
            undisturbed: 0,
        }
    }

    pub(crate) fn budget(&self) -> Duration {
        if self.pause > 0 {
            Duration::ZERO
        } else {
            self.budget
        }
    }

    /// The CPUs are wanted elsewhere: watching has cost a time slice, some milliseconds.
    pub(crate) fn pause(&mut self) {
        self.pause = Self::PAUSE << self.preemptions;
        self.preemptions = (self.preemptions + 1).min(Self::DOUBLINGS);
        self.undisturbed = 0;
    }

    /// A request came `gap` after the last one was answered.
    pub(crate) fn learn(&mut self, gap: Duration) {
        if self.pause > 0 {
            self.pause -= 1;
        } else if self.undisturbed < Self::CALM {
            self.undisturbed += 1;
        } else {
            self.preemptions = 0;
        }
        let budget = if gap > Self::MOST {
            // Watching would not have caught it.
            self.budget / 2
        } else {
            (gap * 4).max(self.budget - self.budget / 8)
        };
        self.budget = budget.clamp(Self::LEAST, Self::MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_the_requests() {
        let mut patience = Patience::new();
        assert_eq!(patience.budget(), Patience::LEAST);
        patience.learn(Duration::from_micros(30));
        assert_eq!(patience.budget(), Duration::from_micros(120));
        for _ in 0..20 {
            patience.learn(Duration::from_millis(5));
        }
        assert_eq!(patience.budget(), Patience::LEAST);
    }

    #[test]
    fn watching_ends() {
        let never = || false;
        assert_ne!(
            until(Duration::from_micros(50), || false, never),
            Watched::Done
        );
        assert_eq!(
            until(Duration::from_secs(60), || true, never),
            Watched::Done
        );
        assert_eq!(
            until(Duration::from_secs(60), || false, || true),
            Watched::Futile
        );
    }

    #[test]
    fn preemption_pauses_the_watch() {
        let mut patience = Patience::new();
        patience.pause();
        assert_eq!(patience.budget(), Duration::ZERO);
        for _ in 0..Patience::PAUSE {
            patience.learn(Duration::from_micros(10));
        }
        assert!(!patience.budget().is_zero());
    }

    /// Requests until watching is tried again.
    fn pause_of(patience: &mut Patience) -> u32 {
        patience.pause();
        let mut requests = 0;
        while patience.budget().is_zero() {
            patience.learn(Duration::from_micros(10));
            requests += 1;
        }
        requests
    }

    #[test]
    fn pauses_grow_until_it_is_calm() {
        let mut patience = Patience::new();
        let pauses: Vec<_> = (0..10).map(|_| pause_of(&mut patience)).collect();
        let (first, most) = (Patience::PAUSE, Patience::PAUSE << Patience::DOUBLINGS);
        assert_eq!(pauses[..3], [first, 2 * first, 4 * first]);
        assert_eq!(pauses[6..], [most; 4]);
        for _ in 0..=Patience::CALM {
            patience.learn(Duration::from_micros(10));
        }
        assert_eq!(pause_of(&mut patience), first);
    }

    #[test]
    fn fewer_watchers_than_cpus() {
        let all: Vec<_> = std::iter::from_fn(Watch::begin).take(1000).collect();
        assert!(all.len() < *CPUS);
    }
}
