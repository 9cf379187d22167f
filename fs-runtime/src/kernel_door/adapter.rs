//! fuser's file system: hands each request to ours.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, INodeNo, IoctlFlags,
    KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier, RenameFlags,
    TimeOrNow, WriteFlags,
};

use super::link::DoorLink;
use super::notes::{AttrNote, EntryNote, ListingNote, OpenNote, Settle};
use super::{Bypass, Doors};
use crate::filesystem::Filesystem;
use crate::reply::{
    ReplyAttr, ReplyBmap, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite,
    ReplyXattr,
};
use crate::served::{Call, Served};

/// The file system as fuser sees it.
pub(crate) struct KernelDoor<FS: Filesystem> {
    fs: Arc<Served<FS>>,
    doors: Arc<Doors>,
    bypass: Arc<Bypass<FS>>,
}

impl<FS: Filesystem> fmt::Debug for KernelDoor<FS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelDoor")
            .field("doors", &self.doors)
            .finish_non_exhaustive()
    }
}

impl<FS: Filesystem> KernelDoor<FS> {
    /// `threads` is how many serve it.
    pub(crate) fn new(fs: FS, threads: usize, doors: Arc<Doors>, bypass: Arc<Bypass<FS>>) -> Self {
        KernelDoor {
            fs: Arc::new(Served::new(fs, threads)),
            doors,
            bypass,
        }
    }

    /// The file system, for one call; see [`KernelCall`].
    fn call(&self) -> KernelCall<'_, FS> {
        KernelCall {
            call: self.fs.call(),
            _after: LeaveToTheWatcher,
        }
    }

    fn reserved(&self, parent: INodeNo, name: &OsStr) -> bool {
        self.doors.link_at(parent, name).is_some()
    }

    fn is_link(&self, node: INodeNo) -> bool {
        self.doors.link_node(node).is_some()
    }
}

/// A call for the kernel. Whoever made it then leaves the CPU that is watched from: it will
/// be woken where it was, and what waits for it must not wait for the watcher.
struct KernelCall<'a, FS> {
    call: Call<'a, FS>,
    _after: LeaveToTheWatcher,
}

struct LeaveToTheWatcher;

impl Drop for LeaveToTheWatcher {
    fn drop(&mut self) {
        finesse_channel::run_soon();
        finesse_channel::leave_to_the_watcher();
    }
}

impl<FS> Deref for KernelCall<'_, FS> {
    type Target = FS;

    fn deref(&self) -> &FS {
        &self.call
    }
}

impl<FS: Filesystem> fuser::Filesystem for KernelDoor<FS> {
    fn init(&mut self, req: &fuser::Request, config: &mut KernelConfig) -> io::Result<()> {
        let fs = Arc::get_mut(&mut self.fs)
            .ok_or_else(|| io::Error::other("the file system was initialised before"))?;
        fs.get_mut().init(&req.into(), config)?;
        self.bypass.ready(&self.fs, config);
        Ok(())
    }

    /// The bypass door closes first, so that this is the last call of the file system.
    fn destroy(&mut self) {
        self.bypass.close();
        match Arc::get_mut(&mut self.fs) {
            Some(fs) => fs.get_mut().destroy(),
            None => log::error!("the bypass door still uses the file system: not destroyed"),
        }
    }

    fn lookup(
        &self,
        req: &fuser::Request,
        parent: INodeNo,
        name: &OsStr,
        reply: fuser::ReplyEntry,
    ) {
        if let Some(link) = self.doors.link_at(parent, name) {
            return link.lookup(reply);
        }
        let note = EntryNote::lookup(&self.doors, parent, name);
        let reply = ReplyEntry::kernel(reply, note);
        self.call().lookup(&req.into(), parent, name, reply);
    }

    // fuser's batch_forget comes here as well, node by node: its argument has no public
    // name.
    fn forget(&self, req: &fuser::Request, ino: INodeNo, nlookup: u64) {
        if self.is_link(ino) {
            return;
        }
        self.doors.view.forgot(ino, nlookup);
        self.call().forget(&req.into(), ino, nlookup);
    }

