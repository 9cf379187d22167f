//! The size limit.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use super::Answer;

/// What an inode takes, with its place in the table.
pub(super) const INODE_COST: u64 = 384;
/// What a name takes beyond its own length: it is in two indexes of its directory.
pub(super) const NAME_COST: u64 = 128;

/// How many bytes may be taken, and are. The counter guards nothing but itself, so it is relaxed.
#[derive(Debug)]
pub(super) struct Space {
    limit: u64,
    used: AtomicU64,
    inodes: AtomicU64,
}

impl Space {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            used: AtomicU64::new(0),
            inodes: AtomicU64::new(0),
        }
    }

    /// Takes `bytes`, or nothing if they are not there.
    pub(super) fn take(&self, bytes: u64) -> Answer<()> {
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|used| *used <= self.limit)
            });
        taken.map(|_| ()).map_err(|_| Errno::NOSPC)
    }

    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn count_inode(&self) {
        self.inodes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn uncount_inode(&self) {
        self.inodes.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn free(&self) -> u64 {
        self.limit.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    pub(super) fn inodes(&self) -> u64 {
        self.inodes.load(Ordering::Relaxed)
    }
}

/// Half of the machine's memory in bytes; 1 GiB where /proc does not tell.
pub(super) fn half_of_memory() -> u64 {
    let total = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
    total.map_or(1 << 30, |kib| kib << 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_space_comes_back() {
        let space = Space::new(100);
        assert_eq!(space.take(60), Ok(()));
        assert_eq!(space.take(41), Err(Errno::NOSPC));
        space.give_back(60);
        assert_eq!(space.take(100), Ok(()));
        assert_eq!(space.free(), 0);
    }
}
