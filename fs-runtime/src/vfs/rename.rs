//! rename.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use finesse_wire::{NotMine, Place};
use fuser::{Errno, INodeNo, RenameFlags};

use super::node::Found;
use super::path::Last;
use super::stop::{Outcome, fail, require};
use super::walk::Parent;
use super::{Answer, Serving};
use crate::coherence::Change;
use crate::kernel_door::NameCache as _;

/// The two names, looked up, with nobody else changing their directories.
struct Pair<'a, 'v> {
    old: &'a Parent<'v, 'a>,
    new: &'a Parent<'v, 'a>,
    source: Found<'v>,
    target: Option<Found<'v>>,
    exchange: bool,
}

impl Serving<'_> {
    /// `do_renameat2`, `vfs_rename`, `fuse_rename2`.
    pub(super) fn rename(&self, from: &Place<'_>, to: &Place<'_>, flags: u32) -> Outcome<Answer> {
        let flags = check_flags(flags)?;
        let noreplace = flags.contains(RenameFlags::RENAME_NOREPLACE);
        let old = self.walk(from)?.parent(from)?;
        let new = self.walk(to)?.parent(to)?;
        let Last::Name(old_name) = old.last else {
            return fail(libc::EBUSY);
        };
        let Last::Name(new_name) = new.last else {
            return fail(if noreplace { libc::EEXIST } else { libc::EBUSY });
        };
        let (old_name, new_name) = (OsStr::from_bytes(old_name), OsStr::from_bytes(new_name));
        self.vfs.writable_mount()?;

        let gates = self.vfs.gate.exclusive_pair(old.dir.node, new.dir.node);
        let Some(source) = self.vfs.ask(&self.who, &old.dir, old_name)? else {
            return fail(libc::ENOENT);
        };
        let target = self.vfs.ask(&self.who, &new.dir, new_name)?;
        require(!noreplace || target.is_none(), libc::EEXIST)?;
        let pair = Pair {
            old: &old,
            new: &new,
            source,
            target,
            exchange: flags.contains(RenameFlags::RENAME_EXCHANGE),
        };
        pair.check_shapes()?;
        if pair.is_one_node() {
            return Ok(Answer::Done);
        }
        self.may_rename(&pair)?;
        self.leave_known_directories(&pair)?;

        let (old_dir, new_dir) = (INodeNo(old.dir.node), INodeNo(new.dir.node));
        let renamed = self.vfs.backend.rename(
            self.who.caller(),
            (old_dir, old_name),
            (new_dir, new_name),
            flags,
        );
        match renamed {
            Err(Errno::ENOSYS) if !flags.is_empty() => return fail(libc::EINVAL),
            renamed => renamed?,
        }
        self.vfs.names.name_changed(old_dir, old_name);
        self.vfs.names.name_changed(new_dir, new_name);
        drop(gates);
        let mut change = Change::new()
            .name(old_dir, old_name)
            .name(new_dir, new_name)
            .attributes_of(pair.source.node);
        if let Some(target) = &pair.target {
            change = change.attributes_of(target.node);
        }
        Ok(self.publish(&change))
    }

    /// The permission checks of `vfs_rename`. Two parents and a directory do not get here,
    /// so the checks of a moved `..` are not needed.
    fn may_rename(&self, pair: &Pair<'_, '_>) -> Outcome<()> {
        let as_dir = pair.source.is_dir();
        let (old, new) = (pair.old.dir.node, pair.new.dir.node);
        self.vfs
            .may_delete(&self.who, old, &pair.source, as_dir, self.now)?;
        match &pair.target {
            None => self.vfs.may_create(&self.who, new, self.now),
            Some(target) => {
                let as_dir = if pair.exchange {
                    target.is_dir()
                } else {
                    as_dir
                };
                self.vfs
                    .may_delete(&self.who, new, target, as_dir, self.now)
            }
        }
    }

    /// A directory that the kernel holds may be somebody's cwd, or mounted on; only the
    /// kernel can move it without detaching it.
    fn leave_known_directories(&self, pair: &Pair<'_, '_>) -> Outcome<()> {
        let known = pair
            .directories()
            .any(|directory| self.vfs.view.knows(directory.node));
        if known {
            return Err(NotMine::HeldByKernel.into());
        }
        Ok(())
    }
}

impl<'v> Pair<'_, 'v> {
    /// What `do_renameat2` checks about the names' kinds and slashes.
    fn check_shapes(&self) -> Outcome<()> {
        if self.old.dir.node != self.new.dir.node && self.directories().next().is_some() {
            // Whether one lies within the other is only safe to say while no directory
            // moves, which the kernel alone can see to (s_vfs_rename_mutex).
            return Err(NotMine::Unsupported.into());
        }
        if self.exchange {
            let Some(target) = &self.target else {
                return fail(libc::ENOENT);
            };
            require(target.is_dir() || !self.new.slash, libc::ENOTDIR)?;
        }
        if !self.source.is_dir() {
            let slash = self.old.slash || !self.exchange && self.new.slash;
            require(!slash, libc::ENOTDIR)?;
        }
        Ok(())
    }

    fn is_one_node(&self) -> bool {
        let source = self.source.node();
        self.target
            .as_ref()
            .is_some_and(|target| target.node() == source)
    }

    fn directories(&self) -> impl Iterator<Item = &Found<'v>> {
        let both = std::iter::once(&self.source).chain(&self.target);
        both.filter(|found| found.is_dir())
    }
}

fn check_flags(flags: u32) -> Outcome<RenameFlags> {
    let Some(flags) = RenameFlags::from_bits(flags) else {
        return fail(libc::EINVAL);
    };
    let single = RenameFlags::RENAME_NOREPLACE | RenameFlags::RENAME_WHITEOUT;
    let clash = flags.contains(RenameFlags::RENAME_EXCHANGE) && flags.intersects(single);
    require(!clash, libc::EINVAL)?;
    if flags.contains(RenameFlags::RENAME_WHITEOUT) {
        return Err(NotMine::Unsupported.into());
    }
    Ok(flags)
}
