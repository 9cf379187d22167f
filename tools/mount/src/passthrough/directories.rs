//! A bounded cache of directory descriptors.
//!
//! System calls are made relative to a directory's `O_PATH` descriptor: one step instead of a walk,
//! and right whatever the directory is called meanwhile. A descriptor leaves the cache when its node
//! is forgotten or, by second chance, when others need the room.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::resource::{Resource, getrlimit};
use parking_lot::RwLock;

const SHARDS: usize = 8;

#[derive(Default)]
struct Shard {
    by_id: HashMap<u64, Entry>,
    /// Candidates for eviction, oldest first; ids that left the cache are skipped.
    order: VecDeque<u64>,
}

struct Entry {
    directory: Arc<OwnedFd>,
    /// Used since it was last considered for eviction. A hint, so relaxed everywhere.
    used: AtomicBool,
}

pub(super) struct Directories {
    shards: Vec<RwLock<Shard>>,
    per_shard: usize,
}

impl Directories {
    /// Takes at most a quarter of the process's descriptors, and no more than a thousand.
    pub(super) fn new() -> Self {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        let capacity = usize::try_from(limit / 4)
            .unwrap_or(usize::MAX)
            .clamp(SHARDS, 1024);
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            per_shard: capacity / SHARDS,
        }
    }

    fn shard(&self, id: u64) -> &RwLock<Shard> {
        let index = usize::try_from(id % SHARDS as u64).unwrap_or_default();
        &self.shards[index]
    }

    pub(super) fn get(&self, id: u64) -> Option<Arc<OwnedFd>> {
        let shard = self.shard(id).read();
        let entry = shard.by_id.get(&id)?;
        entry.used.store(true, Ordering::Relaxed);
        Some(Arc::clone(&entry.directory))
    }

    pub(super) fn insert(&self, id: u64, directory: &Arc<OwnedFd>) {
        let mut shard = self.shard(id).write();
        if shard.by_id.contains_key(&id) {
            return;
        }
        while shard.by_id.len() >= self.per_shard {
            shard.evict();
        }
        shard.by_id.insert(
            id,
            Entry {
                directory: Arc::clone(directory),
                used: AtomicBool::new(true),
            },
        );
        shard.order.push_back(id);
    }

    pub(super) fn remove(&self, id: u64) {
        let mut shard = self.shard(id).write();
        if shard.by_id.remove(&id).is_some() {
            shard.order.retain(|other| *other != id);
        }
    }

    /// Closes everything, to make room for open files.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            *shard.write() = Shard::default();
        }
    }
}

impl Shard {
    fn evict(&mut self) {
        while let Some(id) = self.order.pop_front() {
            match self.by_id.get(&id) {
                Some(entry) if entry.used.swap(false, Ordering::Relaxed) => {
                    self.order.push_back(id);
                }
                Some(_) => {
                    self.by_id.remove(&id);
                    return;
                }
                None => {}
            }
        }
    }
}
