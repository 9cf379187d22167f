//! The adapter between fuser's requests and the store.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};

use super::directory::{DOT, DOT_DOT};
use super::inode::Body;
use super::names::{New, entries};
use super::rename::Place;
use super::setattr::Changes;
use super::space::INODE_COST;
use super::{Answer, Memory};

/// What is asked of the kernel where it offers it. Locks are not: the kernel keeps them well itself.
const WANTED: [InitFlags; 5] = [
    InitFlags::FUSE_ASYNC_READ,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_AUTO_INVAL_DATA,
];

const GENERATION: Generation = Generation(0);
const BLOCK: u64 = 4096;

thread_local! {
    /// Each server thread reads into one buffer that grows to the largest read and stays.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Memory {
    fn reply_entry(&self, answer: Answer<FileAttr>, reply: ReplyEntry) {
        match answer {
            Ok(attr) => reply.entry_with_ttls(&self.attr_ttl, &self.entry_ttl, &attr, GENERATION),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn reply_attr(&self, answer: Answer<FileAttr>, reply: ReplyAttr) {
        match answer {
            Ok(attr) => reply.attr(&self.attr_ttl, &attr),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    /// Replies that carry one time-out for name and attributes get the shorter.
    fn shorter_ttl(&self) -> Duration {
        self.entry_ttl.min(self.attr_ttl)
    }

    /// Calls `add` with cookie, name and inode number of each entry from `offset` on, until it says
    /// that the reply is full. The directory stays as it is meanwhile.
    fn list(
        &self,
        ino: u64,
        offset: u64,
        mut add: impl FnMut(u64, &[u8], u64) -> bool,
    ) -> Answer<()> {
        let inode = self.store.inodes.get(ino)?;
        let entries = entries(&inode)?.read();
        if offset < DOT && add(DOT, b".", ino)
            || offset < DOT_DOT && add(DOT_DOT, b"..", entries.parent)
        {
            return Ok(());
        }
        for (cookie, name, child) in entries.after(offset.max(DOT_DOT)) {
            if add(cookie, name, child) {
                break;
            }
        }
        Ok(())
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

/// The reply to a request for at most `size` bytes of an attribute; 0 asks how many there are.
fn reply_xattr(size: u32, value: &[u8], reply: ReplyXattr) {
    match u32::try_from(value.len()) {
        Ok(length) if size == 0 => reply.size(length),
        Ok(length) if length <= size => reply.data(value),
        _ => reply.error(Errno::ERANGE),
    }
}

impl Filesystem for Memory {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for flag in WANTED {
            if config.add_capabilities(flag).is_err() {
                log::info!("this kernel does not offer {flag:?}");
            }
        }
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.reply_entry(self.store.lookup(parent.0, name.as_bytes()), reply);
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.store.forget(ino.0, nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        self.reply_attr(
            self.store.inodes.get(ino.0).map(|inode| inode.attributes()),
            reply,
        );
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
        _fh: Option<FileHandle>,
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
        self.reply_attr(self.store.setattr(ino.0, &changes), reply);
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        match self
            .store
            .inodes
            .get(ino.0)
            .as_deref()
            .map(|inode| &inode.body)
        {
            Ok(Body::Symlink(target)) => reply.data(&target.read()),
            Ok(_) => reply.error(Errno::EINVAL),
            Err(errno) => reply.error(errno_of(*errno)),
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
        let new = New {
            mode,
            rdev,
            target: b"",
        };
        self.reply_entry(
            self.store
                .create(req, parent.0, name.as_bytes(), new, false),
            reply,
        );
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
        let new = New {
            mode: mode & 0o7777 | libc::S_IFDIR,
            rdev: 0,
            target: b"",
        };
        self.reply_entry(
            self.store
                .create(req, parent.0, name.as_bytes(), new, false),
            reply,
        );
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(self.store.unlink(parent.0, name.as_bytes()), reply);
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(self.store.rmdir(parent.0, name.as_bytes()), reply);
    }

    fn symlink(
        &self,
        req: &Request,
        parent: INodeNo,
        link_name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let new = New {
            mode: libc::S_IFLNK | 0o777,
            rdev: 0,
            target: target.as_os_str().as_bytes(),
        };
        self.reply_entry(
            self.store
                .create(req, parent.0, link_name.as_bytes(), new, false),
            reply,
        );
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
        let from = Place {
            parent: parent.0,
            name: name.as_bytes(),
        };
        let to = Place {
            parent: newparent.0,
            name: newname.as_bytes(),
        };
        reply_empty(self.store.rename(from, to, flags), reply);
    }

    fn link(
        &self,
        _req: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        self.reply_entry(
            self.store.link(ino.0, newparent.0, newname.as_bytes()),
            reply,
        );
    }

    fn open(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.store.open(ino.0) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        BUFFER.with_borrow_mut(
            |buffer| match self.store.read(ino.0, offset, size, buffer) {
                Ok(()) => reply.data(buffer),
                Err(errno) => reply.error(errno_of(errno)),
            },
        );
    }

    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let drop_suid = write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        reply_written(self.store.write(req, ino.0, offset, data, drop_suid), reply);
    }

    fn flush(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.store.release(ino.0);
        reply.ok();
    }

    fn fsync(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn readdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = self.list(ino.0, offset, |cookie, name, child| {
            let kind = self
                .store
                .inodes
                .get(child)
                .map_or(FileType::RegularFile, |inode| inode.kind());
            reply.add(INodeNo(child), cookie, kind, OsStr::from_bytes(name))
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn readdirplus(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let ttl = self.shorter_ttl();
        let listed = self.list(ino.0, offset, |cookie, name, child| {
            let Ok(inode) = self.store.inodes.get(child) else {
                return false;
            };
            // The kernel takes no look-up from the dots.
            let dot = cookie <= DOT_DOT;
            let attr = inode.attributes();
            let full = reply.add(
                INodeNo(child),
                cookie,
                OsStr::from_bytes(name),
                &ttl,
                &attr,
                GENERATION,
            );
            if !full && !dot {
                inode.meta.lock().lookups += 1;
            }
            full
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn fsyncdir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let space = &self.store.space;
        let (blocks, free) = (space.limit() / BLOCK, space.free() / BLOCK);
        let free_inodes = space.free() / INODE_COST;
        let inodes = space.inodes() + free_inodes;
        reply.statfs(blocks, free, free, inodes, free_inodes, 4096, 255, 4096);
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
        reply_empty(
            self.store.setxattr(ino.0, name.as_bytes(), value, flags),
            reply,
        );
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        match self.store.getxattr(ino.0, name.as_bytes()) {
            Ok(value) => reply_xattr(size, &value, reply),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        match self.store.listxattr(ino.0) {
            Ok(names) => reply_xattr(size, &names, reply),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(self.store.removexattr(ino.0, name.as_bytes()), reply);
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let new = New {
            mode: mode & 0o7777 | libc::S_IFREG,
            rdev: 0,
            target: b"",
        };
        match self.store.create(req, parent.0, name.as_bytes(), new, true) {
            Ok(attr) => {
                reply.created(
                    &self.shorter_ttl(),
                    &attr,
                    GENERATION,
                    FileHandle(0),
                    FopenFlags::empty(),
                );
            }
            Err(errno) => reply.error(errno_of(errno)),
        }
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
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        reply_empty(self.store.allocate(ino.0, offset, length, mode), reply);
    }

    fn lseek(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        match self.store.seek(ino.0, offset, whence) {
            Ok(found) => reply.offset(found),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn copy_file_range(
        &self,
        req: &Request,
        ino_in: INodeNo,
        _fh_in: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        _fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let (from, to) = ((ino_in.0, offset_in), (ino_out.0, offset_out));
        reply_written(self.store.copy(req, from, to, len), reply);
    }
}
