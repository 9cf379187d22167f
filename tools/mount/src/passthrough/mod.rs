//! Shows a directory tree of another file system.
//!
//! `Tree` does the work and answers with results; the adapter in `operations` turns those into
//! replies. Errors of the backing file system are passed on as they are.

mod attributes;
mod change;
mod directories;
mod files;
mod listing;
mod locks;
mod mode;
mod nodes;
mod operations;
mod owner;
mod reach;
mod setattr;
mod xattr;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};

use directories::Directories;
use listing::Listings;
use locks::Locks;
use nodes::{Identity, Nodes};
use owner::Owner;

/// The backing file system's result.
type Answer<T> = Result<T, rustix::io::Errno>;

/// The pass-through file system.
pub(crate) struct Passthrough {
    tree: Arc<Tree>,
    entry_ttl: Duration,
    attr_ttl: Duration,
}

/// The backing tree and what is known of it.
struct Tree {
    root: Arc<OwnedFd>,
    nodes: Nodes,
    directories: Directories,
    listings: Listings,
    locks: Locks,
    owner: Owner,
}

impl Passthrough {
    /// Shows the tree below `source`, which may be renamed or covered by a mount afterwards.
    pub(crate) fn new(source: &Path, entry_ttl: Duration, attr_ttl: Duration) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, source, flags, Mode::empty())?;
        let identity = Identity::of(&attributes::stat_fd(&root)?);
        let tree = Tree {
            root: Arc::new(root),
            nodes: Nodes::new(identity),
            directories: Directories::new(),
            listings: Listings::default(),
            locks: Locks::default(),
            owner: Owner::of_process(),
        };
        Ok(Self {
            tree: Arc::new(tree),
            entry_ttl,
            attr_ttl,
        })
    }
}
