//! Look-up, and the operations that change names.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fuser::{FileAttr, Request};
use parking_lot::RwLock;
use rustix::io::Errno;

use super::directory::Directory;
use super::inode::{Body, Inode, Owner, ROOT};
use super::space::{INODE_COST, NAME_COST};
use super::{Answer, Store};

const LONGEST_NAME: usize = 255;

/// What a new inode is.
#[derive(Clone, Copy, Debug)]
pub(super) struct New<'a> {
    pub(super) mode: u32,
    pub(super) rdev: u32,
    /// Of a symbolic link.
    pub(super) target: &'a [u8],
}

pub(super) fn entries(inode: &Inode) -> Answer<&RwLock<Directory>> {
    match &inode.body {
        Body::Directory(entries) => Ok(entries),
        _ => Err(Errno::NOTDIR),
    }
}

pub(super) fn check_name(name: &[u8]) -> Answer<()> {
    if name.len() > LONGEST_NAME {
        Err(Errno::NAMETOOLONG)
    } else {
        Ok(())
    }
}

pub(super) fn name_cost(name: &[u8]) -> u64 {
    NAME_COST + name.len() as u64
}

impl Store {
    pub(super) fn lookup(&self, parent: u64, name: &[u8]) -> Answer<FileAttr> {
        check_name(name)?;
        let parent = self.inodes.get(parent)?;
        let entries = entries(&parent)?.read();
        let child = self.inodes.get(entries.get(name).ok_or(Errno::NOENT)?)?;
        child.meta.lock().lookups += 1;
        drop(entries);
        Ok(child.attributes())
    }

    pub(super) fn forget(&self, ino: u64, count: u64) {
        let Ok(inode) = self.inodes.get(ino) else {
            return;
        };
        if ino == ROOT {
            return;
        }
        {
            let mut meta = inode.meta.lock();
            meta.lookups = meta.lookups.saturating_sub(count);
        }
        self.inodes.drop_if_gone(&inode);
    }

    /// Creates an object and counts a look-up for it, and an open if `open`.
    pub(super) fn create(
        &self,
        request: &Request,
        parent: u64,
        name: &[u8],
        new: New<'_>,
        open: bool,
    ) -> Answer<FileAttr> {
        check_name(name)?;
        let parent = self.inodes.get(parent)?;
        let mut entries = entries(&parent)?.write();
        if entries.dead {
            return Err(Errno::NOENT);
        }
        if entries.get(name).is_some() {
            return Err(Errno::EXIST);
        }
        let cost = INODE_COST + name_cost(name) + new.target.len() as u64;
        self.space.take(cost)?;
        let inode = Arc::new(self.new_inode(request, &parent, new));
        {
            let mut meta = inode.meta.lock();
            meta.lookups = 1;
            meta.opens = u64::from(open);
        }
        entries.set(name, inode.ino);
        self.inodes.insert(Arc::clone(&inode));
        {
            let mut meta = parent.meta.lock();
            meta.nlink += u32::from(inode.is_directory());
            meta.touch();
        }
        drop(entries);
        Ok(inode.attributes())
    }

    /// In a setgid directory the group is the directory's, and directories are setgid again.
    /// linux: fs/inode.c, `inode_init_owner`.
    fn new_inode(&self, request: &Request, parent: &Inode, new: New<'_>) -> Inode {
        let mut owner = Owner {
            uid: request.uid(),
            gid: request.gid(),
        };
        let mut mode = new.mode;
        {
            let parent = parent.meta.lock();
            if parent.mode & libc::S_ISGID != 0 {
                owner.gid = parent.gid;
                if mode & libc::S_IFMT == libc::S_IFDIR {
                    mode |= libc::S_ISGID;
                }
            }
        }
        let ino = self.next_ino.fetch_add(1, Ordering::Relaxed);
        let inode = Inode::new(&self.space, ino, mode, owner, new.rdev);
        match &inode.body {
            Body::Directory(entries) => entries.write().parent = parent.ino,
            Body::Symlink(target) => *target.write() = new.target.into(),
            _ => {}
        }
        inode
    }

    pub(super) fn link(&self, ino: u64, parent: u64, name: &[u8]) -> Answer<FileAttr> {
        check_name(name)?;
        let (inode, parent) = (self.inodes.get(ino)?, self.inodes.get(parent)?);
        if inode.is_directory() {
            return Err(Errno::PERM);
        }
        let mut entries = entries(&parent)?.write();
        if entries.dead {
            return Err(Errno::NOENT);
        }
        if entries.get(name).is_some() {
            return Err(Errno::EXIST);
        }
        self.space.take(name_cost(name))?;
        {
            let mut meta = inode.meta.lock();
            let refused = match meta.nlink {
                0 => Some(Errno::NOENT),
                u32::MAX => Some(Errno::MLINK),
                _ => None,
            };
            if let Some(errno) = refused {
                self.space.give_back(name_cost(name));
                return Err(errno);
            }
            meta.nlink += 1;
            meta.lookups += 1;
            meta.ctime = std::time::SystemTime::now();
        }
        entries.set(name, ino);
        parent.meta.lock().touch();
        drop(entries);
        Ok(inode.attributes())
    }

    pub(super) fn unlink(&self, parent: u64, name: &[u8]) -> Answer<()> {
        check_name(name)?;
        let parent = self.inodes.get(parent)?;
        let mut entries = entries(&parent)?.write();
        let child = self.inodes.get(entries.get(name).ok_or(Errno::NOENT)?)?;
        if child.is_directory() {
            return Err(Errno::ISDIR);
        }
        entries.remove(name);
        self.space.give_back(name_cost(name));
        parent.meta.lock().touch();
        drop(entries);
        self.unlinked(&child);
        Ok(())
    }

    pub(super) fn rmdir(&self, parent: u64, name: &[u8]) -> Answer<()> {
        check_name(name)?;
        let _moves = self.moves.lock();
        let parent = self.inodes.get(parent)?;
        let mut entries_of_parent = entries(&parent)?.write();
        let child = self
            .inodes
            .get(entries_of_parent.get(name).ok_or(Errno::NOENT)?)?;
        kill_directory(&child)?;
        entries_of_parent.remove(name);
        self.space.give_back(name_cost(name));
        {
            let mut meta = parent.meta.lock();
            meta.nlink -= 1;
            meta.touch();
        }
        drop(entries_of_parent);
        self.unlinked(&child);
        Ok(())
    }

    /// One name less. A directory loses its own `.` with it.
    pub(super) fn unlinked(&self, inode: &Inode) {
        {
            let mut meta = inode.meta.lock();
            meta.nlink = if inode.is_directory() {
                0
            } else {
                meta.nlink - 1
            };
            meta.ctime = std::time::SystemTime::now();
        }
        self.inodes.drop_if_gone(inode);
    }
}

/// Marks an empty directory as removed.
pub(super) fn kill_directory(inode: &Inode) -> Answer<()> {
    let mut entries = entries(inode)?.write();
    if !entries.is_empty() {
        return Err(Errno::NOTEMPTY);
    }
    entries.dead = true;
    Ok(())
}
