//! Replies: what the daemon answers, to the kernel or to the bypass door.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use finesse_fuse::{FileAttr, FileType, INodeNo};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct fuse_attr`.
#[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(crate) struct Attr {
    pub(crate) ino: u64,
    pub(crate) size: u64,
    pub(crate) blocks: u64,
    pub(crate) atime: u64,
    pub(crate) mtime: u64,
    pub(crate) ctime: u64,
    pub(crate) atimensec: u32,
    pub(crate) mtimensec: u32,
    pub(crate) ctimensec: u32,
    pub(crate) mode: u32,
    pub(crate) nlink: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) rdev: u32,
    pub(crate) blksize: u32,
    pub(crate) flags: u32,
}

impl Attr {
    pub(crate) fn is_directory(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }
}

/// `struct fuse_entry_out`.
#[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(crate) struct EntryOut {
    pub(crate) nodeid: u64,
    pub(crate) generation: u64,
    pub(crate) entry_valid: u64,
    pub(crate) attr_valid: u64,
    pub(crate) entry_valid_nsec: u32,
    pub(crate) attr_valid_nsec: u32,
    pub(crate) attr: Attr,
}

impl EntryOut {
    /// How long the name and the attributes may be remembered.
    pub(crate) fn ttls(&self) -> (Duration, Duration) {
        (
            ttl(self.entry_valid, self.entry_valid_nsec),
            ttl(self.attr_valid, self.attr_valid_nsec),
        )
    }

    pub(crate) fn set_ttls(&mut self, (entry, attr): (Duration, Duration)) {
        (self.entry_valid, self.entry_valid_nsec) = (entry.as_secs(), entry.subsec_nanos());
        (self.attr_valid, self.attr_valid_nsec) = (attr.as_secs(), attr.subsec_nanos());
    }
}

/// `struct fuse_attr_out`.
#[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(crate) struct AttrOut {
    pub(crate) attr_valid: u64,
    pub(crate) attr_valid_nsec: u32,
    pub(crate) dummy: u32,
    pub(crate) attr: Attr,
}

/// `struct fuse_open_out`, for FUSE_OPENDIR and at the end of FUSE_CREATE too.
#[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(crate) struct OpenOut {
    pub(crate) fh: u64,
    pub(crate) open_flags: u32,
    pub(crate) backing_id: i32,
}

/// `struct fuse_getxattr_out`, when a size was asked for.
#[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(crate) struct GetxattrOut {
    pub(crate) size: u32,
    pub(crate) padding: u32,
}

/// `struct fuse_statfs_out`.
#[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(crate) struct StatfsOut {
    pub(crate) blocks: u64,
    pub(crate) bfree: u64,
    pub(crate) bavail: u64,
    pub(crate) files: u64,
    pub(crate) ffree: u64,
    pub(crate) bsize: u32,
    pub(crate) namelen: u32,
    pub(crate) frsize: u32,
    pub(crate) padding: u32,
    pub(crate) spare: [u32; 6],
}

/// `struct fuse_direntplus`; the name follows, and padding to 8 bytes.
#[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(crate) struct DirentPlus {
    pub(crate) entry: EntryOut,
    pub(crate) ino: u64,
    pub(crate) off: u64,
    pub(crate) namelen: u32,
    pub(crate) kind: u32,
}

/// `struct fuse_statx_out`, up to the inode number in its `struct fuse_statx`.
#[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(crate) struct StatxOut {
    pub(crate) attr_valid: u64,
    pub(crate) attr_valid_nsec: u32,
    pub(crate) flags: u32,
    pub(crate) spare: [u64; 2],
    pub(crate) mask: u32,
    pub(crate) blksize: u32,
    pub(crate) attributes: u64,
    pub(crate) nlink: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u16,
    pub(crate) padding: u16,
    pub(crate) ino: u64,
}

/// Length of an entry with a name of `namelen` bytes (`FUSE_DIRENTPLUS_SIZE`).
pub(crate) fn direntplus_len(namelen: u32) -> usize {
    (size_of::<DirentPlus>() + namelen as usize).next_multiple_of(8)
}

