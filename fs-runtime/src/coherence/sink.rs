//! Where notifications go.

use std::ffi::OsStr;
use std::io;

use fuser::INodeNo;

/// The notifications that coherence needs, as `fuser::Notifier` has them.
pub trait Sink: Send + Sync {
    /// Unhash an entry.
    fn inval_entry(&self, parent: INodeNo, name: &OsStr) -> io::Result<()>;
    /// Unhash an entry and mark its node dead.
    fn delete(&self, parent: INodeNo, child: INodeNo, name: &OsStr) -> io::Result<()>;
    /// Forget attributes, and pages from `offset` on unless it is negative.
    fn inval_inode(&self, node: INodeNo, offset: i64, len: i64) -> io::Result<()>;
}

impl Sink for fuser::Notifier {
    fn inval_entry(&self, parent: INodeNo, name: &OsStr) -> io::Result<()> {
        fuser::Notifier::inval_entry(self, parent, name)
    }

    fn delete(&self, parent: INodeNo, child: INodeNo, name: &OsStr) -> io::Result<()> {
        fuser::Notifier::delete(self, parent, child, name)
    }

    fn inval_inode(&self, node: INodeNo, offset: i64, len: i64) -> io::Result<()> {
        fuser::Notifier::inval_inode(self, node, offset, len)
    }
}
