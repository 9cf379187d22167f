//! Renaming.

use std::time::SystemTime;

use fuser::RenameFlags;
use parking_lot::RwLockWriteGuard;
use rustix::io::Errno;

use super::directory::Directory;
use super::inode::{Body, Inode, ROOT};
use super::names::{check_name, entries, kill_directory, name_cost};
use super::{Answer, Store};

/// One side of a rename.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) parent: u64,
    pub(super) name: &'a [u8],
}

impl Store {
    pub(super) fn rename(&self, from: Place<'_>, to: Place<'_>, flags: RenameFlags) -> Answer<()> {
        check_name(from.name)?;
        check_name(to.name)?;
        let exchange = flags == RenameFlags::RENAME_EXCHANGE;
        if !exchange && !flags.is_empty() && flags != RenameFlags::RENAME_NOREPLACE {
            return Err(Errno::INVAL);
        }
        let _moves = self.moves.lock();
        let (old_parent, new_parent) = (self.inodes.get(from.parent)?, self.inodes.get(to.parent)?);
        let mut pair = Pair::lock(&old_parent, &new_parent)?;
        let moved = self
            .inodes
            .get(pair.source().get(from.name).ok_or(Errno::NOENT)?)?;
        let target = pair
            .target()
            .get(to.name)
            .map(|ino| self.inodes.get(ino))
            .transpose()?;
        self.check_loop(&moved, &new_parent, &pair)?;
        match target {
            None if exchange => Err(Errno::NOENT),
            Some(_) if flags == RenameFlags::RENAME_NOREPLACE => Err(Errno::EXIST),
            Some(target) if target.ino == moved.ino => Ok(()),
            Some(target) if exchange => {
                self.check_loop(&target, &old_parent, &pair)?;
                exchange_names(&mut pair, (&moved, from), (&target, to));
                Ok(())
            }
            Some(target) => {
                check_replace(&moved, &target, &pair)?;
                move_name(&mut pair, &moved, from, to);
                self.space.give_back(name_cost(from.name));
                adjust_links(&new_parent, &target, -1);
                drop(pair);
                self.unlinked(&target);
                Ok(())
            }
            None if pair.target().dead => Err(Errno::NOENT),
            None => {
                let (freed, taken) = (name_cost(from.name), name_cost(to.name));
                self.space.take(taken.saturating_sub(freed))?;
                move_name(&mut pair, &moved, from, to);
                self.space.give_back(freed.saturating_sub(taken));
                Ok(())
            }
        }
    }

    /// A directory must not be moved below itself. The tree keeps its shape while `moves` is held;
    /// the two parents' entries are locked already, so their own parents are read from the guards.
    fn check_loop(&self, moved: &Inode, into: &Inode, pair: &Pair<'_>) -> Answer<()> {
        if !moved.is_directory() {
            return Ok(());
        }
        let mut at = into.ino;
        while at != ROOT {
            if at == moved.ino {
                return Err(Errno::INVAL);
            }
            at = match pair.parent_of(at) {
                Some(parent) => parent,
                None => entries(&*self.inodes.get(at)?)?.read().parent,
            };
        }
        Ok(())
    }
}

fn move_name(pair: &mut Pair<'_>, moved: &Inode, from: Place<'_>, to: Place<'_>) {
    pair.source_mut().remove(from.name);
    pair.target_mut().set(to.name, moved.ino);
    moved.meta.lock().ctime = SystemTime::now();
    adjust_links(pair.old_parent, moved, -1);
    adjust_links(pair.new_parent, moved, 1);
    if from.parent != to.parent {
        set_parent(moved, to.parent);
    }
}

/// linux: fs/namei.c, `vfs_rename`: like replaces like, and a directory must be empty.
fn check_replace(moved: &Inode, target: &Inode, pair: &Pair<'_>) -> Answer<()> {
    match (moved.is_directory(), target.is_directory()) {
        // Its entries are locked, and the moved one is among them.
        (true, true) if target.ino == pair.old_parent.ino => Err(Errno::NOTEMPTY),
        (true, false) => Err(Errno::NOTDIR),
        (false, true) => Err(Errno::ISDIR),
        (true, true) => kill_directory(target),
        (false, false) => Ok(()),
    }
}

fn exchange_names(pair: &mut Pair<'_>, first: (&Inode, Place<'_>), second: (&Inode, Place<'_>)) {
    let ((moved, from), (target, to)) = (first, second);
    pair.source_mut().set(from.name, target.ino);
    pair.target_mut().set(to.name, moved.ino);
    for (inode, leaves, enters) in [
        (moved, pair.old_parent, pair.new_parent),
        (target, pair.new_parent, pair.old_parent),
    ] {
        inode.meta.lock().ctime = SystemTime::now();
        adjust_links(leaves, inode, -1);
        adjust_links(enters, inode, 1);
        if leaves.ino != enters.ino {
            set_parent(inode, enters.ino);
        }
    }
}

/// A directory's `..` is a link of its parent.
fn adjust_links(parent: &Inode, child: &Inode, by: i32) {
    let mut meta = parent.meta.lock();
    if child.is_directory() {
        meta.nlink = meta.nlink.saturating_add_signed(by);
    }
    meta.touch();
}

fn set_parent(inode: &Inode, parent: u64) {
    if let Body::Directory(entries) = &inode.body {
        entries.write().parent = parent;
    }
}

/// The entries of one or two parents, locked for a rename. Two at once only under `Store::moves`.
struct Pair<'a> {
    old_parent: &'a Inode,
    new_parent: &'a Inode,
    old: RwLockWriteGuard<'a, Directory>,
    /// `None` when it is the same directory.
    new: Option<RwLockWriteGuard<'a, Directory>>,
}

impl<'a> Pair<'a> {
    fn lock(old_parent: &'a Inode, new_parent: &'a Inode) -> Answer<Self> {
        let old = entries(old_parent)?.write();
        let new = if old_parent.ino == new_parent.ino {
            None
        } else {
            Some(entries(new_parent)?.write())
        };
        Ok(Self {
            old_parent,
            new_parent,
            old,
            new,
        })
    }

    fn source(&self) -> &Directory {
        &self.old
    }

    fn target(&self) -> &Directory {
        self.new.as_deref().unwrap_or(&self.old)
    }

    fn source_mut(&mut self) -> &mut Directory {
        &mut self.old
    }

    fn target_mut(&mut self) -> &mut Directory {
        self.new.as_deref_mut().unwrap_or(&mut self.old)
    }

    fn parent_of(&self, ino: u64) -> Option<u64> {
        match ino {
            _ if ino == self.old_parent.ino => Some(self.source().parent),
            _ if ino == self.new_parent.ino => Some(self.target().parent),
            _ => None,
        }
    }
}
