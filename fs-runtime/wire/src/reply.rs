//! Replies: a result, an errno, or *not mine*.

use crate::bytes::{DecodeError, Reader, Writer};
use crate::request::MAX_XATTR_VALUE;

/// Seconds and nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Timestamp {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// The attributes of a node (stat(2)), without the device, which the kernel assigns.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stat {
    /// Inode number.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Allocated blocks of 512 bytes.
    pub blocks: u64,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of the attributes.
    pub ctime: Timestamp,
    /// Type and permission bits.
    pub mode: u32,
    /// Hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a special file, as FUSE encodes it (`new_encode_dev`,
    /// include/linux/kdev_t.h).
    pub rdev: u32,
    /// Preferred I/O size in bytes.
    pub blksize: u32,
}

/// The numbers of statfs(2) that a FUSE file system gives (`struct fuse_kstatfs`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Statfs {
    /// Blocks in all, of `frsize` bytes.
    pub blocks: u64,
    /// Free blocks.
    pub bfree: u64,
    /// Free blocks for users.
    pub bavail: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free inodes.
    pub ffree: u64,
    /// Optimal transfer size in bytes.
    pub bsize: u32,
    /// Longest name in bytes.
    pub namelen: u32,
    /// Fragment size in bytes.
    pub frsize: u32,
}

/// Why the runtime hands a call back to the kernel. The call had no effect.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum NotMine {
    /// The walk would leave the mount: `..` above its start, or an absolute link.
    LeavesMount = 1,
    /// The kernel holds the node, and only the kernel can change it without leaving its
    /// users behind: a directory that moves or vanishes, a file's owner, mode or size.
    HeldByKernel = 2,
    /// The base node is unknown, or this file system's inode numbers are not its nodes.
    UnknownBase = 3,
    /// The caller is not registered.
    UnknownCaller = 4,
    /// A case that only the kernel decides right.
    Unsupported = 5,
    /// The answer does not fit into a reply.
    TooLarge = 6,
    /// The request could not be decoded.
    Malformed = 7,
    /// The runtime is at its limits or shutting down.
    Busy = 8,
    /// The mount's options or permissions are only known to the kernel.
    Restricted = 9,
}

const NOT_MINE: [(NotMine, &str); 9] = [
    (NotMine::LeavesMount, "path leaves the mount"),
    (NotMine::HeldByKernel, "held by the kernel"),
    (NotMine::UnknownBase, "unknown start directory"),
    (NotMine::UnknownCaller, "unknown caller"),
    (NotMine::Unsupported, "special case left to the kernel"),
    (NotMine::TooLarge, "answer too large"),
    (NotMine::Malformed, "malformed request"),
    (NotMine::Busy, "file system busy or ending"),
    (NotMine::Restricted, "mount restricted"),
];

impl NotMine {
    /// A few words for reports.
    pub fn describe(self) -> &'static str {
        NOT_MINE[usize::from(self as u8) - 1].1
    }
}

/// Largest errno: `fuse_dev_do_write` (fs/fuse/dev.c) takes no other from a file system. Those
/// from 512 on would make the kernel restart the call, those from 4096 on read as a result.
pub const MAX_ERRNO: i32 = 511;

/// What came of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reply<'a> {
    /// It was done; the system call returns 0.
    Done,
    /// The system call fails with this errno, 1 to [`MAX_ERRNO`].
    Errno(i32),
    /// It was not done and is the kernel's to do.
    NotMine(NotMine),
    /// Attributes.
    Stat(Stat),
    /// Statistics.
    Statfs(Statfs),
    /// The target of a link, the value or the names of extended attributes.
    Bytes(&'a [u8]),
    /// The size that a value or list would have.
    Size(u32),
}

