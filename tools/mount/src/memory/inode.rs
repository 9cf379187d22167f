//! One file, directory, symbolic link or special file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{FileAttr, FileType, INodeNo};
use parking_lot::{Mutex, RwLock};

use super::data::{Data, PAGE};
use super::directory::Directory;
use super::space::{INODE_COST, Space};

/// The root's inode number, fixed by the protocol.
pub(super) const ROOT: u64 = 1;

/// Who a new object belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

#[derive(Debug)]
pub(super) struct Inode {
    pub(super) ino: u64,
    pub(super) rdev: u32,
    pub(super) body: Body,
    pub(super) meta: Mutex<Meta>,
    space: Arc<Space>,
}

#[derive(Debug)]
pub(super) enum Body {
    File(RwLock<Data>),
    Directory(RwLock<Directory>),
    Symlink(RwLock<Box<[u8]>>),
    Special,
}

/// What changes without the contents changing.
#[derive(Debug)]
pub(super) struct Meta {
    /// Type and permission bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) nlink: u32,
    pub(super) atime: SystemTime,
    pub(super) mtime: SystemTime,
    pub(super) ctime: SystemTime,
    /// How often the kernel was told of this inode and has not forgotten it.
    pub(super) lookups: u64,
    pub(super) opens: u64,
    /// Most inodes have none, and the kernel asks before every write.
    pub(super) xattrs: Option<Box<Xattrs>>,
}

#[derive(Debug, Default)]
pub(super) struct Xattrs(pub(super) BTreeMap<Box<[u8]>, Box<[u8]>>);

impl Inode {
    /// A new inode without a name. The caller took `INODE_COST` from the space (the root's is free).
    pub(super) fn new(space: &Arc<Space>, ino: u64, mode: u32, owner: Owner, rdev: u32) -> Self {
        let now = SystemTime::now();
        let body = match mode & libc::S_IFMT {
            libc::S_IFREG => Body::File(RwLock::default()),
            libc::S_IFDIR => Body::Directory(RwLock::new(Directory::new(ROOT))),
            libc::S_IFLNK => Body::Symlink(RwLock::default()),
            _ => Body::Special,
        };
        space.count_inode();
        let nlink = if matches!(body, Body::Directory(_)) {
            2
        } else {
            1
        };
        let meta = Meta {
            mode,
            uid: owner.uid,
            gid: owner.gid,
            nlink,
            atime: now,
            mtime: now,
            ctime: now,
            lookups: 0,
            opens: 0,
            xattrs: None,
        };
        Self {
            ino,
            rdev,
            body,
            meta: Mutex::new(meta),
            space: Arc::clone(space),
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory(_))
    }

    pub(super) fn kind(&self) -> FileType {
        kind(self.meta.lock().mode)
    }

    /// Attributes as FUSE wants them; the inode number is the node id.
    pub(super) fn attributes(&self) -> FileAttr {
        let (size, pages) = match &self.body {
            Body::File(data) => {
                let data = data.read();
                (data.len(), data.pages())
            }
            // A constant, so that no directory's entries are locked to show its attributes: listings
            // show children's while they hold their own.
            Body::Directory(_) => (PAGE as u64, 0),
            Body::Symlink(target) => (target.read().len() as u64, 0),
            Body::Special => (0, 0),
        };
        let meta = self.meta.lock();
        FileAttr {
            ino: INodeNo(self.ino),
            size,
            blocks: pages * (PAGE as u64 / 512),
            atime: meta.atime,
            mtime: meta.mtime,
            ctime: meta.ctime,
            crtime: meta.ctime,
            kind: kind(meta.mode),
            perm: permissions(meta.mode),
            nlink: meta.nlink,
            uid: meta.uid,
            gid: meta.gid,
            rdev: self.rdev,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Meta {
    /// Nobody can reach the inode any more.
    pub(super) fn is_gone(&self) -> bool {
        self.nlink == 0 && self.lookups == 0 && self.opens == 0
    }

    pub(super) fn touch(&mut self) {
        let now = SystemTime::now();
        self.mtime = now;
        self.ctime = now;
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        let pages = if let Body::File(data) = &mut self.body {
            data.get_mut().pages() * PAGE as u64
        } else {
            0
        };
        let target = if let Body::Symlink(target) = &mut self.body {
            target.get_mut().len() as u64
        } else {
            0
        };
        let xattrs = self
            .meta
            .get_mut()
            .xattrs
            .as_ref()
            .map_or(0, |xattrs| xattrs.cost());
        let inode = if self.ino == ROOT { 0 } else { INODE_COST };
        self.space.give_back(pages + target + xattrs + inode);
        self.space.uncount_inode();
    }
}

fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).unwrap_or_default()
}

pub(super) fn kind(mode: u32) -> FileType {
    match mode & libc::S_IFMT {
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFLNK => FileType::Symlink,
        libc::S_IFIFO => FileType::NamedPipe,
        libc::S_IFSOCK => FileType::Socket,
        libc::S_IFCHR => FileType::CharDevice,
        libc::S_IFBLK => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}
