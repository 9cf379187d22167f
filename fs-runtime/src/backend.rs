//! What the bypass door asks of a file system: one call an operation, in FUSE's terms.
//!
//! The door's walk and checks know only this trait. `fuser`-style file systems stand
//! behind it today (`crate::fuser_backend`); other kinds can follow.

use std::ffi::OsStr;
use std::time::Duration;

use fuser::{AccessFlags, Errno, FileAttr, INodeNo, RenameFlags, TimeOrNow};

/// Whom the file system sees as the caller (`struct fuse_in_header`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// File system user id.
    pub(crate) uid: u32,
    /// File system group id.
    pub(crate) gid: u32,
    /// Thread group id.
    pub(crate) pid: u32,
}

/// A name's node. Each one returned counts as one look-up of the node, to be forgotten.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The attributes; `attr.ino` is the node's id. 0 means that the name is known not to
    /// exist, and counts as no look-up.
    pub(crate) attr: FileAttr,
    /// How long the name may be remembered.
    pub(crate) entry_ttl: Duration,
    /// How long the attributes may be remembered.
    pub(crate) attr_ttl: Duration,
}

/// A node's attributes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes {
    /// The attributes.
    pub(crate) attr: FileAttr,
    /// How long they may be remembered.
    pub(crate) ttl: Duration,
}

/// Attributes to change, as FUSE_SETATTR has them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SetAttr {
    /// Mode with the type bits, as the kernel sends it.
    pub(crate) mode: Option<u32>,
    /// Owner.
    pub(crate) uid: Option<u32>,
    /// Group.
    pub(crate) gid: Option<u32>,
    /// Size in bytes.
    pub(crate) size: Option<u64>,
    /// Last access.
    pub(crate) atime: Option<TimeOrNow>,
    /// Last change of the content.
    pub(crate) mtime: Option<TimeOrNow>,
}

/// Answer to a question for extended attributes.
#[derive(Clone, Debug)]
pub(crate) enum Xattr {
    /// The size in bytes, when size 0 was asked for.
    Size(u32),
    /// The value or the NUL-separated names.
    Data(Vec<u8>),
}

/// Statistics (`struct fuse_kstatfs`).
pub(crate) type Statfs = finesse_wire::Statfs;

/// A file system as the bypass door sees it. Calls block until the file system has
/// answered, from whichever thread it does.
pub(crate) trait Backend: Send + Sync {
    fn lookup(&self, caller: Caller, parent: INodeNo, name: &OsStr) -> Result<Entry, Errno>;
    fn forget(&self, node: INodeNo, lookups: u64);
    fn getattr(&self, caller: Caller, node: INodeNo) -> Result<Attributes, Errno>;
    fn setattr(&self, caller: Caller, node: INodeNo, change: &SetAttr)
    -> Result<Attributes, Errno>;
    fn readlink(&self, caller: Caller, node: INodeNo) -> Result<Vec<u8>, Errno>;
    /// `mode` has the umask applied already; `umask` is passed on as FUSE does.
    fn mknod(
        &self,
        caller: Caller,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
    ) -> Result<Entry, Errno>;
    fn mkdir(
        &self,
        caller: Caller,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
    ) -> Result<Entry, Errno>;
    fn symlink(
        &self,
        caller: Caller,
        parent: INodeNo,
        name: &OsStr,
        target: &OsStr,
    ) -> Result<Entry, Errno>;
    fn link(
        &self,
        caller: Caller,
        node: INodeNo,
        parent: INodeNo,
        name: &OsStr,
    ) -> Result<Entry, Errno>;
    fn unlink(&self, caller: Caller, parent: INodeNo, name: &OsStr) -> Result<(), Errno>;
    fn rmdir(&self, caller: Caller, parent: INodeNo, name: &OsStr) -> Result<(), Errno>;
    fn rename(
        &self,
        caller: Caller,
        from: (INodeNo, &OsStr),
        to: (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> Result<(), Errno>;
    fn setxattr(
        &self,
        caller: Caller,
        node: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
    ) -> Result<(), Errno>;
    fn getxattr(
        &self,
        caller: Caller,
        node: INodeNo,
        name: &OsStr,
        size: u32,
    ) -> Result<Xattr, Errno>;
    fn listxattr(&self, caller: Caller, node: INodeNo, size: u32) -> Result<Xattr, Errno>;
    fn removexattr(&self, caller: Caller, node: INodeNo, name: &OsStr) -> Result<(), Errno>;
    fn access(&self, caller: Caller, node: INodeNo, mask: AccessFlags) -> Result<(), Errno>;
    fn statfs(&self, caller: Caller, node: INodeNo) -> Result<Statfs, Errno>;
}
