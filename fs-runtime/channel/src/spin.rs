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
/// A yield that takes longer let somebody else run.
const CONTENDED: Duration = Duration::from_micros(8);

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

/// Looks until `done` says so, for `budget` at most. False when the time was up or
/// another thread wanted the CPU.
pub(crate) fn until(budget: Duration, mut done: impl FnMut() -> bool) -> bool {
    if *CPUS < 2 {
        return done();
    }
    let mut now = Instant::now();
    let end = now + budget;
    loop {
        for _ in 0..LOOKS {
            if done() {
                return true;
            }
            std::hint::spin_loop();
        }
        std::thread::yield_now();
        let after = Instant::now();
        if after >= end || after - now > CONTENDED {
            return done();
        }
        now = after;
    }
}

/// How long a server thread watches, learnt from how far requests were apart.
#[derive(Debug)]
pub(crate) struct Patience {
    budget: Duration,
}

impl Patience {
    const LEAST: Duration = Duration::from_micros(4);
    const MOST: Duration = Duration::from_micros(200);

    pub(crate) fn new() -> Self {
        Patience {
            budget: Self::LEAST,
        }
    }

    pub(crate) fn budget(&self) -> Duration {
        self.budget
    }

    /// A request came `gap` after the last one was answered.
    pub(crate) fn learn(&mut self, gap: Duration) {
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
        assert!(!until(Duration::from_micros(50), || false));
        assert!(until(Duration::from_secs(60), || true));
    }

    #[test]
    fn fewer_watchers_than_cpus() {
        let all: Vec<_> = std::iter::from_fn(Watch::begin).take(1000).collect();
        assert!(all.len() < *CPUS);
    }
}
