//! mkdir, mknod, symlink and link.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use finesse_wire::{NotMine, Place};
use fuser::{Errno, INodeNo, InitFlags};

use super::node::{Found, mode, type_bits};
use super::path::Last;
use super::permission::SEEN_AGE;
use super::stop::{Outcome, fail, require};
use super::subject::CAP_MKNOD;
use super::{Answer, Serving};
use crate::backend::Entry;
use crate::coherence::Change;
use crate::gate::GateGuard;
use crate::kernel_door::NameCache as _;

use super::node::Dir;

/// All permission bits of a mode, `S_IALLUGO`.
const ALL_BITS: u32 = 0o7777;

/// A name that does not exist, in a directory that nobody else changes.
struct NewName<'v, 'p> {
    dir: Dir<'v>,
    name: &'p OsStr,
    gate: GateGuard,
}

impl Serving<'_> {
    /// `do_mkdirat`, `vfs_mkdir`, `fuse_mkdir`.
    pub(super) fn mkdir(&self, at: &Place<'_>, mode: u32) -> Outcome<Answer> {
        let new = self.new_name(at, true)?;
        self.vfs.may_create(&self.who, new.dir.node, self.now)?;
        // vfs_prepare_mode keeps S_IRWXUGO and S_ISVTX and no type.
        let mode = self.masked(mode & 0o1777);
        let (parent, who) = (INodeNo(new.dir.node), &self.who);
        let made = self
            .vfs
            .backend
            .mkdir(who.caller(), parent, new.name, mode, who.umask);
        self.finish(new, made, libc::S_IFDIR, None)
    }

    /// `do_mknodat`, `vfs_create` and `vfs_mknod`, `fuse_mknod`.
    pub(super) fn mknod(&self, at: &Place<'_>, mode: u32, rdev: u32) -> Outcome<Answer> {
        let (kind, rdev) = match mode & libc::S_IFMT {
            0 | libc::S_IFREG => (libc::S_IFREG, 0),
            kind @ (libc::S_IFIFO | libc::S_IFSOCK) => (kind, 0),
            kind @ (libc::S_IFCHR | libc::S_IFBLK) => (kind, rdev),
            libc::S_IFDIR => return fail(libc::EPERM),
            _ => return fail(libc::EINVAL),
        };
        let new = self.new_name(at, false)?;
        self.vfs.may_create(&self.who, new.dir.node, self.now)?;
        self.may_make_device(kind, rdev)?;
        let bits = self.without_foreign_setgid(&new.dir, mode & ALL_BITS)?;
        let mode = kind | self.masked(bits);
        let (parent, who) = (INodeNo(new.dir.node), &self.who);
        let made = self
            .vfs
            .backend
            .mknod(who.caller(), parent, new.name, mode, who.umask, rdev);
        self.finish(new, made, kind, None)
    }

    /// `do_symlinkat`, `vfs_symlink`, `fuse_symlink`.
    pub(super) fn symlink(&self, target: &[u8], at: &Place<'_>) -> Outcome<Answer> {
        // An empty name is refused before any walk (getname_flags).
        require(!target.is_empty(), libc::ENOENT)?;
        super::without_nul(target)?;
        let new = self.new_name(at, false)?;
        self.vfs.may_create(&self.who, new.dir.node, self.now)?;
        let parent = INodeNo(new.dir.node);
        let made = self.vfs.backend.symlink(
            self.who.caller(),
            parent,
            new.name,
            OsStr::from_bytes(target),
        );
        self.finish(new, made, libc::S_IFLNK, None)
    }

    /// `do_linkat`, `vfs_link`, `fuse_link`.
    pub(super) fn link(&self, from: &Place<'_>, to: &Place<'_>, follow: bool) -> Outcome<Answer> {
        if from.path.is_empty() {
            // AT_EMPTY_PATH asks who opened the descriptor.
            return Err(NotMine::Unsupported.into());
        }
        let old = self.walk(from)?.target(from, follow)?;
        let new = self.new_name(to, false)?;
        self.vfs.may_link(&self.who, &old)?;
        self.vfs.may_create(&self.who, new.dir.node, self.now)?;
        require(!old.is_dir(), libc::EPERM)?;
        require(old.attr.nlink != 0, libc::ENOENT)?;
        let (parent, node) = (INodeNo(new.dir.node), INodeNo(old.node));
        let made = self
            .vfs
            .backend
            .link(self.who.caller(), node, parent, new.name);
        if let Err(Errno::ENOSYS) = made {
            // ENOSYS or EPERM, by the kernel's version.
            return Err(NotMine::Unsupported.into());
        }
        self.finish(new, made, type_bits(old.attr.kind), Some(node))
    }

    /// `filename_create`.
    fn new_name<'p>(&self, at: &Place<'p>, wants_dir: bool) -> Outcome<NewName<'_, 'p>> {
        let place = self.walk(at)?.parent(at)?;
        let Last::Name(name) = place.last else {
            return fail(libc::EEXIST);
        };
        let name = OsStr::from_bytes(name);
        let gate = self.vfs.gate.exclusive(place.dir.node);
        let found = self.vfs.ask(&self.who, &place.dir, name)?;
        require(found.is_none(), libc::EEXIST)?;
        require(!place.slash || wants_dir, libc::ENOENT)?;
        self.vfs.writable_mount()?;
        Ok(NewName {
            dir: place.dir,
            name,
            gate,
        })
    }

    /// `create_new_entry`, and the kernel's caches.
    fn finish(
        &self,
        new: NewName<'_, '_>,
        made: Result<Entry, Errno>,
        kind: u32,
        linked: Option<INodeNo>,
    ) -> Outcome<Answer> {
        let entry = made?;
        let valid = entry.node > INodeNo::ROOT
            && type_bits(entry.attr.kind) == kind
            && i64::try_from(entry.attr.size).is_ok();
        let made = (entry.node.0 != 0).then(|| Found::new(&self.vfs.backend, entry));
        let parent = INodeNo(new.dir.node);
        self.vfs.names.name_changed(parent, new.name);
        drop(new.gate);
        let mut change = Change::new().name(parent, new.name);
        if let Some(node) = linked {
            change = change.attributes_of(node);
        }
        let done = self.publish(&change);
        drop(made);
        require(valid, libc::EIO)?;
        Ok(done)
    }

    /// `fuse_mkdir` and the like leave the umask to a file system that wants it.
    fn masked(&self, bits: u32) -> u32 {
        if self.vfs.mount.negotiated.has(InitFlags::FUSE_DONT_MASK) {
            bits
        } else {
            bits & !self.who.umask
        }
    }

    /// Whether a device may be made. Of those who have the capability, the kernel asks the
    /// device control group too; an overlay's whiteout (device 0) is free to all.
    fn may_make_device(&self, kind: u32, rdev: u32) -> Outcome<()> {
        let whiteout = kind == libc::S_IFCHR && rdev == 0;
        if whiteout || !matches!(kind, libc::S_IFCHR | libc::S_IFBLK) {
            return Ok(());
        }
        require(self.who.can(CAP_MKNOD), libc::EPERM)?;
        Err(NotMine::Unsupported.into())
    }

    /// `mode_strip_sgid`.
    fn without_foreign_setgid(&self, dir: &Dir<'_>, bits: u32) -> Outcome<u32> {
        let setgid_exec = libc::S_ISGID | libc::S_IXGRP;
        if bits & setgid_exec != setgid_exec {
            return Ok(bits);
        }
        let (dir, _) = self
            .vfs
            .directory_attributes(&self.who, dir.node, SEEN_AGE, self.now)?;
        let inherits = mode(&dir) & libc::S_ISGID != 0;
        if inherits && !self.who.keeps_setgid(dir.gid) {
            return Ok(bits & !libc::S_ISGID);
        }
        Ok(bits)
    }
}
