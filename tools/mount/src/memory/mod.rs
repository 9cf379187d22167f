//! A file system held in memory.
//!
//! `Store` does the work and answers with results; the adapter in `operations` turns those into replies.
//! Permissions are the kernel's business (`default_permissions`), everything else is decided here.
//!
//! Lock order: `Store::moves`, then one directory's entries (two and a child's only under `moves`),
//! then a file's data, then an inode's metadata, then one shard of the table. Inode numbers are never
//! used twice, so every generation is 0.

mod data;
mod directory;
mod inode;
mod names;
mod operations;
mod rename;
mod setattr;
mod space;
mod table;
mod xattr;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;

use inode::{Inode, Owner, ROOT};
use space::Space;
use table::Table;

type Answer<T> = Result<T, rustix::io::Errno>;

/// The memory file system.
pub(crate) struct Memory {
    store: Store,
    entry_ttl: Duration,
    attr_ttl: Duration,
}

struct Store {
    inodes: Table,
    space: Arc<Space>,
    /// Only ever counted up; nothing is published through it, so relaxed.
    next_ino: AtomicU64,
    /// Held while the tree changes shape: by renames and removals of directories.
    moves: Mutex<()>,
}

impl Memory {
    /// An empty file system that takes at most `size` bytes, or half of the machine's memory.
    pub(crate) fn new(size: Option<u64>, entry_ttl: Duration, attr_ttl: Duration) -> Self {
        let space = Arc::new(Space::new(size.unwrap_or_else(space::half_of_memory)));
        let owner = Owner {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        };
        let root = Inode::new(&space, ROOT, libc::S_IFDIR | 0o755, owner, 0);
        root.meta.lock().lookups = 1;
        let inodes = Table::default();
        inodes.insert(Arc::new(root));
        let store = Store {
            inodes,
            space,
            next_ino: AtomicU64::new(ROOT + 1),
            moves: Mutex::new(()),
        };
        Self {
            store,
            entry_ttl,
            attr_ttl,
        }
    }
}
