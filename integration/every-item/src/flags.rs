//! Sets of flags: their names, and what bitflags gives each.

use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::ops::{BitAnd, BitOr, BitXor, Not, Sub};

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, FopenFlags, InitFlags, IoctlFlags, PollEvents,
    PollFlags, RenameFlags, WriteFlags,
};

use crate::traits;

/// A set of flags of that size; its names are the file systems' to use.
macro_rules! sets {
    ($($type:ident($bits:ty): [$($flag:ident),*];)+) => {
        $(
            traits! {
                $type: Copy, Debug, Eq, Hash, BitAnd, BitOr, BitXor, Not, Sub, Extend<$type>, FromIterator<$type>;
            }
            const _: &[$type] = &[$($type::$flag),*];
            const _: (fn(&$type) -> $bits, fn($bits) -> Option<$type>, fn($bits) -> $type, fn($bits) -> $type) =
                ($type::bits, $type::from_bits, $type::from_bits_retain, $type::from_bits_truncate);
            const _: (fn() -> $type, fn() -> $type, fn(&str) -> Option<$type>) =
                ($type::empty, $type::all, $type::from_name);
            const _: [fn(&$type, $type) -> bool; 2] = [$type::contains, $type::intersects];
            const _: [fn(&$type) -> bool; 2] = [$type::is_empty, $type::is_all];
            const _: [fn($type, $type) -> $type; 4] = [
                $type::union,
                $type::intersection,
                $type::difference,
                $type::symmetric_difference,
            ];
            const _: [fn(&mut $type, $type); 3] = [$type::insert, $type::remove, $type::toggle];
            const _: fn(&mut $type, $type, bool) = $type::set;
            const _: fn($type) -> $type = $type::complement;
            const _: fn($type) -> (usize, usize) =
                |set| (set.iter().count(), set.iter_names().count());
        )+
    };
}

traits! {
    AccessFlags: Display;
    RenameFlags: Display;
    IoctlFlags: Display;
    PollFlags: Display;
    PollEvents: Display;
}

sets! {
    AccessFlags(i32): [F_OK, R_OK, W_OK, X_OK];
    BsdFileFlags(u32): [];
    CopyFileRangeFlags(u64): [];
    FopenFlags(u32): [
        FOPEN_DIRECT_IO, FOPEN_KEEP_CACHE, FOPEN_NONSEEKABLE, FOPEN_CACHE_DIR, FOPEN_STREAM,
        FOPEN_NOFLUSH, FOPEN_PARALLEL_DIRECT_WRITES, FOPEN_PASSTHROUGH
    ];
    InitFlags(u64): [
        FUSE_ASYNC_READ, FUSE_POSIX_LOCKS, FUSE_FILE_OPS, FUSE_ATOMIC_O_TRUNC, FUSE_EXPORT_SUPPORT,
        FUSE_BIG_WRITES, FUSE_DONT_MASK, FUSE_SPLICE_WRITE, FUSE_SPLICE_MOVE, FUSE_SPLICE_READ,
        FUSE_FLOCK_LOCKS, FUSE_HAS_IOCTL_DIR, FUSE_AUTO_INVAL_DATA, FUSE_DO_READDIRPLUS,
        FUSE_READDIRPLUS_AUTO, FUSE_ASYNC_DIO, FUSE_WRITEBACK_CACHE, FUSE_NO_OPEN_SUPPORT,
        FUSE_PARALLEL_DIROPS, FUSE_HANDLE_KILLPRIV, FUSE_POSIX_ACL, FUSE_ABORT_ERROR, FUSE_MAX_PAGES,
        FUSE_CACHE_SYMLINKS, FUSE_NO_OPENDIR_SUPPORT, FUSE_EXPLICIT_INVAL_DATA, FUSE_MAP_ALIGNMENT,
        FUSE_SUBMOUNTS, FUSE_HANDLE_KILLPRIV_V2, FUSE_SETXATTR_EXT, FUSE_INIT_EXT, FUSE_INIT_RESERVED,
        FUSE_SECURITY_CTX, FUSE_HAS_INODE_DAX, FUSE_CREATE_SUPP_GROUP, FUSE_HAS_EXPIRE_ONLY,
        FUSE_DIRECT_IO_ALLOW_MMAP, FUSE_PASSTHROUGH, FUSE_NO_EXPORT_SUPPORT, FUSE_HAS_RESEND,
        FUSE_ALLOW_IDMAP, FUSE_OVER_IO_URING, FUSE_REQUEST_TIMEOUT
    ];
    IoctlFlags(u32): [
        FUSE_IOCTL_COMPAT, FUSE_IOCTL_UNRESTRICTED, FUSE_IOCTL_RETRY, FUSE_IOCTL_32BIT,
        FUSE_IOCTL_DIR, FUSE_IOCTL_COMPAT_X32
    ];
    PollEvents(u32): [
        POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL, POLLRDNORM, POLLRDBAND, POLLWRNORM,
        POLLWRBAND
    ];
    PollFlags(u32): [FUSE_POLL_SCHEDULE_NOTIFY];
    RenameFlags(u32): [RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT];
    WriteFlags(u32): [FUSE_WRITE_CACHE, FUSE_WRITE_LOCKOWNER, FUSE_WRITE_KILL_SUIDGID];
}
