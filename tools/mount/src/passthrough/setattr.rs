//! Changing attributes.

use std::os::fd::OwnedFd;

use fuser::{FileHandle, TimeOrNow};
use rustix::fs::{AtFlags, Gid, Statx, Timestamps, Uid, chownat, ftruncate, utimensat};
use rustix::io::Errno;

use super::attributes::{stat_fd, timespec};
use super::mode::change_mode;
use super::reach::proc_path;
use super::{Answer, Tree};

/// What a SETATTR request changes.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) atime: Option<TimeOrNow>,
    pub(super) mtime: Option<TimeOrNow>,
}

impl Tree {
    /// Every change goes through one descriptor that is known to be the file's. The owner comes before
    /// the mode, because changing the owner clears setuid and setgid; times come last.
    pub(super) fn setattr(
        &self,
        id: u64,
        handle: Option<FileHandle>,
        changes: &Changes,
    ) -> Answer<Statx> {
        let file = match handle {
            Some(handle) => self.nodes.open_file(id, handle)?,
            None => self.pin(id)?,
        };
        if let Some(size) = changes.size {
            truncate(&file, size)?;
        }
        if changes.uid.is_some() || changes.gid.is_some() {
            let (uid, gid) = (
                changes.uid.map(Uid::from_raw),
                changes.gid.map(Gid::from_raw),
            );
            chownat(&file, c"", uid, gid, AtFlags::EMPTY_PATH)?;
        }
        if let Some(mode) = changes.mode {
            change_mode(&file, mode)?;
        }
        if changes.atime.is_some() || changes.mtime.is_some() {
            let times = Timestamps {
                last_access: timespec(changes.atime),
                last_modification: timespec(changes.mtime),
            };
            utimensat(&file, c"", &times, AtFlags::EMPTY_PATH)?;
        }
        stat_fd(&file)
    }
}

/// A descriptor that is not open for writing cannot be truncated, its file can.
fn truncate(file: &OwnedFd, size: u64) -> Answer<()> {
    match ftruncate(file, size) {
        Err(Errno::BADF | Errno::INVAL) => {
            let size = i64::try_from(size).map_err(|_| Errno::FBIG)?;
            nix::unistd::truncate(proc_path(file).as_str(), size)
                .map_err(|errno| Errno::from_raw_os_error(errno as i32))
        }
        done => done,
    }
}
