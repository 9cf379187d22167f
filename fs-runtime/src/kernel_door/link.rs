//! The reserved name in the root: a link that says where the bypass door is.

use std::time::{Duration, SystemTime};

use fuser::{Errno, FileAttr, FileType, Generation, INodeNo};

/// Owned by whoever mounted, unchangeable, in no listing. Its time-outs are 0, so the
/// kernel always asks and never shows a door that has closed.
#[derive(Debug)]
pub struct DoorLink {
    target: String,
    attr: FileAttr,
}

impl DoorLink {
    /// A node that no file system uses.
    pub const NODE: INodeNo = INodeNo(u64::MAX - 0xF1);

    /// The link to `door`, owned by whoever mounted.
    pub fn new(door: &finesse_wire::Door, uid: u32, gid: u32) -> Self {
        let target = door.to_string();
        let now = SystemTime::now();
        let attr = FileAttr {
            ino: Self::NODE,
            size: target.len() as u64,
            blocks: 0,
            atime: now,
            mtime: now,
            ctime: now,
            crtime: now,
            kind: FileType::Symlink,
            perm: 0o444,
            nlink: 1,
            uid,
            gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        };
        DoorLink { target, attr }
    }

    /// What stat(2) says of it.
    pub fn attr(&self) -> &FileAttr {
        &self.attr
    }

    /// What readlink(2) says.
    pub fn target(&self) -> &str {
        &self.target
    }

    pub(super) fn lookup(&self, reply: fuser::ReplyEntry) {
        reply.entry(&Duration::ZERO, &self.attr, Generation(0));
    }

    pub(super) fn getattr(&self, reply: fuser::ReplyAttr) {
        reply.attr(&Duration::ZERO, &self.attr);
    }

    pub(super) fn readlink(&self, reply: fuser::ReplyData) {
        reply.data(self.target.as_bytes());
    }

    /// It has no extended attributes.
    pub(super) fn listxattr(size: u32, reply: fuser::ReplyXattr) {
        if size == 0 {
            reply.size(0);
        } else {
            reply.data(&[]);
        }
    }

    /// What making something under the reserved name says.
    pub(super) const EXISTS: Errno = Errno::EEXIST;
    /// What changing or removing the link says, as of an immutable file (chattr(1)).
    pub(super) const IMMUTABLE: Errno = Errno::EPERM;
}
