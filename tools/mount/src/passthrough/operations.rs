//! The adapter between fuser's requests and the tree.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags,
    INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl,
    ReplyLock, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow,
    WriteFlags,
};

use super::attributes::attributes;
use super::change::Entry;
use super::locks::Range;
use super::nodes::Identity;
use super::setattr::Changes;
use super::xattr::buffer;
use super::{Answer, Passthrough};

/// What is asked of the kernel where it offers it. Not among them: `FUSE_FLOCK_LOCKS`, because fuser
/// does not say which locks are flock(2)'s (the kernel then keeps those itself), and the write-back
/// cache, which would hide what happens in the backing tree.
const WANTED: [InitFlags; 7] = [
    InitFlags::FUSE_ASYNC_READ,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_POSIX_LOCKS,
    InitFlags::FUSE_ATOMIC_O_TRUNC,
    InitFlags::FUSE_AUTO_INVAL_DATA,
];

impl Passthrough {
    fn reply_entry(&self, answer: Answer<Entry>, reply: ReplyEntry) {
        match answer {
            Ok((id, stat)) => reply.entry_with_ttls(
                &self.attr_ttl,
                &self.entry_ttl,
                &attributes(id, &stat),
                Identity::of(&stat).generation(),
            ),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    /// Replies that carry one time-out for name and attributes get the shorter.
    fn shorter_ttl(&self) -> Duration {
        self.entry_ttl.min(self.attr_ttl)
    }
}

fn errno_of(errno: rustix::io::Errno) -> Errno {
    Errno::from_i32(errno.raw_os_error())
}

fn reply_empty(answer: Answer<()>, reply: ReplyEmpty) {
    match answer {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno_of(errno)),
    }
}

fn reply_written(answer: Answer<u32>, reply: ReplyWrite) {
    match answer {
        Ok(size) => reply.written(size),
        Err(errno) => reply.error(errno_of(errno)),
    }
}

fn reply_opened(answer: Answer<FileHandle>, reply: ReplyOpen) {
    match answer {
        Ok(handle) => reply.opened(handle, FopenFlags::empty()),
        Err(errno) => reply.error(errno_of(errno)),
    }
}

/// The reply to a request for at most `size` bytes of an attribute; 0 asks how many there are.
fn reply_xattr(size: u32, answer: Answer<usize>, value: &[u8], reply: ReplyXattr) {
    match answer {
        Ok(length) if size == 0 => reply.size(u32::try_from(length).unwrap_or(u32::MAX)),
        Ok(length) => reply.data(&value[..length]),
        Err(errno) => reply.error(errno_of(errno)),
    }
}

impl Filesystem for Passthrough {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for flag in WANTED {
            if config.add_capabilities(flag).is_err() {
                log::info!("this kernel does not offer {flag:?}");
            }
        }
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.reply_entry(self.tree.lookup(parent.0, name), reply);
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.tree.forget(ino.0, nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        // A file that is open is reached through its descriptors whether a handle came along or not.
        let _ = fh;
        match self.tree.stat(ino.0) {
            Ok(stat) => reply.attr(&self.attr_ttl, &attributes(ino.0, &stat)),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changes = Changes {
            mode,
            uid,
            gid,
            size,
            atime,
            mtime,
        };
        match self.tree.setattr(ino.0, fh, &changes) {
            Ok(stat) => reply.attr(&self.attr_ttl, &attributes(ino.0, &stat)),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        match self.tree.readlink(ino.0) {
            Ok(target) => reply.data(&target),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        self.reply_entry(self.tree.mknod(req, parent.0, name, mode, rdev), reply);
    }

    fn mkdir(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        self.reply_entry(self.tree.mkdir(req, parent.0, name, mode), reply);
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(self.tree.unlink(parent.0, name), reply);
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(self.tree.rmdir(parent.0, name), reply);
    }

    fn symlink(
        &self,
        req: &Request,
        parent: INodeNo,
        link_name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        self.reply_entry(self.tree.symlink(req, parent.0, link_name, target), reply);
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply_empty(
            self.tree
                .rename((parent.0, name), (newparent.0, newname), flags),
            reply,
        );
    }

    fn link(
        &self,
        _req: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        self.reply_entry(self.tree.link(ino.0, newparent.0, newname), reply);
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        reply_opened(self.tree.open(ino.0, flags.0), reply);
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.tree.read(ino.0, fh, offset, size, |read| match read {
            Ok(data) => reply.data(data),
            Err(errno) => reply.error(errno_of(errno)),
        });
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let through_cache = write_flags.contains(WriteFlags::FUSE_WRITE_CACHE);
        reply_written(
            self.tree.write(ino.0, fh, offset, data, through_cache),
            reply,
        );
    }

    fn flush(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        self.tree.unlock_all(ino.0, lock_owner);
        reply.ok();
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.tree.release(ino.0, fh);
        reply.ok();
    }

    fn fsync(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply_empty(self.tree.sync(ino.0, fh, datasync), reply);
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply_opened(self.tree.opendir(ino.0), reply);
    }

    fn readdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let added = self.tree.readdir(ino.0, fh, offset, |item| {
            reply.add(INodeNo(item.id), item.next, item.kind, item.name)
        });
        match added {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn readdirplus(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let ttl = self.shorter_ttl();
        let added = self.tree.readdirplus(ino.0, fh, offset, |item, stat| {
            let generation = Identity::of(stat).generation();
            reply.add(
                INodeNo(item.id),
                item.next,
                item.name,
                &ttl,
                &attributes(item.id, stat),
                generation,
            )
        });
        match added {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.tree.releasedir(fh);
        reply.ok();
    }

    fn fsyncdir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply_empty(self.tree.syncdir(fh, datasync), reply);
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        match rustix::fs::fstatvfs(&self.tree.root) {
            Ok(found) => reply.statfs(
                found.f_blocks,
                found.f_bfree,
                found.f_bavail,
                found.f_files,
                found.f_ffree,
                u32::try_from(found.f_bsize).unwrap_or(u32::MAX),
                u32::try_from(found.f_namemax).unwrap_or(u32::MAX),
                u32::try_from(found.f_frsize).unwrap_or(u32::MAX),
            ),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn setxattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        reply_empty(self.tree.setxattr(ino.0, name, value, flags), reply);
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let mut value = buffer(size);
        let answer = self.tree.getxattr(ino.0, name, &mut value);
        reply_xattr(size, answer, &value, reply);
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let mut names = buffer(size);
        let answer = self.tree.listxattr(ino.0, &mut names);
        reply_xattr(size, answer, &names, reply);
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(self.tree.removexattr(ino.0, name), reply);
    }

    fn access(&self, req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        reply_empty(self.tree.access(req, ino.0, mask), reply);
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        match self.tree.create(req, parent.0, name, mode, flags) {
            Ok(((id, stat), handle)) => reply.created(
                &self.shorter_ttl(),
                &attributes(id, &stat),
                Identity::of(&stat).generation(),
                handle,
                FopenFlags::empty(),
            ),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn getlk(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        reply: ReplyLock,
    ) {
        match self.tree.getlk(
            ino.0,
            fh,
            lock_owner,
            Range {
                start,
                end,
                kind: typ,
                pid,
            },
        ) {
            Ok(found) => reply.locked(found.start, found.end, found.kind, found.pid),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn setlk(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        let range = Range {
            start,
            end,
            kind: typ,
            pid,
        };
        self.tree
            .setlk(ino.0, fh, lock_owner, range, sleep, |answer| {
                reply_empty(answer, reply);
            });
    }

    /// No backing ioctl(2) is passed on: its argument's shape would have to be known.
    fn ioctl(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _flags: IoctlFlags,
        _cmd: u32,
        _in_data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        reply_empty(self.tree.allocate(ino.0, fh, offset, length, mode), reply);
    }

    fn lseek(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        match self.tree.seek(ino.0, fh, offset, whence) {
            Ok(found) => reply.offset(found),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn copy_file_range(
        &self,
        _req: &Request,
        ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let (from, to) = (
            (ino_in.0, fh_in, offset_in),
            (ino_out.0, fh_out, offset_out),
        );
        reply_written(self.tree.copy(from, to, len), reply);
    }
}