    fn getattr(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: Option<FileHandle>,
        reply: fuser::ReplyAttr,
    ) {
        if let Some(link) = self.doors.link_node(ino) {
            return link.getattr(reply);
        }
        let reply = ReplyAttr::kernel(reply, AttrNote::question(&self.doors, ino));
        self.call().getattr(&req.into(), ino, fh, reply);
    }

    fn setattr(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        crtime: Option<SystemTime>,
        chgtime: Option<SystemTime>,
        bkuptime: Option<SystemTime>,
        flags: Option<BsdFileFlags>,
        reply: fuser::ReplyAttr,
    ) {
        if self.is_link(ino) {
            return reply.error(DoorLink::IMMUTABLE);
        }
        let reply = ReplyAttr::kernel(reply, AttrNote::change(&self.doors, ino));
        self.call().setattr(
            &req.into(),
            ino,
            mode,
            uid,
            gid,
            size,
            atime,
            mtime,
            ctime,
            fh,
            crtime,
            chgtime,
            bkuptime,
            flags,
            reply,
        );
    }

    fn readlink(&self, req: &fuser::Request, ino: INodeNo, reply: fuser::ReplyData) {
        if let Some(link) = self.doors.link_node(ino) {
            return link.readlink(reply);
        }
        self.call()
            .readlink(&req.into(), ino, ReplyData::kernel(reply));
    }

    fn mknod(
        &self,
        req: &fuser::Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: fuser::ReplyEntry,
    ) {
        if self.reserved(parent, name) {
            return reply.error(DoorLink::EXISTS);
        }
        let note = EntryNote::change(&self.doors, parent, name, None);
        let reply = ReplyEntry::kernel(reply, note);
        self.call()
            .mknod(&req.into(), parent, name, mode, umask, rdev, reply);
    }

    fn mkdir(
        &self,
        req: &fuser::Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: fuser::ReplyEntry,
    ) {
        if self.reserved(parent, name) {
            return reply.error(DoorLink::EXISTS);
        }
        let note = EntryNote::change(&self.doors, parent, name, None);
        let reply = ReplyEntry::kernel(reply, note);
        self.call()
            .mkdir(&req.into(), parent, name, mode, umask, reply);
    }

    fn unlink(
        &self,
        req: &fuser::Request,
        parent: INodeNo,
        name: &OsStr,
        reply: fuser::ReplyEmpty,
    ) {
        if self.reserved(parent, name) {
            return reply.error(DoorLink::IMMUTABLE);
        }
        let reply = ReplyEmpty::kernel(reply, Settle::removal(&self.doors, parent, name));
        self.call().unlink(&req.into(), parent, name, reply);
    }

    fn rmdir(&self, req: &fuser::Request, parent: INodeNo, name: &OsStr, reply: fuser::ReplyEmpty) {
        if self.reserved(parent, name) {
            return reply.error(Errno::ENOTDIR);
        }
        let reply = ReplyEmpty::kernel(reply, Settle::removal(&self.doors, parent, name));
        self.call().rmdir(&req.into(), parent, name, reply);
    }

    fn symlink(
        &self,
        req: &fuser::Request,
        parent: INodeNo,
        link_name: &OsStr,
        target: &Path,
        reply: fuser::ReplyEntry,
    ) {
        if self.reserved(parent, link_name) {
            return reply.error(DoorLink::EXISTS);
        }
        let note = EntryNote::change(&self.doors, parent, link_name, None);
        let reply = ReplyEntry::kernel(reply, note);
        self.call()
            .symlink(&req.into(), parent, link_name, target, reply);
    }

    fn rename(
        &self,
        req: &fuser::Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: fuser::ReplyEmpty,
    ) {
        if self.reserved(parent, name) || self.reserved(newparent, newname) {
            return reply.error(DoorLink::IMMUTABLE);
        }
        let (from, to) = ((parent, name), (newparent, newname));
        let reply = ReplyEmpty::kernel(reply, Settle::rename(&self.doors, from, to, flags));
        let request = req.into();
        self.call()
            .rename(&request, parent, name, newparent, newname, flags, reply);
    }

