//! Notifications by the file system itself.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;

use fuser::{INodeNo, PollHandle};

use crate::kernel_door::Doors;

/// Tells both doors what changed behind their backs: the kernel, as `fuser::Notifier`,
/// and the bypass door's cache of names.
#[derive(Clone, Debug)]
pub struct Notifier {
    kernel: fuser::Notifier,
    doors: Arc<Doors>,
}

impl Notifier {
    pub(crate) fn new(kernel: fuser::Notifier, doors: Arc<Doors>) -> Self {
        Notifier { kernel, doors }
    }

    /// A polled file became ready.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn poll(&self, kh: PollHandle) -> io::Result<()> {
        self.kernel.poll(kh)
    }

    /// A name means something else now. Blocks while the kernel changes or lists the
    /// directory, so do not call it from a handler for that directory.
    ///
    /// # Errors
    /// When the name is too long, or what the kernel says.
    pub fn inval_entry(&self, parent: INodeNo, name: &OsStr) -> io::Result<()> {
        self.doors.name_changed(parent, name);
        self.kernel.inval_entry(parent, name)
    }

    /// Attributes changed, and `len` bytes of content from `offset` on: all to the end
    /// when `len` is 0, none when `offset` is negative.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn inval_inode(&self, ino: INodeNo, offset: i64, len: i64) -> io::Result<()> {
        self.doors.attr_changed(ino);
        self.kernel.inval_inode(ino, offset, len)
    }

    /// Puts `data` into the kernel's page cache.
    ///
    /// # Errors
    /// When there is too much data, or what the kernel says.
    pub fn store(&self, ino: INodeNo, offset: u64, data: &[u8]) -> io::Result<()> {
        self.doors.attr_changed(ino);
        self.kernel.store(ino, offset, data)
    }

    /// A name is gone, and inotify(7) watches shall hear of it.
    ///
    /// # Errors
    /// When the name is too long, or what the kernel says.
    pub fn delete(&self, parent: INodeNo, child: INodeNo, name: &OsStr) -> io::Result<()> {
        self.doors.name_changed(parent, name);
        self.doors.attr_changed(child);
        self.kernel.delete(parent, child, name)
    }
}
