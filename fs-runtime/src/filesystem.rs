//! The trait that a file system implements.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, FopenFlags, INodeNo,
    IoctlFlags, KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier,
    RenameFlags, TimeOrNow, WriteFlags,
};
use log::warn;

use crate::reply::{
    ReplyAttr, ReplyBmap, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite,
    ReplyXattr,
};
use crate::request::{ForgetOne, Request};

/// Warns and answers ENOSYS, or the given errno.
macro_rules! unsupported {
    ($reply:ident, $($message:tt)+) => {
        unsupported!(Errno::ENOSYS => $reply, $($message)+)
    };
    ($errno:expr => $reply:ident, $($message:tt)+) => {{
        warn!("[Not Implemented] {}", format_args!($($message)+));
        $reply.error($errno);
    }};
}

/// A file system: `fuser::Filesystem`, method for method.
///
/// The methods are the operations of the FUSE protocol (fuse(4),
/// include/uapi/linux/fuse.h). Each gets a reply that it answers once, now or later, from
/// any thread; one that is dropped answers EIO. Requests come from the kernel and, for
/// operations on names and attributes, from the bypass door, and may run side by side in
/// many threads; in one directory, changes and listings never do.
///
/// A method that is not implemented warns and answers ENOSYS unless its description says
/// otherwise.
#[allow(clippy::too_many_arguments)]
pub trait Filesystem: Send + Sync + 'static {
    /// Called first, once: the place to negotiate features with the kernel. By default
    /// nothing is done.
    ///
    /// # Errors
    /// The mount fails with the error that is returned.
    fn init(&mut self, _req: &Request, _config: &mut KernelConfig) -> io::Result<()> {
        Ok(())
    }

    /// Called last, once, when no request is under way on either door.
    fn destroy(&mut self) {}

    /// Finds `name` in `parent`. A node that is answered counts as looked up once more.
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        unsupported!(reply, "lookup(parent: {parent:#x?}, name {name:?})");
    }

    /// Takes back `nlookup` look-ups of a node; with the last one nobody knows the node
    /// any more. At unmount look-ups may be left over. By default nothing is done.
    fn forget(&self, _req: &Request, _ino: INodeNo, _nlookup: u64) {}

    /// Takes back look-ups of many nodes. By default each goes to
    /// [`forget`](Filesystem::forget).
    fn batch_forget(&self, req: &Request, nodes: &[ForgetOne]) {
        for node in nodes {
            self.forget(req, node.nodeid(), node.nlookup());
        }
    }

    /// Answers the attributes of a node.
    fn getattr(&self, _req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        unsupported!(reply, "getattr(ino: {ino:#x?}, fh: {fh:#x?})");
    }

    /// Changes those attributes of a node that are given, and answers all.
    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        unsupported!(
            reply,
            "setattr(ino: {ino:#x?}, mode: {mode:?}, uid: {uid:?}, gid: {gid:?}, \
             size: {size:?}, fh: {fh:?}, flags: {flags:?})"
        );
    }

    /// Answers the target of a symbolic link.
    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        unsupported!(reply, "readlink(ino: {ino:#x?})");
    }

    /// Makes a file, device, FIFO or socket; `mode` has the type.
    fn mknod(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        unsupported!(
            reply,
            "mknod(parent: {parent:#x?}, name: {name:?}, mode: {mode}, umask: {umask:#x?}, \
             rdev: {rdev})"
        );
    }

    /// Makes a directory.
    fn mkdir(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        unsupported!(
            reply,
            "mkdir(parent: {parent:#x?}, name: {name:?}, mode: {mode}, umask: {umask:#x?})"
        );
    }

    /// Removes a name that is not a directory's.
    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        unsupported!(reply, "unlink(parent: {parent:#x?}, name: {name:?})");
    }

    /// Removes an empty directory.
    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        unsupported!(reply, "rmdir(parent: {parent:#x?}, name: {name:?})");
    }

    /// Makes a symbolic link. By default EPERM.
    fn symlink(
        &self,
        _req: &Request,
        parent: INodeNo,
        link_name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        unsupported!(
            Errno::EPERM => reply,
            "symlink(parent: {parent:#x?}, link_name: {link_name:?}, target: {target:?})"
        );
    }

    /// Renames, as renameat2(2) with `flags`.
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
        unsupported!(
            reply,
            "rename(parent: {parent:#x?}, name: {name:?}, newparent: {newparent:#x?}, \
             newname: {newname:?}, flags: {flags})"
        );
    }

    /// Gives a node one more name. By default EPERM.
    fn link(
        &self,
        _req: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        unsupported!(
            Errno::EPERM => reply,
            "link(ino: {ino:#x?}, newparent: {newparent:#x?}, newname: {newname:?})"
        );
    }

    /// Opens a file; the handle that is answered comes with every operation on it. By
    /// default it succeeds with handle 0.
    fn open(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    /// Answers `size` bytes from `offset` on, fewer only at the end of the file (or when
    /// the file was opened with direct I/O).
    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        unsupported!(
            reply,
            "read(ino: {ino:#x?}, fh: {fh}, offset: {offset}, size: {size}, \
             flags: {flags:#x?}, lock_owner: {lock_owner:?})"
        );
    }

    /// Writes all of `data` at `offset` (with direct I/O, maybe fewer). When
    /// `write_flags` say that it comes from the page cache, caller and handle may be
    /// others' than the writer's.
    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        unsupported!(
            reply,
            "write(ino: {ino:#x?}, fh: {fh}, offset: {offset}, data.len(): {}, \
             write_flags: {write_flags:#x?}, flags: {flags:#x?}, lock_owner: {lock_owner:?})",
            data.len()
        );
    }

    /// A descriptor of the file was closed: the last chance to report errors of writes,
    /// and the time to drop the locks of `lock_owner`. May come often for one open.
    fn flush(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        unsupported!(
            reply,
            "flush(ino: {ino:#x?}, fh: {fh}, lock_owner: {lock_owner:?})"
        );
    }

    /// The last descriptor and mapping of an opened file are gone. By default it
    /// succeeds.
    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    /// Makes the file's content durable, and its attributes unless `datasync`.
    fn fsync(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        unsupported!(
            reply,
            "fsync(ino: {ino:#x?}, fh: {fh}, datasync: {datasync})"
        );
    }

    /// Opens a directory. By default it succeeds with handle 0.
    fn opendir(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    /// Lists a directory from `offset` on; no entries mean the end.
    fn readdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        unsupported!(reply, "readdir(ino: {ino:#x?}, fh: {fh}, offset: {offset})");
    }

    /// Lists a directory with attributes; each entry counts as a look-up.
    fn readdirplus(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        unsupported!(
            reply,
            "readdirplus(ino: {ino:#x?}, fh: {fh}, offset: {offset})"
        );
    }

    /// The last descriptor of an opened directory is gone. By default it succeeds.
    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    /// Makes a directory's content durable, and its attributes unless `datasync`.
    fn fsyncdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        unsupported!(
            reply,
            "fsyncdir(ino: {ino:#x?}, fh: {fh}, datasync: {datasync})"
        );
    }

    /// Answers statistics. By default zeros, with blocks of 512 and names of 255 bytes.
    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        reply.statfs(0, 0, 0, 0, 0, 512, 255, 0);
    }

    /// Sets an extended attribute, as setxattr(2) with `flags`.
    fn setxattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        name: &OsStr,
        _value: &[u8],
        flags: i32,
        position: u32,
        reply: ReplyEmpty,
    ) {
        unsupported!(
            reply,
            "setxattr(ino: {ino:#x?}, name: {name:?}, flags: {flags:#x?}, position: {position})"
        );
    }

    /// Answers an extended attribute: its size when `size` is 0, ERANGE when it is longer
    /// than `size`.
    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        unsupported!(
            reply,
            "getxattr(ino: {ino:#x?}, name: {name:?}, size: {size})"
        );
    }

    /// Answers the names of the extended attributes; sizes as in
    /// [`getxattr`](Filesystem::getxattr).
    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        unsupported!(reply, "listxattr(ino: {ino:#x?}, size: {size})");
    }

    /// Removes an extended attribute.
    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        unsupported!(reply, "removexattr(ino: {ino:#x?}, name: {name:?})");
    }

    /// Answers whether access(2) with `mask` is allowed. Not asked on mounts with
    /// `default_permissions`.
    fn access(&self, _req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        unsupported!(reply, "access(ino: {ino:#x?}, mask: {mask})");
    }

    /// Makes and opens a file in one step; when not implemented, mknod and open do.
    fn create(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        unsupported!(
            reply,
            "create(parent: {parent:#x?}, name: {name:?}, mode: {mode}, umask: {umask:#x?}, \
             flags: {flags:#x?})"
        );
    }

    /// Answers which lock would be in the way of this one.
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
        unsupported!(
            reply,
            "getlk(ino: {ino:#x?}, fh: {fh}, lock_owner: {lock_owner}, start: {start}, \
             end: {end}, typ: {typ}, pid: {pid})"
        );
    }

    /// Takes, changes or drops a lock of `lock_owner`, waiting for it when `sleep`. When
    /// not implemented, locks are the kernel's and local.
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
        unsupported!(
            reply,
            "setlk(ino: {ino:#x?}, fh: {fh}, lock_owner: {lock_owner}, start: {start}, \
             end: {end}, typ: {typ}, pid: {pid}, sleep: {sleep})"
        );
    }

    /// Answers where block `idx` of the file is on the device, for mounts of block
    /// devices.
    fn bmap(&self, _req: &Request, ino: INodeNo, blocksize: u32, idx: u64, reply: ReplyBmap) {
        unsupported!(
            reply,
            "bmap(ino: {ino:#x?}, blocksize: {blocksize}, idx: {idx})"
        );
    }

    /// Does a restricted ioctl(2): the kernel has derived the sizes from `cmd`.
    fn ioctl(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        flags: IoctlFlags,
        cmd: u32,
        in_data: &[u8],
        out_size: u32,
        reply: ReplyIoctl,
    ) {
        unsupported!(
            reply,
            "ioctl(ino: {ino:#x?}, fh: {fh}, flags: {flags}, cmd: {cmd}, \
             in_data.len(): {}, out_size: {out_size})",
            in_data.len()
        );
    }

    /// Answers which of `events` are ready; `ph` tells the kernel when more become so.
    fn poll(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        ph: PollNotifier,
        events: PollEvents,
        flags: PollFlags,
        reply: ReplyPoll,
    ) {
        unsupported!(
            reply,
            "poll(ino: {ino:#x?}, fh: {fh}, ph: {ph:?}, events: {events}, flags: {flags})"
        );
    }

    /// Allocates or frees space, as fallocate(2) with `mode`.
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
        unsupported!(
            reply,
            "fallocate(ino: {ino:#x?}, fh: {fh}, offset: {offset}, length: {length}, \
             mode: {mode})"
        );
    }

    /// Finds data or a hole, as lseek(2) with `SEEK_DATA` and `SEEK_HOLE`.
    fn lseek(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        unsupported!(
            reply,
            "lseek(ino: {ino:#x?}, fh: {fh}, offset: {offset}, whence: {whence})"
        );
    }

    /// Copies a range of bytes between two files of this file system.
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
        flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        unsupported!(
            reply,
            "copy_file_range(ino_in: {ino_in:#x?}, fh_in: {fh_in}, offset_in: {offset_in}, \
             ino_out: {ino_out:#x?}, fh_out: {fh_out}, offset_out: {offset_out}, \
             len: {len}, flags: {flags:?})"
        );
    }
}
