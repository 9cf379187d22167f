//! How the bypass door's cache of names hears what the kernel door changed.

use std::ffi::OsStr;

use fuser::INodeNo;

/// Implemented by the bypass door. Called after the file system has done it and before
/// the reply is sent; for names, while the gate of `parent` is held exclusively (or when
/// the file system itself invalidates an entry).
pub trait NameCache: Send + Sync {
    /// `name` in `parent` may mean something else now, or nothing.
    fn name_changed(&self, parent: INodeNo, name: &OsStr);
    /// Attributes of `node` may have changed.
    fn attr_changed(&self, node: INodeNo);
}
