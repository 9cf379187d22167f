//! Changing attributes, and the contents of files.

use std::time::SystemTime;

use fuser::{FileAttr, Request, TimeOrNow};
use parking_lot::RwLock;
use rustix::io::Errno;

use super::data::Data;
use super::inode::{Body, Inode, Meta};
use super::{Answer, Store};

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

pub(super) fn data(inode: &Inode) -> Answer<&RwLock<Data>> {
    match &inode.body {
        Body::File(data) => Ok(data),
        Body::Directory(_) => Err(Errno::ISDIR),
        _ => Err(Errno::INVAL),
    }
}

fn moment(time: TimeOrNow, now: SystemTime) -> SystemTime {
    match time {
        TimeOrNow::Now => now,
        TimeOrNow::SpecificTime(time) => time,
    }
}

/// Writing to a file, or giving it away, takes its privileges. linux: fs/attr.c, `setattr_should_drop_sgid`.
fn drop_privileges(meta: &mut Meta) {
    if meta.mode & libc::S_IFMT == libc::S_IFDIR {
        return;
    }
    meta.mode &= !libc::S_ISUID;
    if meta.mode & libc::S_IXGRP != 0 {
        meta.mode &= !libc::S_ISGID;
    }
}

impl Store {
    pub(super) fn setattr(&self, ino: u64, changes: &Changes) -> Answer<FileAttr> {
        let inode = self.inodes.get(ino)?;
        let now = SystemTime::now();
        let mut resized = false;
        if let Some(size) = changes.size {
            let mut data = data(&inode)?.write();
            resized = data.len() != size;
            data.truncate(size, &self.space)?;
        }
        {
            let mut meta = inode.meta.lock();
            if changes.uid.is_some() || changes.gid.is_some() {
                meta.uid = changes.uid.unwrap_or(meta.uid);
                meta.gid = changes.gid.unwrap_or(meta.gid);
                drop_privileges(&mut meta);
            }
            if let Some(mode) = changes.mode {
                meta.mode = meta.mode & libc::S_IFMT | mode & 0o7777;
            }
            if resized {
                meta.mtime = now;
            }
            if let Some(time) = changes.atime {
                meta.atime = moment(time, now);
            }
            if let Some(time) = changes.mtime {
                meta.mtime = moment(time, now);
            }
            meta.ctime = now;
        }
        Ok(inode.attributes())
    }

    pub(super) fn read(&self, ino: u64, offset: u64, size: u32, out: &mut Vec<u8>) -> Answer<()> {
        let inode = self.inodes.get(ino)?;
        data(&inode)?.read().read(offset, u64::from(size), out);
        let mut meta = inode.meta.lock();
        // As with relatime: once after each change is enough.
        if meta.atime <= meta.mtime || meta.atime <= meta.ctime {
            meta.atime = SystemTime::now();
        }
        Ok(())
    }

    pub(super) fn write(
        &self,
        request: &Request,
        ino: u64,
        offset: u64,
        bytes: &[u8],
        drop_suid: bool,
    ) -> Answer<u32> {
        let inode = self.inodes.get(ino)?;
        let written = data(&inode)?.write().write(offset, bytes, &self.space)?;
        let mut meta = inode.meta.lock();
        if drop_suid && request.uid() != 0 {
            drop_privileges(&mut meta);
        }
        meta.touch();
        u32::try_from(written).map_err(|_| Errno::OVERFLOW)
    }

    pub(super) fn copy(
        &self,
        request: &Request,
        from: (u64, u64),
        to: (u64, u64),
        length: u64,
    ) -> Answer<u32> {
        // A short copy is repeated by the caller; a bounded one keeps the intermediate copy small.
        let length = u32::try_from(length.min(1 << 20)).unwrap_or(1 << 20);
        let mut bytes = Vec::new();
        self.read(from.0, from.1, length, &mut bytes)?;
        if bytes.is_empty() {
            return Ok(0);
        }
        self.write(request, to.0, to.1, &bytes, false)
    }

    pub(super) fn allocate(&self, ino: u64, offset: u64, length: u64, mode: i32) -> Answer<()> {
        let inode = self.inodes.get(ino)?;
        let keep_size = mode & libc::FALLOC_FL_KEEP_SIZE != 0;
        let mut data = data(&inode)?.write();
        match mode & !libc::FALLOC_FL_KEEP_SIZE {
            0 => data.allocate(offset, length, keep_size, &self.space)?,
            libc::FALLOC_FL_PUNCH_HOLE if keep_size => data.punch(offset, length, &self.space),
            libc::FALLOC_FL_ZERO_RANGE => {
                data.punch(offset, length, &self.space);
                data.allocate(offset, length, keep_size, &self.space)?;
            }
            _ => return Err(Errno::OPNOTSUPP),
        }
        drop(data);
        inode.meta.lock().touch();
        Ok(())
    }

    pub(super) fn seek(&self, ino: u64, offset: i64, whence: i32) -> Answer<i64> {
        let inode = self.inodes.get(ino)?;
        let data = data(&inode)?.read();
        let offset = u64::try_from(offset).map_err(|_| Errno::NXIO)?;
        let found = match whence {
            libc::SEEK_DATA => data.next_data(offset)?,
            libc::SEEK_HOLE => data.next_hole(offset)?,
            _ => return Err(Errno::INVAL),
        };
        i64::try_from(found).map_err(|_| Errno::OVERFLOW)
    }

    pub(super) fn open(&self, ino: u64) -> Answer<()> {
        let inode = self.inodes.get(ino)?;
        inode.meta.lock().opens += 1;
        Ok(())
    }

    pub(super) fn release(&self, ino: u64) {
        let Ok(inode) = self.inodes.get(ino) else {
            return;
        };
        {
            let mut meta = inode.meta.lock();
            meta.opens = meta.opens.saturating_sub(1);
        }
        self.inodes.drop_if_gone(&inode);
    }
}
