//! What a file system answers with, and who asks.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use fuser::{
    BackingId, Errno, FileAttr, FileHandle, FileType, FopenFlags, Generation, INodeNo, PollEvents,
    ReplyAttr, ReplyBmap, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, RequestId,
};

use crate::traits;

macro_rules! replies {
    ($($reply:ident)+) => {
        $(
            traits! { $reply: Debug, Send, Sync, Unpin; }
            const _: fn($reply, Errno) = $reply::error;
        )+
    };
}

replies! {
    ReplyAttr ReplyBmap ReplyCreate ReplyData ReplyDirectory ReplyDirectoryPlus ReplyEmpty ReplyEntry ReplyIoctl
    ReplyLock ReplyLseek ReplyOpen ReplyPoll ReplyStatfs ReplyWrite ReplyXattr
}

traits! {
    Request: Debug, Send, Sync, Unpin;
    BackingId: Debug, Send, Sync, Unpin;
}

const OK: (fn(ReplyEmpty), fn(ReplyDirectory), fn(ReplyDirectoryPlus)) =
    (ReplyEmpty::ok, ReplyDirectory::ok, ReplyDirectoryPlus::ok);
const DATA: (
    fn(ReplyData, &[u8]),
    fn(ReplyXattr, &[u8]),
    fn(ReplyXattr, u32),
) = (ReplyData::data, ReplyXattr::data, ReplyXattr::size);
const ENTRY: (
    fn(ReplyEntry, &Duration, &FileAttr, Generation),
    fn(ReplyEntry, &Duration, &Duration, &FileAttr, Generation),
) = (ReplyEntry::entry, ReplyEntry::entry_with_ttls);
const ATTR: fn(ReplyAttr, &Duration, &FileAttr) = ReplyAttr::attr;
const OPEN: (
    fn(ReplyOpen, FileHandle, FopenFlags),
    fn(ReplyOpen, FileHandle, FopenFlags, &BackingId),
    unsafe fn(&ReplyOpen, u32) -> BackingId,
) = (
    ReplyOpen::opened,
    ReplyOpen::opened_passthrough,
    ReplyOpen::wrap_backing,
);
const CREATE: (
    fn(ReplyCreate, &Duration, &FileAttr, Generation, FileHandle, FopenFlags),
    fn(ReplyCreate, &Duration, &FileAttr, Generation, FileHandle, FopenFlags, &BackingId),
    unsafe fn(&ReplyCreate, u32) -> BackingId,
) = (
    ReplyCreate::created,
    ReplyCreate::created_passthrough,
    ReplyCreate::wrap_backing,
);
const NUMBERS: (
    fn(ReplyWrite, u32),
    fn(ReplyBmap, u64),
    fn(ReplyLseek, i64),
    fn(ReplyPoll, PollEvents),
    fn(ReplyIoctl, i32, &[u8]),
    fn(ReplyLock, u64, u64, i32, u32),
    fn(ReplyStatfs, u64, u64, u64, u64, u64, u32, u32, u32),
) = (
    ReplyWrite::written,
    ReplyBmap::bmap,
    ReplyLseek::offset,
    ReplyPoll::poll,
    ReplyIoctl::ioctl,
    ReplyLock::locked,
    ReplyStatfs::statfs,
);
const LIST: (
    fn(&mut ReplyDirectory, INodeNo, u64, FileType, String) -> bool,
    fn(&mut ReplyDirectory, INodeNo, u64, FileType, &'static OsStr) -> bool,
    fn(&mut ReplyDirectoryPlus, INodeNo, u64, String, &Duration, &FileAttr, Generation) -> bool,
) = (
    ReplyDirectory::add::<String>,
    ReplyDirectory::add::<&'static OsStr>,
    ReplyDirectoryPlus::add::<String>,
);
const REQUEST: (
    fn(&Request) -> RequestId,
    fn(&Request) -> u32,
    fn(&Request) -> u32,
    fn(&Request) -> u32,
) = (Request::unique, Request::uid, Request::gid, Request::pid);
const INTO_RAW: fn(BackingId) -> u32 = BackingId::into_raw;

fn backing(
    open: &ReplyOpen,
    create: &ReplyCreate,
    fd: &OwnedFd,
    device: BorrowedFd<'_>,
) -> io::Result<[BackingId; 2]> {
    let _: u32 = BackingId::create_raw(device, fd)?;
    Ok([open.open_backing(fd)?, create.open_backing(device)?])
}