    fn link(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: fuser::ReplyEntry,
    ) {
        if self.is_link(ino) {
            return reply.error(DoorLink::IMMUTABLE);
        }
        if self.reserved(newparent, newname) {
            return reply.error(DoorLink::EXISTS);
        }
        let note = EntryNote::change(&self.doors, newparent, newname, Some(ino));
        let reply = ReplyEntry::kernel(reply, note);
        self.call()
            .link(&req.into(), ino, newparent, newname, reply);
    }

    fn open(&self, req: &fuser::Request, ino: INodeNo, flags: OpenFlags, reply: fuser::ReplyOpen) {
        if self.is_link(ino) {
            return reply.error(DoorLink::IMMUTABLE);
        }
        let note = OpenNote::File(AttrNote::change(&self.doors, ino));
        self.call()
            .open(&req.into(), ino, flags, ReplyOpen::kernel(reply, note));
    }

    fn read(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        reply: fuser::ReplyData,
    ) {
        let (request, reply) = (req.into(), ReplyData::kernel(reply));
        self.call()
            .read(&request, ino, fh, offset, size, flags, lock_owner, reply);
    }

    fn write(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        reply: fuser::ReplyWrite,
    ) {
        let note = AttrNote::change(&self.doors, ino);
        self.call().write(
            &req.into(),
            ino,
            fh,
            offset,
            data,
            write_flags,
            flags,
            lock_owner,
            ReplyWrite::kernel(reply, note),
        );
    }

    fn flush(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        reply: fuser::ReplyEmpty,
    ) {
        let reply = ReplyEmpty::kernel(reply, Settle::nothing());
        self.call().flush(&req.into(), ino, fh, lock_owner, reply);
    }

    fn release(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        flush: bool,
        reply: fuser::ReplyEmpty,
    ) {
        let reply = ReplyEmpty::kernel(reply, Settle::nothing());
        self.call()
            .release(&req.into(), ino, fh, flags, lock_owner, flush, reply);
    }

    fn fsync(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: fuser::ReplyEmpty,
    ) {
        let reply = ReplyEmpty::kernel(reply, Settle::nothing());
        self.call().fsync(&req.into(), ino, fh, datasync, reply);
    }

    fn opendir(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        flags: OpenFlags,
        reply: fuser::ReplyOpen,
    ) {
        let note = OpenNote::Directory(Arc::clone(&self.doors), ino);
        self.call()
            .opendir(&req.into(), ino, flags, ReplyOpen::kernel(reply, note));
    }

    fn readdir(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: fuser::ReplyDirectory,
    ) {
        let held = self.doors.gate.list(ino.0);
        let reply = ReplyDirectory::kernel(reply, held);
        self.call().readdir(&req.into(), ino, fh, offset, reply);
    }

    fn readdirplus(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: fuser::ReplyDirectoryPlus,
    ) {
        let note = ListingNote::new(&self.doors, ino);
        let reply = ReplyDirectoryPlus::kernel(reply, note);
        self.call().readdirplus(&req.into(), ino, fh, offset, reply);
    }

    fn releasedir(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        flags: OpenFlags,
        reply: fuser::ReplyEmpty,
    ) {
        let reply = ReplyEmpty::kernel(reply, Settle::nothing());
        self.call().releasedir(&req.into(), ino, fh, flags, reply);
    }

    fn fsyncdir(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: fuser::ReplyEmpty,
    ) {
        let reply = ReplyEmpty::kernel(reply, Settle::nothing());
        self.call().fsyncdir(&req.into(), ino, fh, datasync, reply);
    }

    fn statfs(&self, req: &fuser::Request, ino: INodeNo, reply: fuser::ReplyStatfs) {
        let node = if self.is_link(ino) {
            INodeNo::ROOT
        } else {
            ino
        };
        self.call()
            .statfs(&req.into(), node, ReplyStatfs::kernel(reply));
    }

    fn setxattr(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        position: u32,
        reply: fuser::ReplyEmpty,
    ) {
        if self.is_link(ino) {
            return reply.error(DoorLink::IMMUTABLE);
        }
        let reply = ReplyEmpty::kernel(reply, Settle::attributes(&self.doors, ino));
        self.call()
            .setxattr(&req.into(), ino, name, value, flags, position, reply);
    }

