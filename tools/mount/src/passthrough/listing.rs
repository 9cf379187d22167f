//! Open directories and what they list.
//!
//! Offsets are the backing file system's own cookies, so that telldir(3) and seekdir(3) mean the same
//! through the mount, also while the directory changes.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fuser::{FileHandle, FileType};
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags, RawDir, SeekFrom, Statx, fdatasync, fsync, openat, seek};
use rustix::io::Errno;

use super::attributes::{stat_at, stat_fd};
use super::nodes::ROOT;
use super::{Answer, Tree};

/// About what one reply of the usual size holds.
const BATCH: usize = 8 << 10;

/// The open directories, by handle.
#[derive(Debug, Default)]
pub(super) struct Listings {
    open: Mutex<HashMap<u64, Arc<Listing>>>,
    /// Only ever counted up; nothing is published through it, so relaxed.
    next: AtomicU64,
}

#[derive(Debug)]
struct Listing {
    directory: OwnedFd,
    read: Mutex<Batch>,
}

/// Entries read and not yet handed out, and where the descriptor stands.
#[derive(Debug, Default)]
struct Batch {
    entries: Vec<Listed>,
    names: Vec<u8>,
    given: usize,
    /// The cookie after the last entry given out: where the kernel goes on if it goes on in order.
    position: u64,
}

#[derive(Clone, Copy, Debug)]
struct Listed {
    ino: u64,
    kind: FileType,
    cookie: u64,
    name: (usize, usize),
}

/// One directory entry on its way to a reply.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) id: u64,
    pub(super) kind: FileType,
    pub(super) name: &'a OsStr,
    /// Where to go on after this entry.
    pub(super) next: u64,
}

impl Listings {
    fn get(&self, handle: FileHandle) -> Answer<Arc<Listing>> {
        self.open.lock().get(&handle.0).cloned().ok_or(Errno::BADF)
    }
}

impl Tree {
    pub(super) fn opendir(&self, id: u64) -> Answer<FileHandle> {
        let directory = self.directory(id)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = self.with_room(|| openat(&directory, c".", flags, Mode::empty()))?;
        let handle = self.listings.next.fetch_add(1, Ordering::Relaxed);
        let listing = Listing {
            directory,
            read: Mutex::default(),
        };
        self.listings.open.lock().insert(handle, Arc::new(listing));
        Ok(FileHandle(handle))
    }

    pub(super) fn releasedir(&self, handle: FileHandle) {
        let closed = self.listings.open.lock().remove(&handle.0);
        drop(closed);
    }

    pub(super) fn syncdir(&self, handle: FileHandle, data_only: bool) -> Answer<()> {
        let listing = self.listings.get(handle)?;
        if data_only {
            fdatasync(&listing.directory)
        } else {
            fsync(&listing.directory)
        }
    }

    /// Calls `add` for each entry from `offset` on until it says that the reply is full.
    pub(super) fn readdir(
        &self,
        id: u64,
        handle: FileHandle,
        offset: u64,
        mut add: impl FnMut(&Item<'_>) -> bool,
    ) -> Answer<()> {
        self.each_entry(handle, offset, |_, listed, name| {
            let shown = match name.as_bytes() {
                b"." => id,
                b".." => self.parent(id),
                _ => self.nodes.shown_id(listed.ino),
            };
            add(&Item {
                id: shown,
                kind: listed.kind,
                name,
                next: listed.cookie,
            })
        })
    }

    /// As `readdir`, with attributes and a look-up for each entry but the dots. An entry that is gone
    /// by the time it is looked at is left out; one that no longer fits is looked up in vain.
    pub(super) fn readdirplus(
        &self,
        id: u64,
        handle: FileHandle,
        offset: u64,
        mut add: impl FnMut(&Item<'_>, &Statx) -> bool,
    ) -> Answer<()> {
        self.each_entry(handle, offset, |listing, listed, name| {
            let next = listed.cookie;
            if matches!(name.as_bytes(), b"." | b"..") {
                let id = if name.as_bytes() == b"." {
                    id
                } else {
                    self.parent(id)
                };
                // The kernel takes neither attributes nor a look-up from the dots.
                let Ok(stat) = stat_fd(&listing.directory) else {
                    return false;
                };
                return add(
                    &Item {
                        id,
                        kind: FileType::Directory,
                        name,
                        next,
                    },
                    &stat,
                );
            }
            let Ok(stat) = stat_at(&listing.directory, name) else {
                return false;
            };
            let child = self.nodes.learn(id, name, &stat);
            let full = add(
                &Item {
                    id: child,
                    kind: listed.kind,
                    name,
                    next,
                },
                &stat,
            );
            if full {
                self.forget(child, 1);
            }
            full
        })
    }

    fn parent(&self, id: u64) -> u64 {
        if id == ROOT {
            ROOT
        } else {
            self.nodes.known(id).map_or(ROOT, |known| known.link.parent)
        }
    }

    fn each_entry(
        &self,
        handle: FileHandle,
        offset: u64,
        mut full_after: impl FnMut(&Listing, &Listed, &OsStr) -> bool,
    ) -> Answer<()> {
        let listing = self.listings.get(handle)?;
        let mut batch = listing.read.lock();
        if batch.position != offset {
            batch.go_to(&listing.directory, offset)?;
        }
        let mut added = false;
        loop {
            if batch.given == batch.entries.len() {
                // What was added is not lost to an error: the next call meets it again.
                match batch.refill(&listing.directory) {
                    Ok(false) => return Ok(()),
                    Ok(true) => {}
                    Err(_) if added => return Ok(()),
                    Err(errno) => return Err(errno),
                }
            }
            let listed = batch.entries[batch.given];
            let name = OsStr::from_bytes(&batch.names[listed.name.0..listed.name.1]);
            if full_after(&listing, &listed, name) {
                return Ok(());
            }
            added = true;
            batch.given += 1;
            batch.position = listed.cookie;
        }
    }
}

impl Batch {
    fn go_to(&mut self, directory: &OwnedFd, offset: u64) -> Answer<()> {
        self.entries.clear();
        self.names.clear();
        self.given = 0;
        // A cookie is whatever the backing file system made it, so it goes back bit for bit.
        seek(directory, SeekFrom::Start(offset))?;
        self.position = offset;
        Ok(())
    }

    /// Reads one batch; false at the end of the directory.
    fn refill(&mut self, directory: &OwnedFd) -> Answer<bool> {
        self.entries.clear();
        self.names.clear();
        self.given = 0;
        let mut space = [MaybeUninit::<u8>::uninit(); BATCH];
        let mut entries = RawDir::new(directory, &mut space);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let start = self.names.len();
            self.names.extend_from_slice(entry.file_name().to_bytes());
            self.entries.push(Listed {
                ino: entry.ino(),
                kind: kind(entry.file_type()),
                cookie: entry.next_entry_cookie(),
                name: (start, self.names.len()),
            });
            if entries.is_buffer_empty() {
                break;
            }
        }
        Ok(!self.entries.is_empty())
    }
}

/// A backing file system that does not say what an entry is calls it a regular file here; the
/// look-up that follows knows better.
fn kind(kind: rustix::fs::FileType) -> FileType {
    super::attributes::kind(kind.as_raw_mode())
}
