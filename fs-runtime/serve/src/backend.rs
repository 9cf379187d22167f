//! The daemon as the bypass door sees it: each operation is one request in the kernel's
//! words, and the reply is judged as the kernel judges it (fs/fuse/dir.c, xattr.c).

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use finesse_fuse::doors::{Attributes, Backend, CallId, Caller, Entry, SetAttr, Statfs, Xattr};
use finesse_fuse::{AccessFlags, Errno, INodeNo, RenameFlags, TimeOrNow};
use zerocopy::FromBytes;

use crate::abi::{
    AccessIn, AttrOut, EntryOut, ForgetIn, GetattrIn, GetxattrIn, GetxattrOut, LinkIn, Message,
    MkdirIn, MknodIn, Rename2In, RenameIn, SetattrIn, SetxattrIn, SetxattrInExt, StatfsOut, Terms,
    fattr, file_attr, opcode, ttl,
};
use crate::mode::Mode;
use crate::post::Post;

/// See the module.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) post: Arc<Post>,
    pub(crate) mode: Arc<Mode>,
    pub(crate) terms: Terms,
}

impl Daemon {
    fn ask(&self, message: Message) -> Result<Vec<u8>, Errno> {
        self.post.ask(message)
    }

    /// Asks for what is answered with success alone.
    fn tell(&self, message: Message) -> Result<(), Errno> {
        match self.ask(message)?.as_slice() {
            [] => Ok(()),
            _ => Err(Errno::EIO),
        }
    }

    fn entry(&self, message: Message) -> Result<Entry, Errno> {
        let out: EntryOut = exactly(&self.ask(message)?)?;
        let (entry_ttl, attr_ttl) = out.ttls();
        let node = INodeNo(out.nodeid);
        if node.0 == 0 {
            return Ok(Entry {
                node,
                attr: nothing(),
                entry_ttl,
                attr_ttl,
            });
        }
        let Some(attr) = file_attr(&out.attr) else {
            self.forget(node, 1);
            return Err(Errno::EIO);
        };
        Ok(Entry {
            node,
            attr,
            entry_ttl,
            attr_ttl,
        })
    }

    fn attributes(&self, message: Message) -> Result<Attributes, Errno> {
        let out: AttrOut = exactly(&self.ask(message)?)?;
        Ok(Attributes {
            attr: file_attr(&out.attr).ok_or(Errno::EIO)?,
            ttl: ttl(out.attr_valid, out.attr_valid_nsec),
        })
    }

    fn xattr(&self, message: Message, size: u32) -> Result<Xattr, Errno> {
        let answer = self.ask(message)?;
        if size == 0 {
            let out: GetxattrOut = exactly(&answer)?;
            return Ok(Xattr::Size(out.size));
        }
        Ok(Xattr::Data(answer))
    }
}

/// A reply of another length is an error (`fuse_copy_out_args`, fs/fuse/dev.c).
fn exactly<T: FromBytes>(body: &[u8]) -> Result<T, Errno> {
    T::read_from_bytes(body).map_err(|_| Errno::EIO)
}

/// The attributes of a name that is known not to exist; nobody looks at them.
fn nothing() -> finesse_fuse::FileAttr {
    let attr = crate::abi::Attr {
        mode: libc::S_IFREG,
        ..crate::abi::Attr::default()
    };
    file_attr(&attr).unwrap_or_else(|| unreachable!("times and mode are in bounds"))
}

impl Backend for Daemon {
    fn lookup(&self, caller: Caller, parent: INodeNo, name: &OsStr) -> Result<Entry, Errno> {
        self.entry(Message::new(opcode::LOOKUP, parent.0, caller).name(name))
    }

    /// The kernel's forgets come from nobody as well.
    fn forget(&self, node: INodeNo, lookups: u64) {
        let message = Message::new(opcode::FORGET, node.0, Caller::NOBODY);
        self.post
            .leave(message.with(&ForgetIn { nlookup: lookups }));
    }

    fn getattr(&self, caller: Caller, node: INodeNo) -> Result<Attributes, Errno> {
        let message = Message::new(opcode::GETATTR, node.0, caller);
        self.attributes(message.with(&GetattrIn::default()))
    }

    fn setattr(
        &self,
        caller: Caller,
        node: INodeNo,
        change: &SetAttr,
    ) -> Result<Attributes, Errno> {
        let message = Message::new(opcode::SETATTR, node.0, caller);
        self.attributes(message.with(&setattr_in(change)))
    }

    fn readlink(&self, caller: Caller, node: INodeNo) -> Result<Vec<u8>, Errno> {
        self.ask(Message::new(opcode::READLINK, node.0, caller))
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
        let body = MknodIn {
            mode,
            rdev,
            umask,
            padding: 0,
        };
        let message = Message::new(opcode::MKNOD, parent.0, caller);
        self.entry(message.with(&body).name(name))
    }

    fn mkdir(
        &self,
        caller: Caller,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
    ) -> Result<Entry, Errno> {
        let message = Message::new(opcode::MKDIR, parent.0, caller);
        self.entry(message.with(&MkdirIn { mode, umask }).name(name))
    }

    fn symlink(
        &self,
        caller: Caller,
        parent: INodeNo,
        name: &OsStr,
        target: &OsStr,
    ) -> Result<Entry, Errno> {
        let message = Message::new(opcode::SYMLINK, parent.0, caller);
        self.entry(message.name(name).name(target))
    }

    fn link(
        &self,
        caller: Caller,
        node: INodeNo,
        parent: INodeNo,
        name: &OsStr,
    ) -> Result<Entry, Errno> {
        let body = LinkIn { oldnodeid: node.0 };
        let message = Message::new(opcode::LINK, parent.0, caller);
        self.entry(message.with(&body).name(name))
    }

