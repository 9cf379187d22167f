//! What the bypass door asks of a file system: one call an operation, in FUSE's terms.
//!
//! The door's walk and checks know only this trait. `fuser`-style file systems stand
//! behind it (`crate::fuser_backend`), and any FUSE daemon that speaks the kernel's
//! protocol (the crate `finesse-serve`).

use std::ffi::OsStr;
use std::time::Duration;

use fuser::{AccessFlags, Errno, FileAttr, INodeNo, RenameFlags, TimeOrNow};

/// A request of the bypass door, under a number that no other one has meanwhile.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct CallId(pub u64);

impl CallId {
    /// None: what is asked is part of no request.
    pub const NONE: CallId = CallId(u64::MAX);
}

/// Whom the file system sees as the caller (`struct fuse_in_header`), and for what.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// File system user id.
    pub uid: u32,
    /// File system group id.
    pub gid: u32,
    /// Thread group id.
    pub pid: u32,
    /// The request that is being served.
    pub call: CallId,
}

impl Caller {
    /// Nobody, as the kernel's forgets have it.
    pub const NOBODY: Caller = Caller {
        uid: 0,
        gid: 0,
        pid: 0,
        call: CallId::NONE,
    };
}

/// A name's node. Each one returned counts as one look-up of the node, to be forgotten.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The node's id. 0 means that the name is known not to exist, and counts as no
    /// look-up.
    pub node: INodeNo,
    /// The attributes. `attr.ino` is the inode number that programs see, which is the
    /// node's id for file systems that have one number only, as fuser's.
    pub attr: FileAttr,
    /// How long the name may be remembered.
    pub entry_ttl: Duration,
    /// How long the attributes may be remembered.
    pub attr_ttl: Duration,
}

/// A node's attributes.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// The attributes.
    pub attr: FileAttr,
    /// How long they may be remembered.
    pub ttl: Duration,
}

/// Attributes to change, as FUSE_SETATTR has them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetAttr {
    /// Mode with the type bits, as the kernel sends it.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Size in bytes.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<TimeOrNow>,
    /// Last change of the content.
    pub mtime: Option<TimeOrNow>,
}

/// Answer to a question for extended attributes.
#[derive(Clone, Debug)]
pub enum Xattr {
    /// The size in bytes, when size 0 was asked for.
    Size(u32),
    /// The value or the NUL-separated names.
    Data(Vec<u8>),
}

/// Statistics (`struct fuse_kstatfs`).
pub type Statfs = finesse_wire::Statfs;

/// A file system as the bypass door sees it. Calls block until the file system has
/// answered, from whichever thread it does.
pub trait Backend: Send + Sync {
    /// FUSE_LOOKUP.
    fn lookup(&self, caller: Caller, parent: INodeNo, name: &OsStr) -> Result<Entry, Errno>;
    /// FUSE_FORGET: takes look-ups back; no answer.
    fn forget(&self, node: INodeNo, lookups: u64);
    /// FUSE_GETATTR.
    fn getattr(&self, caller: Caller, node: INodeNo) -> Result<Attributes, Errno>;
    /// FUSE_SETATTR.
    fn setattr(&self, caller: Caller, node: INodeNo, change: &SetAttr)
    -> Result<Attributes, Errno>;
    /// FUSE_READLINK: the text, as it is stored.
    fn readlink(&self, caller: Caller, node: INodeNo) -> Result<Vec<u8>, Errno>;
    /// FUSE_MKNOD. `mode` has the umask applied already, unless `FUSE_DONT_MASK` leaves that
    /// to the file system; `umask` is passed on as FUSE does.
    fn mknod(
        &self,
        caller: Caller,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
    ) -> Result<Entry, Errno>;
    /// FUSE_MKDIR; `mode` and `umask` as for `mknod`.
    fn mkdir(
        &self,
        caller: Caller,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
    ) -> Result<Entry, Errno>;
    /// FUSE_SYMLINK.
    fn symlink(
        &self,
        caller: Caller,
        parent: INodeNo,
        name: &OsStr,
        target: &OsStr,
    ) -> Result<Entry, Errno>;
    /// FUSE_LINK: `name` in `parent` for `node`.
    fn link(
        &self,
        caller: Caller,
        node: INodeNo,
        parent: INodeNo,
        name: &OsStr,
    ) -> Result<Entry, Errno>;
    /// FUSE_UNLINK.
    fn unlink(&self, caller: Caller, parent: INodeNo, name: &OsStr) -> Result<(), Errno>;
    /// FUSE_RMDIR.
    fn rmdir(&self, caller: Caller, parent: INodeNo, name: &OsStr) -> Result<(), Errno>;
    /// FUSE_RENAME2; ENOSYS when there are flags and they are not known.
    fn rename(
        &self,
        caller: Caller,
        from: (INodeNo, &OsStr),
        to: (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> Result<(), Errno>;
    /// FUSE_SETXATTR.
    fn setxattr(
        &self,
        caller: Caller,
        node: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
    ) -> Result<(), Errno>;
    /// FUSE_GETXATTR: the value in `size` bytes, or its size when that is 0.
    fn getxattr(
        &self,
        caller: Caller,
        node: INodeNo,
        name: &OsStr,
        size: u32,
    ) -> Result<Xattr, Errno>;
    /// FUSE_LISTXATTR: the names in `size` bytes, or their size when that is 0.
    fn listxattr(&self, caller: Caller, node: INodeNo, size: u32) -> Result<Xattr, Errno>;
    /// FUSE_REMOVEXATTR.
    fn removexattr(&self, caller: Caller, node: INodeNo, name: &OsStr) -> Result<(), Errno>;
    /// FUSE_ACCESS.
    fn access(&self, caller: Caller, node: INodeNo, mask: AccessFlags) -> Result<(), Errno>;
    /// FUSE_STATFS.
    fn statfs(&self, caller: Caller, node: INodeNo) -> Result<Statfs, Errno>;

    /// A supervisor is about to send requests; false when they cannot be served.
    fn supervisor_came(&self) -> bool {
        true
    }

    /// Whether [`super::doors::Doors`] is told what requests of the kernel change only while a
    /// supervisor is there.
    fn changes_untold(&self) -> bool {
        false
    }

    /// Whether the file system has threads that look for requests (`Attendant`).
    fn attends(&self) -> bool {
        false
    }

    /// Whether the file system can be told of signals ([`Backend::interrupt`]).
    fn heeds_interrupts(&self) -> bool {
        false
    }

    /// A signal has come for the caller of `call`: what it asks, now and from now on, may be
    /// answered with EINTR. Does not wait.
    fn interrupt(&self, call: CallId) {
        let _ = call;
    }

    /// `call` is answered, or was before [`Backend::interrupt`] named it.
    fn is_over(&self, call: CallId) {
        let _ = call;
    }

    /// A thread of the door has answered a request, and is about to wait for the next one.
    fn answered(&self) {}

    /// A supervisor that came has gone, and its last request is answered.
    fn supervisor_went(&self) {}
}