impl<'a> Reply<'a> {
    /// Replaces the content of `out` by this reply's bytes, at most
    /// [`crate::MAX_REPLY`] when `Bytes` holds at most 64 KiB.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        let mut out = Writer(out);
        match *self {
            Reply::Done => {
                out.u8(0);
            }
            Reply::Errno(errno) => {
                out.u8(1).u32(errno.unsigned_abs());
            }
            Reply::NotMine(reason) => {
                out.u8(2).u8(reason as u8);
            }
            Reply::Stat(stat) => stat.encode(out.u8(3)),
            Reply::Statfs(statfs) => statfs.encode(out.u8(4)),
            Reply::Bytes(bytes) => {
                out.u8(5).bytes(bytes);
            }
            Reply::Size(size) => {
                out.u8(6).u32(size);
            }
        }
    }

    /// Reads a reply out of private bytes.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are anything but one whole reply.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut from = Reader(bytes);
        let reply = match from.u8("kind")? {
            0 => Reply::Done,
            1 => Reply::Errno(decode_errno(&mut from)?),
            2 => Reply::NotMine(decode_not_mine(&mut from)?),
            3 => Reply::Stat(Stat::decode(&mut from)?),
            4 => Reply::Statfs(Statfs::decode(&mut from)?),
            5 => Reply::Bytes(from.bytes("bytes", MAX_XATTR_VALUE)?),
            6 => Reply::Size(from.u32("size")?),
            other => {
                return Err(DecodeError::Unknown {
                    field: "kind",
                    value: other.into(),
                });
            }
        };
        from.end()?;
        Ok(reply)
    }
}

fn decode_errno(from: &mut Reader<'_>) -> Result<i32, DecodeError> {
    match from.u32("errno")? {
        errno if (1..=MAX_ERRNO.unsigned_abs()).contains(&errno) => Ok(errno.cast_signed()),
        other => Err(DecodeError::Unknown {
            field: "errno",
            value: other.into(),
        }),
    }
}

fn decode_not_mine(from: &mut Reader<'_>) -> Result<NotMine, DecodeError> {
    let number = from.u8("reason")?;
    usize::from(number)
        .checked_sub(1)
        .and_then(|index| NOT_MINE.get(index))
        .map(|(reason, _)| *reason)
        .ok_or(DecodeError::Unknown {
            field: "reason",
            value: number.into(),
        })
}

impl Timestamp {
    fn encode(self, out: &mut Writer<'_>) {
        out.i64(self.seconds).u32(self.nanoseconds);
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Timestamp {
            seconds: from.i64("seconds")?,
            nanoseconds: from.u32("nanoseconds")?,
        })
    }
}

impl Stat {
    fn encode(&self, out: &mut Writer<'_>) {
        out.u64(self.ino).u64(self.size).u64(self.blocks);
        for time in [self.atime, self.mtime, self.ctime] {
            time.encode(out);
        }
        out.u32(self.mode)
            .u32(self.nlink)
            .u32(self.uid)
            .u32(self.gid)
            .u32(self.rdev)
            .u32(self.blksize);
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Stat {
            ino: from.u64("ino")?,
            size: from.u64("size")?,
            blocks: from.u64("blocks")?,
            atime: Timestamp::decode(from)?,
            mtime: Timestamp::decode(from)?,
            ctime: Timestamp::decode(from)?,
            mode: from.u32("mode")?,
            nlink: from.u32("nlink")?,
            uid: from.u32("uid")?,
            gid: from.u32("gid")?,
            rdev: from.u32("rdev")?,
            blksize: from.u32("blksize")?,
        })
    }
}

impl Statfs {
    fn encode(&self, out: &mut Writer<'_>) {
        out.u64(self.blocks)
            .u64(self.bfree)
            .u64(self.bavail)
            .u64(self.files)
            .u64(self.ffree)
            .u32(self.bsize)
            .u32(self.namelen)
            .u32(self.frsize);
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Statfs {
            blocks: from.u64("blocks")?,
            bfree: from.u64("bfree")?,
            bavail: from.u64("bavail")?,
            files: from.u64("files")?,
            ffree: from.u64("ffree")?,
            bsize: from.u32("bsize")?,
            namelen: from.u32("namelen")?,
            frsize: from.u32("frsize")?,
        })
    }
}
