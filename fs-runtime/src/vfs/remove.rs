//! unlink and rmdir.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use finesse_wire::{NotMine, Place};
use fuser::INodeNo;

use crate::coherence::Change;
use crate::kernel_door::NameCache as _;

use super::path::Last;
use super::stop::{Outcome, fail};
use super::{Answer, Serving};

impl Serving<'_> {
    /// `do_unlinkat`, `vfs_unlink`, `fuse_unlink`.
    pub(super) fn unlink(&self, at: &Place<'_>) -> Outcome<Answer> {
        let place = self.walk(at)?.parent(at)?;
        let Last::Name(name) = place.last else {
            return fail(libc::EISDIR);
        };
        self.vfs.writable_mount()?;
        let (parent, name) = (INodeNo(place.dir.node), OsStr::from_bytes(name));
        let gate = self.vfs.gate.exclusive(place.dir.node);
        let Some(victim) = self.vfs.ask(&self.who, &place.dir, name)? else {
            return fail(libc::ENOENT);
        };
        if place.slash {
            return fail(if victim.is_dir() {
                libc::EISDIR
            } else {
                libc::ENOTDIR
            });
        }
        self.vfs
            .may_delete(&self.who, place.dir.node, &victim, false, self.now)?;
        self.vfs.backend.unlink(self.who.caller(), parent, name)?;
        self.vfs.names.name_changed(parent, name);
        drop(gate);
        let change = Change::new().name(parent, name).attributes_of(victim.node);
        Ok(self.publish(&change))
    }

    /// `do_rmdir`, `vfs_rmdir`, `fuse_rmdir`.
    pub(super) fn rmdir(&self, at: &Place<'_>) -> Outcome<Answer> {
        let place = self.walk(at)?.parent(at)?;
        let name = match place.last {
            Last::Name(name) => name,
            Last::DotDot => return fail(libc::ENOTEMPTY),
            Last::Dot => return fail(libc::EINVAL),
        };
        self.vfs.writable_mount()?;
        let (parent, name) = (INodeNo(place.dir.node), OsStr::from_bytes(name));
        let gate = self.vfs.gate.exclusive(place.dir.node);
        let Some(victim) = self.vfs.ask(&self.who, &place.dir, name)? else {
            return fail(libc::ENOENT);
        };
        self.vfs
            .may_delete(&self.who, place.dir.node, &victim, true, self.now)?;
        self.leave_held_directory(parent, name, victim.node)?;
        self.vfs.backend.rmdir(self.who.caller(), parent, name)?;
        self.vfs.names.name_changed(parent, name);
        self.vfs.names.attr_changed(victim.node);
        drop(gate);
        // Who is in it, or has it open, sees that its ctime changed.
        let change = Change::new()
            .directory_gone(parent, name, victim.node)
            .attributes_of(victim.node);
        Ok(self.publish(&change))
    }

    /// A directory that somebody holds has to die for the kernel too (`IS_DEADDIR`), which
    /// a notification brings about by its name only.
    fn leave_held_directory(&self, parent: INodeNo, name: &OsStr, node: INodeNo) -> Outcome<()> {
        let view = &self.vfs.view;
        if view.knows(node) && view.name(view.key(parent, name)).is_none() {
            return Err(NotMine::HeldByKernel.into());
        }
        Ok(())
    }
}
