//! Time in milliseconds, small enough to be stored by the million.

use std::time::{Duration, Instant};

use super::GRACE;

/// Milliseconds since the view was made.
pub(super) type Millis = u64;

#[derive(Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Clock(Instant::now())
    }

    pub(super) fn now(&self) -> Millis {
        millis(self.0.elapsed())
    }

    /// When the kernel has certainly stopped using what it gets now.
    pub(super) fn expiry(&self, ttl: Duration) -> Millis {
        self.now()
            .saturating_add(millis(ttl.saturating_add(GRACE)))
            .saturating_add(1)
    }
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