    fn unlink(&self, caller: Caller, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        self.tell(Message::new(opcode::UNLINK, parent.0, caller).name(name))
    }

    fn rmdir(&self, caller: Caller, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        self.tell(Message::new(opcode::RMDIR, parent.0, caller).name(name))
    }

    fn rename(
        &self,
        caller: Caller,
        from: (INodeNo, &OsStr),
        to: (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        let newdir = to.0.0;
        let message = if flags.is_empty() {
            Message::new(opcode::RENAME, from.0.0, caller).with(&RenameIn { newdir })
        } else if self.terms.has_rename2() {
            let body = Rename2In {
                newdir,
                flags: flags.bits(),
                padding: 0,
            };
            Message::new(opcode::RENAME2, from.0.0, caller).with(&body)
        } else {
            return Err(Errno::ENOSYS);
        };
        self.tell(message.name(from.1).name(to.1))
    }

    fn setxattr(
        &self,
        caller: Caller,
        node: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
    ) -> Result<(), Errno> {
        let (size, flags) = (len(value), flags.cast_unsigned());
        let message = Message::new(opcode::SETXATTR, node.0, caller);
        let message = if self.terms.has_long_setxattr() {
            message.with(&SetxattrInExt {
                size,
                flags,
                ..SetxattrInExt::default()
            })
        } else {
            message.with(&SetxattrIn { size, flags })
        };
        self.tell(message.name(name).bytes(value))
    }

    fn getxattr(
        &self,
        caller: Caller,
        node: INodeNo,
        name: &OsStr,
        size: u32,
    ) -> Result<Xattr, Errno> {
        let message = Message::new(opcode::GETXATTR, node.0, caller);
        self.xattr(
            message.with(&GetxattrIn { size, padding: 0 }).name(name),
            size,
        )
    }

    fn listxattr(&self, caller: Caller, node: INodeNo, size: u32) -> Result<Xattr, Errno> {
        let message = Message::new(opcode::LISTXATTR, node.0, caller);
        self.xattr(message.with(&GetxattrIn { size, padding: 0 }), size)
    }

    fn removexattr(&self, caller: Caller, node: INodeNo, name: &OsStr) -> Result<(), Errno> {
        self.tell(Message::new(opcode::REMOVEXATTR, node.0, caller).name(name))
    }

    fn access(&self, caller: Caller, node: INodeNo, mask: AccessFlags) -> Result<(), Errno> {
        let mask = mask.bits().cast_unsigned();
        let message = Message::new(opcode::ACCESS, node.0, caller);
        self.tell(message.with(&AccessIn { mask, padding: 0 }))
    }

    fn statfs(&self, caller: Caller, node: INodeNo) -> Result<Statfs, Errno> {
        let out: StatfsOut = exactly(&self.ask(Message::new(opcode::STATFS, node.0, caller))?)?;
        Ok(Statfs {
            blocks: out.blocks,
            bfree: out.bfree,
            bavail: out.bavail,
            files: out.files,
            ffree: out.ffree,
            bsize: out.bsize,
            namelen: out.namelen,
            frsize: out.frsize,
        })
    }

    fn attends(&self) -> bool {
        true
    }

    fn heeds_interrupts(&self) -> bool {
        true
    }

    fn interrupt(&self, call: CallId) {
        self.post.interrupt(call);
    }

    fn is_over(&self, call: CallId) {
        self.post.calls.is_over(call);
    }

    fn answered(&self) {
        self.post.served();
    }

    fn supervisor_came(&self) -> bool {
        self.mode.supervisor_came()
    }

    fn changes_untold(&self) -> bool {
        true
    }

    fn supervisor_went(&self) {
        self.mode.supervisor_went();
    }
}

/// As `iattr_to_fattr` (fs/fuse/dir.c).
fn setattr_in(change: &SetAttr) -> SetattrIn {
    let mut body = SetattrIn::default();
    let mut put = |valid: u32, value: Option<u32>, field: fn(&mut SetattrIn) -> &mut u32| {
        if let Some(value) = value {
            *field(&mut body) = value;
            body.valid |= valid;
        }
    };
    put(fattr::MODE, change.mode, |body| &mut body.mode);
    put(fattr::UID, change.uid, |body| &mut body.uid);
    put(fattr::GID, change.gid, |body| &mut body.gid);
    if let Some(size) = change.size {
        body.size = size;
        body.valid |= fattr::SIZE;
    }
    if let Some(time) = change.atime {
        let (now, seconds, nanoseconds) = time_parts(time);
        (body.atime, body.atimensec) = (seconds, nanoseconds);
        body.valid |= fattr::ATIME | if now { fattr::ATIME_NOW } else { 0 };
    }
    if let Some(time) = change.mtime {
        let (now, seconds, nanoseconds) = time_parts(time);
        (body.mtime, body.mtimensec) = (seconds, nanoseconds);
        body.valid |= fattr::MTIME | if now { fattr::MTIME_NOW } else { 0 };
    }
    body
}

/// Whether it is now, seconds as the two's complement that the kernel sends, and
/// nanoseconds.
fn time_parts(time: TimeOrNow) -> (bool, u64, u32) {
    let (now, time) = match time {
        TimeOrNow::Now => (true, SystemTime::now()),
        TimeOrNow::SpecificTime(time) => (false, time),
    };
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (now, after.as_secs(), after.subsec_nanos()),
        Err(error) => {
            let before = error.duration();
            let part = before.subsec_nanos();
            let whole = before.as_secs() + u64::from(part > 0);
            let nanoseconds = if part > 0 { 1_000_000_000 - part } else { 0 };
            (now, whole.wrapping_neg(), nanoseconds)
        }
    }
}

fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
