//! All inodes by number.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use rustix::io::Errno;

use super::Answer;
use super::inode::{Inode, ROOT};

const SHARDS: u64 = 64;

pub(super) struct Table {
    shards: Vec<RwLock<HashMap<u64, Arc<Inode>>>>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
        }
    }
}

impl Table {
    fn shard(&self, ino: u64) -> &RwLock<HashMap<u64, Arc<Inode>>> {
        &self.shards[usize::try_from(ino % SHARDS).unwrap_or_default()]
    }

    pub(super) fn insert(&self, inode: Arc<Inode>) {
        self.shard(inode.ino).write().insert(inode.ino, inode);
    }

    /// A number that is not in the table was forgotten: the kernel should not know it any more.
    pub(super) fn get(&self, ino: u64) -> Answer<Arc<Inode>> {
        self.shard(ino)
            .read()
            .get(&ino)
            .cloned()
            .ok_or(Errno::STALE)
    }

    /// Removes an inode that nobody can reach any more. The contents are freed outside the lock.
    pub(super) fn drop_if_gone(&self, inode: &Inode) {
        if inode.ino != ROOT && inode.meta.lock().is_gone() {
            let removed = self.shard(inode.ino).write().remove(&inode.ino);
            drop(removed);
        }
    }
}
