//! Where a call leads: the FUSE mounts, and which of them a path ends in.

mod ancestors;
mod path_watch;
mod resolve;
mod snapshot;
pub(crate) mod table;
mod unique;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

pub(crate) use resolve::{Located, Lookup, full_path};
pub(crate) use snapshot::{Mount, Snapshot};

/// The mount table of the supervisor's namespace.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    current: RwLock<Arc<Snapshot>>,
    refreshing: Mutex<()>,
}

/// What a poll said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News {
    /// Of the mount table ([`MountWatch`]).
    pub(crate) table: bool,
    /// Of the paths to the mounts ([`Snapshot::path_watch`]).
    pub(crate) paths: bool,
}

/// Tells that the mount table changed; each worker has its own, as reading the news
/// consumes it.
#[derive(Debug)]
pub(crate) struct MountWatch(File);

impl MountWatch {
    pub(crate) fn new() -> io::Result<Self> {
        File::open("/proc/self/mountinfo").map(MountWatch)
    }
}

impl AsFd for MountWatch {
    /// Polls as `POLLPRI` after a change (proc_pid_mountinfo(5)).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Mounts {
    pub(crate) fn new() -> Self {
        let mounts = Mounts::default();
        mounts.refresh();
        mounts
    }

    pub(crate) fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read())
    }

    /// The mounts as they are now, if a poll said that there is news of the table or of the
    /// paths of `seen`; none: `seen` is what they are.
    pub(crate) fn after_poll(&self, seen: &Snapshot, news: News) -> Option<Arc<Snapshot>> {
        if !news.table && !seen.paths_have_changed(news.paths) {
            return None;
        }
        self.refresh();
        Some(self.current())
    }

    /// Reads the table again. What is unreadable counts as empty: all calls continue.
    pub(crate) fn refresh(&self) {
        let _one_at_a_time = self.refreshing.lock();
        let old = self.current();
        let new = Snapshot::read(&old).unwrap_or_else(|error| {
            tracing::warn!("cannot read the mount table: {error}; all calls stay with the kernel");
            Snapshot::default()
        });
        *self.current.write() = Arc::new(new);
    }
}
