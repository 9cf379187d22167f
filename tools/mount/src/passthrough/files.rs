//! Open files: everything that works on a handle.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use fuser::{AccessFlags, FileHandle, Request};
use rustix::fs::{
    Access, AtFlags, CWD, FallocateFlags, Mode, OFlags, SeekFrom, Statx, accessat, copy_file_range,
    fallocate, fdatasync, fsync, ftruncate, openat, readlinkat_raw, seek,
};
use rustix::io::{Errno, pread, pwrite};

use super::attributes::stat_fd;
use super::change::Entry;
use super::reach::{proc_path, stale, verify};
use super::{Answer, Tree};

/// Truncation waits until the file proved to be the one that is meant.
const NOT_ON_OPEN: OFlags = OFlags::CREATE.union(OFlags::EXCL).union(OFlags::TRUNC);

thread_local! {
    /// Each server thread reads into one buffer that grows to the largest read and stays.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Tree {
    pub(super) fn open(&self, id: u64, flags: i32) -> Answer<FileHandle> {
        let asked = OFlags::from_bits_retain(flags.cast_unsigned());
        let flags =
            asked.difference(NOT_ON_OPEN) | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let known = self.nodes.known(id)?;
        let by_name = self.by_name(id, known.link, |directory, name| {
            let file = self
                .with_room(|| openat(directory, name, flags, Mode::empty()))
                .map_err(stale)?;
            verify(&stat_fd(&file)?, known.identity)?;
            Ok(file)
        });
        let file = match (by_name, known.open) {
            // Without a name left, but open: /proc/PID/fd/N of somebody is being opened.
            (Err(Errno::STALE), Some(open)) => reopen(&open, flags.difference(OFlags::NOFOLLOW))?,
            (opened, _) => opened?,
        };
        if asked.contains(OFlags::TRUNC) {
            ftruncate(&file, 0)?;
        }
        Ok(self.nodes.add_open(id, file))
    }

    pub(super) fn create(
        &self,
        request: &Request,
        parent: u64,
        name: &OsStr,
        mode: u32,
        flags: i32,
    ) -> Answer<(Entry, FileHandle)> {
        let directory = self.directory(parent)?;
        let flags = OFlags::from_bits_retain(flags.cast_unsigned());
        let flags = flags | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let create =
            || self.with_room(|| openat(&directory, name, flags, Mode::from_raw_mode(mode)));
        let file = self.owner.create_as(request, create)?;
        let stat = stat_fd(&file)?;
        let id = self.nodes.learn(parent, name, &stat);
        Ok(((id, stat), self.nodes.add_open(id, file)))
    }

    pub(super) fn release(&self, id: u64, handle: FileHandle) {
        drop(self.nodes.remove_open(id, handle));
    }

    /// Hands what was read to `use_data`.
    pub(super) fn read(
        &self,
        id: u64,
        handle: FileHandle,
        offset: u64,
        size: u32,
        use_data: impl FnOnce(Answer<&[u8]>),
    ) {
        let file = match self.nodes.open_file(id, handle) {
            Ok(file) => file,
            Err(errno) => return use_data(Err(errno)),
        };
        BUFFER.with_borrow_mut(|buffer| {
            let size = size as usize;
            if buffer.len() < size {
                buffer.resize(size, 0);
            }
            match read_full(&file, &mut buffer[..size], offset) {
                Ok(read) => use_data(Ok(&buffer[..read])),
                Err(errno) => use_data(Err(errno)),
            }
        });
    }

    /// `through_cache` says that these are pages of a mapping, written back through whichever handle
    /// the kernel found: on one opened for appending, Linux would move them to the end. pwrite(2), BUGS.
    pub(super) fn write(
        &self,
        id: u64,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        through_cache: bool,
    ) -> Answer<u32> {
        let mut file = self.nodes.open_file(id, handle)?;
        if through_cache && rustix::fs::fcntl_getfl(&file)?.contains(OFlags::APPEND) {
            file = Arc::new(reopen(&file, OFlags::WRONLY | OFlags::CLOEXEC)?);
        }
        let written = pwrite(&file, data, offset)?;
        u32::try_from(written).map_err(|_| Errno::OVERFLOW)
    }

    pub(super) fn sync(&self, id: u64, handle: FileHandle, data_only: bool) -> Answer<()> {
        let file = self.nodes.open_file(id, handle)?;
        if data_only {
            fdatasync(file)
        } else {
            fsync(file)
        }
    }

    pub(super) fn allocate(
        &self,
        id: u64,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
    ) -> Answer<()> {
        let mode = FallocateFlags::from_bits_retain(mode.cast_unsigned());
        fallocate(self.nodes.open_file(id, handle)?, mode, offset, length)
    }

    pub(super) fn seek(
        &self,
        id: u64,
        handle: FileHandle,
        offset: i64,
        whence: i32,
    ) -> Answer<i64> {
        let from = u64::try_from(offset).map_err(|_| Errno::NXIO)?;
        let to = match whence {
            libc::SEEK_DATA => SeekFrom::Data(from),
            libc::SEEK_HOLE => SeekFrom::Hole(from),
            _ => return Err(Errno::INVAL),
        };
        let found = seek(self.nodes.open_file(id, handle)?, to)?;
        i64::try_from(found).map_err(|_| Errno::OVERFLOW)
    }

    pub(super) fn copy(
        &self,
        from: (u64, FileHandle, u64),
        to: (u64, FileHandle, u64),
        length: u64,
    ) -> Answer<u32> {
        let (source, target) = (
            self.nodes.open_file(from.0, from.1)?,
            self.nodes.open_file(to.0, to.1)?,
        );
        let (mut read_at, mut write_at) = (from.2, to.2);
        // The reply has room for 32 bits, and a short copy is repeated.
        let length = usize::try_from(length.min(1 << 30)).unwrap_or(1 << 30);
        let copied = copy_file_range(
            source,
            Some(&mut read_at),
            target,
            Some(&mut write_at),
            length,
        )?;
        u32::try_from(copied).map_err(|_| Errno::OVERFLOW)
    }

    pub(super) fn readlink(&self, id: u64) -> Answer<Vec<u8>> {
        let known = self.nodes.known(id)?;
        self.by_name(id, known.link, |directory, name| {
            let mut target = Vec::with_capacity(libc::PATH_MAX.cast_unsigned() as usize);
            let read = |target: &mut Vec<u8>| {
                readlinkat_raw(directory, name, rustix::buffer::spare_capacity(target)).map(|_| ())
            };
            // No link any more: another file has the name now.
            read(&mut target).map_err(|errno| match errno {
                Errno::INVAL => Errno::STALE,
                errno => stale(errno),
            })?;
            verify(
                &super::attributes::stat_at(directory, name).map_err(stale)?,
                known.identity,
            )?;
            Ok(target)
        })
    }

    /// access(2) for callers that are who the process is; others are judged by mode, owner and group.
    pub(super) fn access(&self, request: &Request, id: u64, mask: AccessFlags) -> Answer<()> {
        if request.uid() == rustix::process::geteuid().as_raw() {
            let file = self.pin(id)?;
            let asked = Access::from_bits_truncate(mask.bits().cast_unsigned());
            return accessat(CWD, proc_path(&file), asked, AtFlags::EACCESS);
        }
        if permits(&self.stat(id)?, request, mask) {
            Ok(())
        } else {
            Err(Errno::ACCESS)
        }
    }
}

fn permits(stat: &Statx, request: &Request, mask: AccessFlags) -> bool {
    let shift = match () {
        () if request.uid() == stat.stx_uid => 6,
        () if request.gid() == stat.stx_gid => 3,
        () => 0,
    };
    let wanted = mask.bits().cast_unsigned() & 7;
    u32::from(stat.stx_mode) >> shift & wanted == wanted
}

/// Opens an open file once more, with other flags.
pub(super) fn reopen(file: &OwnedFd, flags: OFlags) -> Answer<OwnedFd> {
    openat(CWD, proc_path(file), flags, Mode::empty())
}

/// A short reply means end of file to the kernel, so reading goes on until it is.
fn read_full(file: &OwnedFd, buffer: &mut [u8], offset: u64) -> Answer<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match pread(file, &mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(Errno::INTR) => {}
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(done)
}
