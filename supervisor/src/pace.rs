//! How soon a file system answers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A reply that takes longer comes after a worker has stopped watching for it, and after the
/// time that it takes to be woken.
const SOON: Duration = Duration::from_micros(150);
/// Late replies, beyond those that came soon, that make a file system slow.
const SLOW: u32 = 4;
/// As many are remembered.
const MOST: u32 = 8;

/// The late replies of late, less the others. Relaxed: a hint.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU32);

impl Pace {
    /// Whether to watch for a reply pays.
    pub(crate) fn is_quick(&self) -> bool {
        self.0.load(Ordering::Relaxed) < SLOW
    }

    /// A reply took so long, or less.
    pub(crate) fn note_at_most(&self, took: Duration) {
        if took <= SOON {
            self.note(took);
        }
    }

    /// A reply took so long.
    pub(crate) fn note(&self, took: Duration) {
        let late = self.0.load(Ordering::Relaxed);
        let now = if took > SOON {
            (late + 1).min(MOST)
        } else {
            late.saturating_sub(1)
        };
        // Seldom: the line is shared by all workers.
        if now != late {
            self.0.store(now, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_some_late_replies_to_be_slow_and_some_others_to_be_quick() {
        let pace = Pace::default();
        for _ in 1..SLOW {
            pace.note(SOON * 2);
            assert!(pace.is_quick());
        }
        pace.note(SOON * 2);
        assert!(!pace.is_quick());
        pace.note(SOON);
        assert!(pace.is_quick());
        for _ in 0..100 {
            pace.note(SOON * 2);
        }
        pace.note_at_most(SOON * 2);
        for _ in SLOW..=MOST {
            assert!(!pace.is_quick());
            pace.note_at_most(SOON);
        }
        assert!(pace.is_quick());
    }
}
