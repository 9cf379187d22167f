//! How long a target watches for a reply before it sleeps.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use finesse_agent::layout::WATCH_ROUND;

/// As long as to fall asleep and be woken by another CPU takes, twice over.
const WATCH: Duration = Duration::from_micros(100);
const TRIES: u32 = 3;
/// Rounds in a try.
const ROUNDS: u32 = 4;
const MOST: u32 = 1024;

/// In rounds of [`WATCH_ROUND`] pauses, each of which takes some 40 to 140 cycles, by the kind of
/// CPU. Measured once.
pub(super) fn rounds() -> u32 {
    static MEASURED: LazyLock<u32> = LazyLock::new(|| {
        let shortest = (0..TRIES).map(|_| time_of_rounds()).min();
        in_rounds(shortest.unwrap_or_default())
    });
    *MEASURED
}

/// The shortest try is the one that nobody interrupted.
fn time_of_rounds() -> Duration {
    let start = Instant::now();
    for _ in 0..ROUNDS * WATCH_ROUND {
        std::hint::spin_loop();
    }
    start.elapsed()
}

fn in_rounds(time: Duration) -> u32 {
    let round = (time / ROUNDS).as_nanos().max(1);
    let rounds = WATCH.as_nanos() / round;
    u32::try_from(rounds).unwrap_or(MOST).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_last_as_long_as_is_watched() {
        let rounds_of = |nanoseconds| in_rounds(Duration::from_nanos(nanoseconds) * ROUNDS);
        assert_eq!(rounds_of(3_000), 33);
        assert_eq!(rounds_of(1_100), 90);
        assert_eq!(rounds_of(0), MOST);
        assert_eq!(rounds_of(1_000_000), 1);
        assert!((1..=MOST).contains(&rounds()));
    }
}
