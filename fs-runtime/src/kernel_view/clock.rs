//! Time in milliseconds, small enough to be stored by the million.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::GRACE;

/// Milliseconds of `CLOCK_MONOTONIC_COARSE` (clock_gettime(2)): up to 10 ms late, which
/// [`GRACE`] covers, and several times cheaper to read than the fine clock.
pub(super) type Millis = u64;

pub(super) fn now() -> Millis {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    let (seconds, nanoseconds) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds * 1_000 + nanoseconds / 1_000_000
}

/// When the kernel has certainly stopped using what it gets now.
pub(super) fn expiry(now: Millis, ttl: Duration) -> Millis {
    now.saturating_add(millis(ttl.saturating_add(GRACE)))
        .saturating_add(1)
}

pub(super) fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