/// The nodes that a reply to FUSE_READDIRPLUS gives, by their names. Of `.` and `..` the kernel
/// takes no look-up (`fuse_direntplus_link`, fs/fuse/readdir.c).
pub(crate) fn entries(mut rest: &[u8]) -> impl Iterator<Item = (&OsStr, EntryOut)> {
    std::iter::from_fn(move || {
        let (head, names) = DirentPlus::read_from_prefix(rest).ok()?;
        let name = names.get(..head.namelen as usize)?;
        rest = rest.get(direntplus_len(head.namelen)..).unwrap_or(&[]);
        Some((OsStr::from_bytes(name), head.entry))
    })
    .filter(|(name, entry)| entry.nodeid != 0 && *name != "." && *name != "..")
}

/// The replies that have attributes and one time-out.
pub(crate) trait Timed {
    /// The time-out, in seconds and nanoseconds.
    fn valid(&mut self) -> (&mut u64, &mut u32);
    fn number(&self) -> u64;
    fn is_directory(&self) -> bool;

    fn ttl(&mut self) -> Duration {
        let (seconds, nanoseconds) = self.valid();
        ttl(*seconds, *nanoseconds)
    }

    fn set_ttl(&mut self, ttl: Duration) {
        let (seconds, nanoseconds) = self.valid();
        (*seconds, *nanoseconds) = (ttl.as_secs(), ttl.subsec_nanos());
    }
}

impl Timed for AttrOut {
    fn valid(&mut self) -> (&mut u64, &mut u32) {
        (&mut self.attr_valid, &mut self.attr_valid_nsec)
    }

    fn number(&self) -> u64 {
        self.attr.ino
    }

    fn is_directory(&self) -> bool {
        self.attr.is_directory()
    }
}

impl Timed for StatxOut {
    fn valid(&mut self) -> (&mut u64, &mut u32) {
        (&mut self.attr_valid, &mut self.attr_valid_nsec)
    }

    fn number(&self) -> u64 {
        self.ino
    }

    fn is_directory(&self) -> bool {
        u32::from(self.mode) & libc::S_IFMT == libc::S_IFDIR
    }
}

/// A time-out. Too many nanoseconds count as the most there are (`time_to_jiffies`,
/// fs/fuse/dir.c).
pub(crate) fn ttl(seconds: u64, nanoseconds: u32) -> Duration {
    Duration::new(seconds, nanoseconds.min(999_999_999))
}

/// The attributes in fuser's form; `None` for a mode of no kind or times out of bounds,
/// which the kernel refuses as well (`fuse_valid_type`, fs/fuse/dir.c).
pub(crate) fn file_attr(attr: &Attr) -> Option<FileAttr> {
    Some(FileAttr {
        ino: INodeNo(attr.ino),
        size: attr.size,
        blocks: attr.blocks,
        atime: time(attr.atime, attr.atimensec)?,
        mtime: time(attr.mtime, attr.mtimensec)?,
        ctime: time(attr.ctime, attr.ctimensec)?,
        crtime: UNIX_EPOCH,
        kind: kind(attr.mode)?,
        perm: u16::try_from(attr.mode & 0o7777).ok()?,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: attr.rdev,
        blksize: attr.blksize,
        flags: attr.flags,
    })
}

fn kind(mode: u32) -> Option<FileType> {
    Some(match mode & libc::S_IFMT {
        libc::S_IFIFO => FileType::NamedPipe,
        libc::S_IFCHR => FileType::CharDevice,
        libc::S_IFBLK => FileType::BlockDevice,
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFREG => FileType::RegularFile,
        libc::S_IFLNK => FileType::Symlink,
        libc::S_IFSOCK => FileType::Socket,
        _ => return None,
    })
}

/// The kernel caps nanoseconds (`fuse_change_attributes_common`, fs/fuse/inode.c).
fn time(seconds: u64, nanoseconds: u32) -> Option<SystemTime> {
    let seconds = seconds.cast_signed();
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let start = match seconds {
        0.. => UNIX_EPOCH.checked_add(whole)?,
        _ => UNIX_EPOCH.checked_sub(whole)?,
    };
    start.checked_add(Duration::from_nanos(nanoseconds.min(999_999_999).into()))
}
