//! The trait `Filesystem`, as who calls it sees it.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, FileHandle, Filesystem, INodeNo, IoctlFlags,
    KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier, RenameFlags,
    ReplyAttr, ReplyBmap, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, TimeOrNow, WriteFlags,
};

fn methods<F: Filesystem>() {
    let _: fn(&mut F, &Request, &mut KernelConfig) -> io::Result<()> = F::init;
    let _: fn(&mut F) = F::destroy;
    let _: fn(&F, &Request, INodeNo, &OsStr, ReplyEntry) = F::lookup;
    let _: fn(&F, &Request, INodeNo, u64) = F::forget;
    let _: fn(&F, &Request, INodeNo, Option<FileHandle>, ReplyAttr) = F::getattr;
    let _: fn(
        &F,
        &Request,
        INodeNo,
        Option<u32>,
        Option<u32>,
        Option<u32>,
        Option<u64>,
        Option<TimeOrNow>,
        Option<TimeOrNow>,
        Option<SystemTime>,
        Option<FileHandle>,
        Option<SystemTime>,
        Option<SystemTime>,
        Option<SystemTime>,
        Option<BsdFileFlags>,
        ReplyAttr,
    ) = F::setattr;
    let _: fn(&F, &Request, INodeNo, ReplyData) = F::readlink;
    let _: fn(&F, &Request, INodeNo, &OsStr, u32, u32, u32, ReplyEntry) = F::mknod;
    let _: fn(&F, &Request, INodeNo, &OsStr, u32, u32, ReplyEntry) = F::mkdir;
    let _: fn(&F, &Request, INodeNo, &OsStr, ReplyEmpty) = F::unlink;
    let _: fn(&F, &Request, INodeNo, &OsStr, ReplyEmpty) = F::rmdir;
    let _: fn(&F, &Request, INodeNo, &OsStr, &Path, ReplyEntry) = F::symlink;
    let _: fn(&F, &Request, INodeNo, &OsStr, INodeNo, &OsStr, RenameFlags, ReplyEmpty) = F::rename;
    let _: fn(&F, &Request, INodeNo, INodeNo, &OsStr, ReplyEntry) = F::link;
    let _: fn(&F, &Request, INodeNo, OpenFlags, ReplyOpen) = F::open;
    let _: fn(
        &F,
        &Request,
        INodeNo,
        FileHandle,
        u64,
        u32,
        OpenFlags,
        Option<LockOwner>,
        ReplyData,
    ) = F::read;
    let _: fn(
        &F,
        &Request,
        INodeNo,
        FileHandle,
        u64,
        &[u8],
        WriteFlags,
        OpenFlags,
        Option<LockOwner>,
        ReplyWrite,
    ) = F::write;
    let _: fn(&F, &Request, INodeNo, FileHandle, LockOwner, ReplyEmpty) = F::flush;
    let _: fn(&F, &Request, INodeNo, FileHandle, OpenFlags, Option<LockOwner>, bool, ReplyEmpty) =
        F::release;
    let _: fn(&F, &Request, INodeNo, FileHandle, bool, ReplyEmpty) = F::fsync;
    let _: fn(&F, &Request, INodeNo, OpenFlags, ReplyOpen) = F::opendir;
    let _: fn(&F, &Request, INodeNo, FileHandle, u64, ReplyDirectory) = F::readdir;
    let _: fn(&F, &Request, INodeNo, FileHandle, u64, ReplyDirectoryPlus) = F::readdirplus;
    let _: fn(&F, &Request, INodeNo, FileHandle, OpenFlags, ReplyEmpty) = F::releasedir;
    let _: fn(&F, &Request, INodeNo, FileHandle, bool, ReplyEmpty) = F::fsyncdir;
    let _: fn(&F, &Request, INodeNo, ReplyStatfs) = F::statfs;
    let _: fn(&F, &Request, INodeNo, &OsStr, &[u8], i32, u32, ReplyEmpty) = F::setxattr;
    let _: fn(&F, &Request, INodeNo, &OsStr, u32, ReplyXattr) = F::getxattr;
    let _: fn(&F, &Request, INodeNo, u32, ReplyXattr) = F::listxattr;
    let _: fn(&F, &Request, INodeNo, &OsStr, ReplyEmpty) = F::removexattr;
    let _: fn(&F, &Request, INodeNo, AccessFlags, ReplyEmpty) = F::access;
    let _: fn(&F, &Request, INodeNo, &OsStr, u32, u32, i32, ReplyCreate) = F::create;
    let _: fn(&F, &Request, INodeNo, FileHandle, LockOwner, u64, u64, i32, u32, ReplyLock) =
        F::getlk;
    let _: fn(&F, &Request, INodeNo, FileHandle, LockOwner, u64, u64, i32, u32, bool, ReplyEmpty) =
        F::setlk;
    let _: fn(&F, &Request, INodeNo, u32, u64, ReplyBmap) = F::bmap;
    let _: fn(&F, &Request, INodeNo, FileHandle, IoctlFlags, u32, &[u8], u32, ReplyIoctl) =
        F::ioctl;
    let _: fn(&F, &Request, INodeNo, FileHandle, PollNotifier, PollEvents, PollFlags, ReplyPoll) =
        F::poll;
    let _: fn(&F, &Request, INodeNo, FileHandle, u64, u64, i32, ReplyEmpty) = F::fallocate;
    let _: fn(&F, &Request, INodeNo, FileHandle, i64, i32, ReplyLseek) = F::lseek;
    let _: fn(
        &F,
        &Request,
        INodeNo,
        FileHandle,
        u64,
        INodeNo,
        FileHandle,
        u64,
        u64,
        CopyFileRangeFlags,
        ReplyWrite,
    ) = F::copy_file_range;
}

/// Its argument has no public name: nobody can write a method of this name, but call it.
fn batch_forget<F: Filesystem>(fs: &F, req: &Request) {
    fs.batch_forget(req, &[]);
}

/// It may be used as an object.
fn object(fs: &dyn Filesystem, req: &Request) {
    fs.forget(req, INodeNo::ROOT, 1_u64);
}
