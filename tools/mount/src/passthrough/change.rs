//! Look-up, and the operations that change names.

use std::ffi::OsStr;
use std::path::Path;

use fuser::{RenameFlags, Request};
use rustix::fs::{
    AtFlags, FileType, Mode, RenameFlags as Renaming, Statx, linkat, mkdirat, mknodat,
    renameat_with, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::attributes::{decode_dev, stat_at};
use super::nodes::{Identity, ROOT};
use super::reach::{proc_path, stale};
use super::{Answer, Tree};

/// An entry to tell the kernel of: node id and attributes.
pub(super) type Entry = (u64, Statx);

impl Tree {
    pub(super) fn lookup(&self, parent: u64, name: &OsStr) -> Answer<Entry> {
        let directory = self.directory(parent)?;
        let stat = stat_at(&directory, name)?;
        Ok((self.nodes.learn(parent, name, &stat), stat))
    }

    pub(super) fn forget(&self, id: u64, count: u64) {
        if id != ROOT && self.nodes.forget(id, count) {
            self.directories.remove(id);
        }
    }

    pub(super) fn mknod(
        &self,
        request: &Request,
        parent: u64,
        name: &OsStr,
        mode: u32,
        rdev: u32,
    ) -> Answer<Entry> {
        let directory = self.directory(parent)?;
        let kind = FileType::from_raw_mode(mode);
        let create = || {
            mknodat(
                &directory,
                name,
                kind,
                Mode::from_raw_mode(mode),
                decode_dev(rdev),
            )
        };
        self.owner.create_as(request, create)?;
        let stat = stat_at(&directory, name)?;
        Ok((self.nodes.learn(parent, name, &stat), stat))
    }

    pub(super) fn mkdir(
        &self,
        request: &Request,
        parent: u64,
        name: &OsStr,
        mode: u32,
    ) -> Answer<Entry> {
        let directory = self.directory(parent)?;
        self.owner.create_as(request, || {
            mkdirat(&directory, name, Mode::from_raw_mode(mode))
        })?;
        let stat = stat_at(&directory, name)?;
        Ok((self.nodes.learn(parent, name, &stat), stat))
    }

    pub(super) fn symlink(
        &self,
        request: &Request,
        parent: u64,
        name: &OsStr,
        target: &Path,
    ) -> Answer<Entry> {
        let directory = self.directory(parent)?;
        self.owner
            .create_as(request, || symlinkat(target, &directory, name))?;
        let stat = stat_at(&directory, name)?;
        Ok((self.nodes.learn(parent, name, &stat), stat))
    }

    /// The node keeps the name, which is stale from now on: see `nodes`.
    pub(super) fn unlink(&self, parent: u64, name: &OsStr) -> Answer<()> {
        unlinkat(self.directory(parent)?, name, AtFlags::empty())
    }

    pub(super) fn rmdir(&self, parent: u64, name: &OsStr) -> Answer<()> {
        unlinkat(self.directory(parent)?, name, AtFlags::REMOVEDIR)
    }

    /// Renames, then tells the nodes concerned their new names. The kernel, and the other door,
    /// keep both directories' names still until the reply, so the new names are found again.
    pub(super) fn rename(
        &self,
        from: (u64, &OsStr),
        to: (u64, &OsStr),
        flags: RenameFlags,
    ) -> Answer<()> {
        let old = self.directory(from.0)?;
        let new = if from.0 == to.0 {
            old.clone()
        } else {
            self.directory(to.0)?
        };
        renameat_with(
            &old,
            from.1,
            &new,
            to.1,
            Renaming::from_bits_retain(flags.bits()),
        )?;
        if let Ok(stat) = stat_at(&new, to.1) {
            self.nodes.renamed(&stat, from, to);
        }
        if flags.contains(RenameFlags::RENAME_EXCHANGE)
            && let Ok(stat) = stat_at(&old, from.1)
        {
            self.nodes.renamed(&stat, to, from);
        }
        Ok(())
    }

    /// Links by the remembered name and checks what was linked: a name that another file has taken
    /// meanwhile is unlinked again.
    pub(super) fn link(&self, id: u64, parent: u64, name: &OsStr) -> Answer<Entry> {
        let new = self.directory(parent)?;
        let known = self.nodes.known(id)?;
        let stat = match known.open {
            Some(file) => {
                linkat(
                    rustix::fs::CWD,
                    proc_path(&file),
                    &new,
                    name,
                    AtFlags::SYMLINK_FOLLOW,
                )?;
                stat_at(&new, name)?
            }
            None => self.by_name(id, known.link, |old, old_name| {
                match linkat(old, old_name, &new, name, AtFlags::empty()) {
                    // The new directory exists, its descriptor is open: it is the old name that is missing.
                    Err(errno) => Err(stale(errno)),
                    Ok(()) => {
                        let stat = stat_at(&new, name)?;
                        if Identity::of(&stat) == known.identity {
                            return Ok(stat);
                        }
                        unlinkat(&new, name, AtFlags::empty())?;
                        Err(Errno::STALE)
                    }
                }
            })?,
        };
        Ok((self.nodes.learn(parent, name, &stat), stat))
    }
}
