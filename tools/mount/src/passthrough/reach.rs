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
                return Err(Errno::NOTDIR);
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
