//! Hash tables whose keys are spread already.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Folds one integer; names come as keyed hashes, node ids from the file system.
#[derive(Debug, Default)]
pub(super) struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

pub(super) type Table<V> = HashMap<u64, V, BuildHasherDefault<Fold>>;

/// When to look for entries that can go: each time a table has doubled since.
#[derive(Debug)]
pub(super) struct Sweeps {
    next: usize,
}

impl Sweeps {
    const FIRST: usize = 512;

    pub(super) fn new() -> Self {
        Sweeps { next: Self::FIRST }
    }

    /// Drops what `keep` refuses, when it is time to.
    pub(super) fn sweep<V>(&mut self, table: &mut Table<V>, keep: impl Fn(&V) -> bool) {
        if table.len() < self.next {
            return;
        }
        table.retain(|_, value| keep(value));
        if table.len() < table.capacity() / 4 {
            table.shrink_to(table.len() * 2);
        }
        self.next = (table.len() * 2).max(Self::FIRST);
    }
}
