//! How soon somebody answers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Late answers, beyond those that came soon, that make somebody slow.
const SLOW: u32 = 4;
/// As many are remembered.
const MOST: u32 = 8;

/// Whether answers come late: a few that do, or do not, change nothing.
#[derive(Debug)]
pub struct Pace {
    soon: Duration,
    /// The late answers of late, less the others. Relaxed: a hint.
    late: AtomicU32,
}

impl Pace {
    /// An answer that takes longer than `soon` is late.
    #[must_use]
    pub const fn new(soon: Duration) -> Self {
        Pace {
            soon,
            late: AtomicU32::new(0),
        }
    }

    /// Whether most answers come soon.
    pub fn is_quick(&self) -> bool {
        self.late.load(Ordering::Relaxed) < SLOW
    }

    /// An answer took so long, or less.
    pub fn note_at_most(&self, took: Duration) {
        if took <= self.soon {
            self.note(took);
        }
    }

    /// An answer took so long.
    pub fn note(&self, took: Duration) {
        let late = self.late.load(Ordering::Relaxed);
        let now = if took > self.soon {
            (late + 1).min(MOST)
        } else {
            late.saturating_sub(1)
        };
        // Seldom: the line is shared by all who ask.
        if now != late {
            self.late.store(now, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_micros(150);

    #[test]
    fn it_takes_some_late_answers_to_be_slow_and_some_others_to_be_quick() {
        let pace = Pace::new(SOON);
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
