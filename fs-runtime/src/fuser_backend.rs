//! A `Filesystem` behind the bypass door: each operation is a request with a slot for its
//! answer.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fuser::{AccessFlags, Errno, INodeNo, RenameFlags};

use crate::backend::{Attributes, Backend, Caller, Entry, SetAttr, Statfs, Xattr};
use crate::filesystem::Filesystem;
use crate::reply::{
    Answer, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyStatfs, ReplyXattr, Slot,
};
use crate::request::Request;
use crate::served::Served;

/// See the module.
pub(crate) struct FuserBackend<FS> {
    fs: Arc<Served<FS>>,
    requests: AtomicU64,
}

impl<FS> fmt::Debug for FuserBackend<FS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FuserBackend").finish_non_exhaustive()
    }
}

impl<FS: Filesystem> FuserBackend<FS> {
    pub(crate) fn new(fs: Arc<Served<FS>>) -> Self {
        FuserBackend {
            fs,
            requests: AtomicU64::new(0),
        }
    }

    fn request(&self, caller: Caller) -> Request {
        Request::bypassed(self.requests.fetch_add(1, Ordering::Relaxed), caller)
    }

    fn ask<T>(
        &self,
        caller: Caller,
        ask: impl FnOnce(&FS, &Request, Answer<T>),
    ) -> Result<T, Errno> {
        let request = self.request(caller);
        Slot::ask(request.unique().0, |answer| {
            ask(&self.fs.call(), &request, answer);
        })
    }
}

impl<FS: Filesystem> Backend for FuserBackend<FS> {
    fn lookup(&self, caller: Caller, parent: INodeNo, name: &OsStr) -> Result<Entry, Errno> {
        self.ask(caller, |fs, request, answer| {
            fs.lookup(request, parent, name, ReplyEntry::slot(answer));
        })
    }

    /// The kernel's forgets come from nobody as well (`fuse_force_forget` and others set
    /// no caller).
    fn forget(&self, node: INodeNo, lookups: u64) {
        let nobody = self.request(Caller::NOBODY);
        self.fs.call().forget(&nobody, node, lookups);
    }

    fn getattr(&self, caller: Caller, node: INodeNo) -> Result<Attributes, Errno> {
        self.ask(caller, |fs, request, answer| {
            fs.getattr(request, node, None, ReplyAttr::slot(answer));
        })
    }

    fn setattr(
        &self,
        caller: Caller,
        node: INodeNo,
        change: &SetAttr,
    ) -> Result<Attributes, Errno> {
        self.ask(caller, |fs, request, answer| {
            fs.setattr(
                request,
                node,
                change.mode,
                change.uid,
                change.gid,
                change.size,
                change.atime,
                change.mtime,
                None,
                None,
                None,
                None,
                None,
                None,
                ReplyAttr::slot(answer),
            );
        })
    }

    fn readlink(&self, caller: Caller, node: INodeNo) -> Result<Vec<u8>, Errno> {
        self.ask(caller, |fs, request, answer| {
            fs.readlink(request, node, ReplyData::slot(answer));
        })
    }

    fn mknod(
        &self,
        caller: Caller,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
    ) -> Result<Entry, Errno> {
        self.ask(caller, |fs, request, answer| {
            let reply = ReplyEntry::slot(answer);
            fs.mknod(request, parent, name, mode, umask, rdev, reply);
        })
    }

    fn mkdir(
        &self,
        caller: Caller,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
    ) -> Result<Entry, Errno> {
        self.ask(caller, |fs, request, answer| {
            let reply = ReplyEntry::slot(answer);
            fs.mkdir(request, parent, name, mode, umask, reply);
        })
    }

    fn symlink(
        &self,
        caller: Caller,
        parent: INodeNo,
        name: &OsStr,
        target: &OsStr,
    ) -> Result<Entry, Errno> {
        self.ask(caller, |fs, request, answer| {
            let reply = ReplyEntry::slot(answer);
            fs.symlink(request, parent, name, Path::new(target), reply);
        })
    }

    fn link(
        &self,
        caller: Caller,
        node: INodeNo,
        parent: INodeNo,
        name: &OsStr,
    ) -> Result<Entry, Errno> {
        self.ask(caller, |fs, request, answer| {
            fs.link(request, node, parent, name, ReplyEntry::slot(answer));
        })
    }

    fn unlink(&self, caller: Caller, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        self.ask(caller, |fs, request, answer| {
            fs.unlink(request, parent, name, ReplyEmpty::slot(answer));
        })
    }

    fn rmdir(&self, caller: Caller, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        self.ask(caller, |fs, request, answer| {
            fs.rmdir(request, parent, name, ReplyEmpty::slot(answer));
        })
    }

    fn rename(
        &self,
        caller: Caller,
        from: (INodeNo, &OsStr),
        to: (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        self.ask(caller, |fs, request, answer| {
            let reply = ReplyEmpty::slot(answer);
            fs.rename(request, from.0, from.1, to.0, to.1, flags, reply);
        })
    }

    fn setxattr(
        &self,
        caller: Caller,
        node: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
    ) -> Result<(), Errno> {
        self.ask(caller, |fs, request, answer| {
            let reply = ReplyEmpty::slot(answer);
            fs.setxattr(request, node, name, value, flags, 0, reply);
        })
    }

    fn getxattr(
        &self,
        caller: Caller,
        node: INodeNo,
        name: &OsStr,
        size: u32,
    ) -> Result<Xattr, Errno> {
        self.ask(caller, |fs, request, answer| {
            fs.getxattr(request, node, name, size, ReplyXattr::slot(answer));
        })
    }

    fn listxattr(&self, caller: Caller, node: INodeNo, size: u32) -> Result<Xattr, Errno> {
        self.ask(caller, |fs, request, answer| {
            fs.listxattr(request, node, size, ReplyXattr::slot(answer));
        })
    }

    fn removexattr(&self, caller: Caller, node: INodeNo, name: &OsStr) -> Result<(), Errno> {
        self.ask(caller, |fs, request, answer| {
            fs.removexattr(request, node, name, ReplyEmpty::slot(answer));
        })
    }

    fn access(&self, caller: Caller, node: INodeNo, mask: AccessFlags) -> Result<(), Errno> {
        self.ask(caller, |fs, request, answer| {
            fs.access(request, node, mask, ReplyEmpty::slot(answer));
        })
    }

    fn statfs(&self, caller: Caller, node: INodeNo) -> Result<Statfs, Errno> {
        self.ask(caller, |fs, request, answer| {
            fs.statfs(request, node, ReplyStatfs::slot(answer));
        })
    }
}