    fn getxattr(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        name: &OsStr,
        size: u32,
        reply: fuser::ReplyXattr,
    ) {
        if self.is_link(ino) {
            return reply.error(Errno::NO_XATTR);
        }
        self.call()
            .getxattr(&req.into(), ino, name, size, ReplyXattr::kernel(reply));
    }

    fn listxattr(&self, req: &fuser::Request, ino: INodeNo, size: u32, reply: fuser::ReplyXattr) {
        if self.is_link(ino) {
            return DoorLink::listxattr(size, reply);
        }
        self.call()
            .listxattr(&req.into(), ino, size, ReplyXattr::kernel(reply));
    }

    fn removexattr(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        name: &OsStr,
        reply: fuser::ReplyEmpty,
    ) {
        if self.is_link(ino) {
            return reply.error(DoorLink::IMMUTABLE);
        }
        let reply = ReplyEmpty::kernel(reply, Settle::attributes(&self.doors, ino));
        self.call().removexattr(&req.into(), ino, name, reply);
    }

    fn access(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        mask: AccessFlags,
        reply: fuser::ReplyEmpty,
    ) {
        if self.is_link(ino) {
            return reply.ok();
        }
        let reply = ReplyEmpty::kernel(reply, Settle::nothing());
        self.call().access(&req.into(), ino, mask, reply);
    }

    fn create(
        &self,
        req: &fuser::Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: fuser::ReplyCreate,
    ) {
        if self.reserved(parent, name) {
            return reply.error(DoorLink::EXISTS);
        }
        let note = EntryNote::change(&self.doors, parent, name, None);
        let reply = ReplyCreate::kernel(reply, note);
        self.call()
            .create(&req.into(), parent, name, mode, umask, flags, reply);
    }

    fn getlk(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        reply: fuser::ReplyLock,
    ) {
        let (request, reply) = (req.into(), ReplyLock::kernel(reply));
        self.call()
            .getlk(&request, ino, fh, lock_owner, start, end, typ, pid, reply);
    }

    fn setlk(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        sleep: bool,
        reply: fuser::ReplyEmpty,
    ) {
        self.call().setlk(
            &req.into(),
            ino,
            fh,
            lock_owner,
            start,
            end,
            typ,
            pid,
            sleep,
            ReplyEmpty::kernel(reply, Settle::nothing()),
        );
    }

    fn bmap(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        blocksize: u32,
        idx: u64,
        reply: fuser::ReplyBmap,
    ) {
        self.call()
            .bmap(&req.into(), ino, blocksize, idx, ReplyBmap::kernel(reply));
    }

    fn ioctl(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        flags: IoctlFlags,
        cmd: u32,
        in_data: &[u8],
        out_size: u32,
        reply: fuser::ReplyIoctl,
    ) {
        let (request, reply) = (req.into(), ReplyIoctl::kernel(reply));
        self.call()
            .ioctl(&request, ino, fh, flags, cmd, in_data, out_size, reply);
    }

    fn poll(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        ph: PollNotifier,
        events: PollEvents,
        flags: PollFlags,
        reply: fuser::ReplyPoll,
    ) {
        let (request, reply) = (req.into(), ReplyPoll::kernel(reply));
        self.call()
            .poll(&request, ino, fh, ph, events, flags, reply);
    }

    fn fallocate(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: fuser::ReplyEmpty,
    ) {
        let reply = ReplyEmpty::kernel(reply, Settle::attributes(&self.doors, ino));
        self.call()
            .fallocate(&req.into(), ino, fh, offset, length, mode, reply);
    }

    fn lseek(
        &self,
        req: &fuser::Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: fuser::ReplyLseek,
    ) {
        let (request, reply) = (req.into(), ReplyLseek::kernel(reply));
        self.call().lseek(&request, ino, fh, offset, whence, reply);
    }

    fn copy_file_range(
        &self,
        req: &fuser::Request,
        ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        flags: CopyFileRangeFlags,
        reply: fuser::ReplyWrite,
    ) {
        let note = AttrNote::change(&self.doors, ino_out);
        self.call().copy_file_range(
            &req.into(),
            ino_in,
            fh_in,
            offset_in,
            ino_out,
            fh_out,
            offset_out,
            len,
            flags,
            ReplyWrite::kernel(reply, note),
        );
    }
}
