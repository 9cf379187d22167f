//! Tells the kernel what it must forget before a bypassed change is acknowledged.
//!
//! The kernel's part is in fs/fuse/dir.c (`fuse_reverse_inval_entry`) and inode.c
//! (`fuse_reverse_inval_inode`): inval_entry takes the lock of the parent directory, so
//! it waits for look-ups under way there, and unhashes the entry; delete takes the
//! child's lock as well and marks it dead; inval_inode bumps the version of the
//! attributes, so replies under way are ignored. None finds what the kernel does not
//! have (ENOENT), which is harmless.
//!
//! Never publish while holding a gate, or a lock that a handler of the file system may
//! want: the kernel may hold the directory while its own request waits for that.

mod change;
mod sink;

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fuser::INodeNo;

use crate::kernel_view::KernelView;
use crate::waiting::about_to_wait;

pub(crate) use change::{Change, NameChange};
pub use sink::Sink;

/// How many notifications were sent, and how many the view showed to be needless.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Sent.
    pub sent: u64,
    /// Not needed.
    pub saved: u64,
}

/// See the module.
pub struct Coherence {
    view: Arc<KernelView>,
    sink: Box<dyn Sink>,
    sent: AtomicU64,
    saved: AtomicU64,
}

/// Directories whose lock the kernel has taken since the change, to take a notification.
#[derive(Debug, Default)]
struct Locked([Option<INodeNo>; 2]);

impl Locked {
    fn add(&mut self, directory: INodeNo) {
        if let Some(place) = self.0.iter_mut().find(|place| place.is_none()) {
            *place = Some(directory);
        }
    }

    fn has(&self, directory: INodeNo) -> bool {
        self.0.contains(&Some(directory))
    }
}

impl fmt::Debug for Coherence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coherence")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

impl Coherence {
    /// Notifications go to `sink`.
    pub fn new(view: Arc<KernelView>, sink: Box<dyn Sink>) -> Self {
        Coherence {
            view,
            sink,
            sent: AtomicU64::new(0),
            saved: AtomicU64::new(0),
        }
    }

    /// Sends the fewest notifications after which the kernel shows nothing older than
    /// `change`. Returns when the kernel has taken them.
    pub(crate) fn publish(&self, change: &Change<'_>) {
        let mut locked = Locked::default();
        for name in change.names() {
            if self.publish_name(name) {
                locked.add(name.parent);
            }
        }
        // Changes of a directory's names change its times, link count and listing.
        let mut last = None;
        for name in change.names() {
            if last.replace(name.parent) != Some(name.parent) {
                self.publish_directory(name.parent, &locked);
            }
        }
        for node in change.attributes() {
            self.publish_attributes(node, &locked);
        }
        if let Some((node, size)) = change.truncated() {
            self.publish_content(node, size, &locked);
        }
    }

    /// How many were sent so far, and how many saved.
    pub fn counts(&self) -> Counts {
        Counts {
            sent: self.sent.load(Ordering::Relaxed),
            saved: self.saved.load(Ordering::Relaxed),
        }
    }

    /// True when the kernel was told, for which it has locked the directory.
    fn publish_name(&self, change: &NameChange<'_>) -> bool {
        let key = self.view.key(change.parent, change.name);
        match self.view.name(key) {
            Some(given) if self.view.knows(change.parent) => {
                self.send_name(change);
                self.view.take_name(key, given);
                true
            }
            _ => {
                self.save();
                false
            }
        }
    }

    /// A directory that the kernel holds must become dead, or new names would appear in
    /// it; for anything else it is enough to unhash the entry.
    fn send_name(&self, change: &NameChange<'_>) {
        let dead = change
            .gone_directory
            .filter(|directory| self.view.knows(*directory));
        self.send(|sink| match dead {
            Some(child) => sink.delete(change.parent, child, change.name),
            None => sink.inval_entry(change.parent, change.name),
        });
    }

    fn publish_directory(&self, directory: INodeNo, locked: &Locked) {
        let pages = self.view.pages(directory);
        match self.view.attr(directory) {
            Some(given) => {
                self.send_inode(directory, pages.then_some(0), locked);
                self.view.take_attr(directory, given);
            }
            None if pages => self.send_inode(directory, Some(0), locked),
            None => self.save(),
        }
    }

    fn publish_attributes(&self, node: INodeNo, locked: &Locked) {
        match self.view.attr(node) {
            Some(given) => {
                self.send_inode(node, None, locked);
                self.view.take_attr(node, given);
            }
            None => self.save(),
        }
    }

    /// Pages outlive attributes: the kernel may hold some of any node that it knows.
    fn publish_content(&self, node: INodeNo, size: u64, locked: &Locked) {
        let given = self.view.attr(node);
        if !self.view.knows(node) {
            self.save();
            return;
        }
        let from = i64::try_from(size).unwrap_or(i64::MAX);
        self.send_inode(node, Some(from), locked);
        if let Some(given) = given {
            self.view.take_attr(node, given);
        }
    }

    /// Attributes alone take no lock for which the kernel could wait for the file system. Nor
    /// does the inode's end, should this be its last use: whatever was mapped is written before
    /// the mapping goes (`fuse_vma_close`, fs/fuse/file.c), and whoever has write-back caching
    /// serves in threads that may wait.
    fn send_inode(&self, node: INodeNo, pages_from: Option<i64>, locked: &Locked) {
        let forget = |sink: &dyn Sink| sink.inval_inode(node, pages_from.unwrap_or(-1), 0);
        let found = match pages_from {
            Some(_) => self.send(forget),
            None => self.send_at_once(forget),
        };
        if !found && self.waited_for_arrival(node, locked) {
            self.send(forget);
        }
    }

    /// After an inval_inode that found nothing: a look-up that was answered a moment ago may
    /// not have made its inode yet, and would install old attributes. The kernel holds the
    /// directory's lock until it has; asking for a name that cannot exist waits for that lock
    /// and does nothing else. A notification of a name there has waited.
    fn waited_for_arrival(&self, node: INodeNo, locked: &Locked) -> bool {
        let parent = self.view.arriving(node).filter(|it| !locked.has(*it));
        if let Some(parent) = parent {
            self.send(|sink| sink.inval_entry(parent, OsStr::new("/")));
        }
        parent.is_some()
    }

    /// For what may wait until the kernel has an answer of the file system.
    fn send(&self, notify: impl Fn(&dyn Sink) -> io::Result<()>) -> bool {
        about_to_wait();
        self.send_at_once(notify)
    }

    /// False when the kernel has nothing of what it is to forget.
    fn send_at_once(&self, notify: impl Fn(&dyn Sink) -> io::Result<()>) -> bool {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let Err(error) = notify(self.sink.as_ref()) else {
            return true;
        };
        // The mount is gone, or the kernel would not let go (a mountpoint below).
        log::debug!("the kernel refused a notification: {error}");
        error.raw_os_error() != Some(libc::ENOENT)
    }

    fn save(&self) {
        self.saved.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
