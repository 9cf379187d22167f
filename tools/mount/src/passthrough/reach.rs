//! From a node id to the backing file.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, Statx, openat};
use rustix::io::Errno;

use super::attributes::{stat_at, stat_fd};
use super::nodes::{Identity, Link, ROOT};
use super::{Answer, Tree};

/// Deeper trees cannot be named by any path, nor climbed in reasonable time.
const DEEPEST: usize = 4096;

impl Tree {
    /// A directory's descriptor, from the cache or opened by its names from the nearest cached ancestor.
    pub(super) fn directory(&self, id: u64) -> Answer<Arc<OwnedFd>> {
        if let Some(directory) = self.cached(id) {
            return Ok(directory);
        }
        let mut missing = Vec::new();
        let mut at = id;
        let mut directory = loop {
            if let Some(directory) = self.cached(at) {
                break directory;
            }
            let known = self.nodes.known(at)?;
            if !known.directory {
                // Above: the directory is gone, and a file has the number that it had.
                return Err(if at == id {
                    Errno::NOTDIR
                } else {
                    Errno::STALE
                });
            }
            let parent = known.link.parent;
            missing.push((at, known));
            if missing.len() > DEEPEST {
                return Err(Errno::LOOP);
            }
            at = parent;
        };
        for (id, known) in missing.into_iter().rev() {
            directory = Arc::new(self.open_path(&directory, &known.link.name, known.identity)?);
            self.directories.insert(id, &directory);
        }
        Ok(directory)
    }

    fn cached(&self, id: u64) -> Option<Arc<OwnedFd>> {
        if id == ROOT {
            Some(Arc::clone(&self.root))
        } else {
            self.directories.get(id)
        }
    }

    /// Opens a name for reference only, and makes sure that it is the file that was meant.
    fn open_path(&self, directory: &OwnedFd, name: &CStr, identity: Identity) -> Answer<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = self
            .with_room(|| openat(directory, name, flags, Mode::empty()))
            .map_err(stale)?;
        verify(&stat_fd(&file)?, identity)?;
        Ok(file)
    }

    /// A descriptor of the node: an open file's, a cached directory's, or one opened now with `O_PATH`.
    pub(super) fn pin(&self, id: u64) -> Answer<Arc<OwnedFd>> {
        if let Some(directory) = self.cached(id) {
            return Ok(directory);
        }
        let known = self.nodes.known(id)?;
        if known.directory {
            return self.directory(id);
        }
        if let Some(open) = known.open {
            return Ok(open);
        }
        self.by_name(id, known.link, |directory, name| {
            self.open_path(directory, name, known.identity)
                .map(Arc::new)
        })
    }

    /// The node's attributes: one system call.
    pub(super) fn stat(&self, id: u64) -> Answer<Statx> {
        if let Some(directory) = self.cached(id) {
            return stat_fd(&directory);
        }
        let known = self.nodes.known(id)?;
        if let Some(open) = known.open {
            return stat_fd(&open);
        }
        if known.directory {
            return stat_fd(&self.directory(id)?);
        }
        self.by_name(id, known.link, |directory, name| {
            let stat = stat_at(directory, name).map_err(stale)?;
            verify(&stat, known.identity)?;
            Ok(stat)
        })
    }

    /// Tries one name after the other until `act` does not find its name stale.
    pub(super) fn by_name<T>(
        &self,
        id: u64,
        mut link: Link,
        mut act: impl FnMut(&OwnedFd, &CStr) -> Answer<T>,
    ) -> Answer<T> {
        loop {
            let done = self
                .directory(link.parent)
                .map_err(stale)
                .and_then(|directory| act(&directory, &link.name));
            match done {
                Err(Errno::STALE) => link = self.nodes.next_link(id, &link)?,
                done => return done,
            }
        }
    }

    /// Out of descriptors, the cached directories are given up first.
    pub(super) fn with_room<T>(&self, open: impl Fn() -> Answer<T>) -> Answer<T> {
        match open() {
            Err(Errno::MFILE | Errno::NFILE) => {
                self.directories.clear();
                open()
            }
            opened => opened,
        }
    }
}

/// Acting on another file that took the name would be worse than failing.
pub(super) fn verify(stat: &Statx, identity: Identity) -> Answer<()> {
    if Identity::of(stat) == identity {
        Ok(())
    } else {
        Err(Errno::STALE)
    }
}

/// A remembered name that leads nowhere is stale: the kernel answers `ESTALE` by looking it up afresh.
pub(super) fn stale(errno: Errno) -> Errno {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Errno::STALE,
        other => other,
    }
}

/// The path by which calls that take no descriptor reach one, in a form that is copied nowhere else.
pub(super) fn proc_path(file: &OwnedFd) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs::{create_dir, write};
    use std::io;
    use std::path::Path;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::super::Passthrough;
    use super::*;

    fn name(name: &str) -> &OsStr {
        OsStr::new(name)
    }

    /// A tree in which `one/file` and `two/file` were one file and the latter was seen last, before `two` and
    /// everything in it was removed. Returns it, the file's node and attributes, and `two`'s node.
    fn bereft(at: &Path) -> io::Result<(Arc<Tree>, (u64, Statx), u64)> {
        create_dir(at.join("one"))?;
        create_dir(at.join("two"))?;
        write(at.join("one/file"), "")?;
        let tree = Passthrough::new(at, Duration::ZERO, Duration::ZERO)?.tree;
        let (one, _) = tree.lookup(ROOT, name("one"))?;
        let (two, _) = tree.lookup(ROOT, name("two"))?;
        let (file, stat) = tree.lookup(one, name("file"))?;
        assert_eq!(tree.link(file, two, name("file"))?.0, file);
        tree.unlink(two, name("file"))?;
        tree.rmdir(ROOT, name("two"))?;
        tree.forget(two, 1);
        Ok((tree, (file, stat), two))
    }

    #[test]
    fn a_file_is_found_when_one_of_its_directories_is_gone() -> io::Result<()> {
        let dir = TempDir::new()?;
        let (tree, (file, _), _) = bereft(dir.path())?;
        assert_eq!(tree.stat(file)?.stx_nlink, 1);
        Ok(())
    }

    #[test]
    fn a_file_is_found_when_another_has_the_number_of_such_a_directory() -> io::Result<()> {
        let dir = TempDir::new()?;
        let (tree, (file, mut other), two) = bereft(dir.path())?;
        // As the backing file system may number the next file that is made.
        other.stx_ino = two;
        assert_eq!(tree.nodes.learn(ROOT, name("other"), &other), two);
        assert_eq!(tree.stat(file)?.stx_nlink, 1);
        Ok(())
    }
}
