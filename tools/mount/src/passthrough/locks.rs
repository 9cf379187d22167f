//! POSIX record locks.
//!
//! They belong to a process, not to an open file, and one open file may serve several processes
//! after fork(2). So each lock owner gets an open file description of its own on the file it locks,
//! and an open-file-description lock there stands for the process's. Closing it drops all of them,
//! which is what the owner's first close(2) of the file must do. fcntl(2).

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fuser::{FileHandle, LockOwner};
use nix::fcntl::{FcntlArg, fcntl};
use parking_lot::Mutex;
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;

use super::files::reopen;
use super::{Answer, Tree};

/// A lock as FUSE describes it: the last byte is included, `u64::MAX` or `i64::MAX` means end of file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) kind: i32,
    pub(super) pid: u32,
}

#[derive(Debug, Default)]
pub(super) struct Locks {
    owners: Mutex<HashMap<(u64, u64), Holder>>,
    /// How many owners there are; lets closing a file skip the table while nobody locks. Written under
    /// the table's lock; a close(2) that must see an owner comes after the reply to its fcntl(2).
    count: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Holder {
    file: Arc<OwnedFd>,
    pid: u32,
}

impl Tree {
    /// The first lock that stands in the way, or one of kind `F_UNLCK`.
    pub(super) fn getlk(
        &self,
        id: u64,
        handle: FileHandle,
        owner: LockOwner,
        range: Range,
    ) -> Answer<Range> {
        let own = self.locks.owners.lock().get(&(id, owner.0)).cloned();
        let file = match own {
            Some(holder) => holder.file,
            None => self.nodes.open_file(id, handle)?,
        };
        let mut lock = flock(range);
        fcntl(&*file, FcntlArg::F_OFD_GETLK(&mut lock)).map_err(errno)?;
        Ok(self.described(id, owner, &lock))
    }

    /// The kernel cannot name the owner of such a lock, so the table is asked who else locks the file.
    fn described(&self, id: u64, owner: LockOwner, lock: &libc::flock) -> Range {
        let start = lock.l_start.cast_unsigned();
        let end = if lock.l_len == 0 {
            i64::MAX.cast_unsigned()
        } else {
            start + lock.l_len.cast_unsigned() - 1
        };
        let owners = self.locks.owners.lock();
        let other = owners
            .iter()
            .find(|((node, who), _)| *node == id && *who != owner.0);
        let pid = other.map_or(0, |(_, holder)| holder.pid);
        Range {
            start,
            end,
            kind: i32::from(lock.l_type),
            pid,
        }
    }

    /// Sets or removes a lock. With `wait`, `answer` is called from a thread of its own once the lock
    /// is granted; no server thread waits.
    pub(super) fn setlk(
        self: &Arc<Self>,
        id: u64,
        handle: FileHandle,
        owner: LockOwner,
        range: Range,
        wait: bool,
        answer: impl FnOnce(Answer<()>) + Send + 'static,
    ) {
        let file = match self.lock_file(id, handle, owner, range) {
            Ok(Some(file)) => file,
            Ok(None) => return answer(Ok(())),
            Err(errno) => return answer(Err(errno)),
        };
        let lock = flock(range);
        match fcntl(&*file, FcntlArg::F_OFD_SETLK(&lock))
            .map(|_| ())
            .map_err(errno)
        {
            Err(Errno::AGAIN | Errno::ACCESS) if wait => {
                std::thread::spawn(move || answer(wait_for(&file, range)));
            }
            done => answer(done),
        }
    }

    /// The owner's description of the file; none is made just to unlock.
    fn lock_file(
        &self,
        id: u64,
        handle: FileHandle,
        owner: LockOwner,
        range: Range,
    ) -> Answer<Option<Arc<OwnedFd>>> {
        let mut owners = self.locks.owners.lock();
        if let Some(holder) = owners.get(&(id, owner.0)) {
            return Ok(Some(Arc::clone(&holder.file)));
        }
        if range.kind == libc::F_UNLCK {
            return Ok(None);
        }
        let open = self.nodes.open_file(id, handle)?;
        let access = fcntl_getfl(&open)? & OFlags::RWMODE;
        let file = Arc::new(reopen(&open, access | OFlags::CLOEXEC | OFlags::NONBLOCK)?);
        owners.insert(
            (id, owner.0),
            Holder {
                file: Arc::clone(&file),
                pid: range.pid,
            },
        );
        self.locks.count.fetch_add(1, Ordering::Release);
        Ok(Some(file))
    }

    /// Drops every lock that the owner has on the file.
    pub(super) fn unlock_all(&self, id: u64, owner: LockOwner) {
        if self.locks.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut owners = self.locks.owners.lock();
        if owners.remove(&(id, owner.0)).is_some() {
            self.locks.count.fetch_sub(1, Ordering::Release);
        }
    }
}

fn wait_for(file: &OwnedFd, range: Range) -> Answer<()> {
    let lock = flock(range);
    loop {
        match fcntl(file, FcntlArg::F_OFD_SETLKW(&lock)) {
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(other) => return Err(errno(other)),
        }
    }
}

fn flock(range: Range) -> libc::flock {
    let last = i64::MAX.cast_unsigned();
    let length = if range.end >= last {
        0
    } else {
        range.end - range.start + 1
    };
    libc::flock {
        l_type: i16::try_from(range.kind).unwrap_or(i16::MAX),
        l_whence: 0,
        l_start: i64::try_from(range.start).unwrap_or(i64::MAX),
        l_len: i64::try_from(length).unwrap_or(0),
        // Must be 0 for locks of open file descriptions.
        l_pid: 0,
    }
}

fn errno(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}
