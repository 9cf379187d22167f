use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use fuser::{BackingId, Errno, FileAttr, FileHandle, FopenFlags, Generation};

use crate::kernel_door::{EntryNote, OpenNote};

/// Answers the opening of a file or directory.
#[derive(Debug)]
pub struct ReplyOpen {
    reply: fuser::ReplyOpen,
    note: OpenNote,
}

impl ReplyOpen {
    pub(crate) fn kernel(reply: fuser::ReplyOpen, note: OpenNote) -> Self {
        ReplyOpen { reply, note }
    }

    /// It is open; `fh` comes with every operation on it.
    ///
    /// # Panics
    /// When `flags` ask for pass-through, which [`ReplyOpen::opened_passthrough`] does.
    pub fn opened(self, fh: FileHandle, flags: FopenFlags) {
        self.note.opened(flags);
        self.reply.opened(fh, flags);
    }

    /// Gives the kernel a backing file, for [`ReplyOpen::opened_passthrough`].
    ///
    /// # Errors
    /// What the kernel says, EPERM without CAP_SYS_ADMIN.
    pub fn open_backing(&self, fd: impl AsFd) -> io::Result<BackingId> {
        self.reply.open_backing(fd)
    }

    /// Takes ownership of a raw backing id ([`BackingId::create_raw`]).
    ///
    /// # Safety
    /// `id` is open, belongs to this session, and nobody closes it while the returned
    /// value lives.
    #[allow(unsafe_code)]
    pub unsafe fn wrap_backing(&self, id: u32) -> BackingId {
        // SAFETY: the caller promises what fuser's function of this name demands.
        unsafe { self.reply.wrap_backing(id) }
    }

    /// It is open, and the kernel reads and writes the backing file itself. One file has
    /// one `backing_id` as long as it is open.
    pub fn opened_passthrough(self, fh: FileHandle, flags: FopenFlags, backing_id: &BackingId) {
        self.note.opened(flags);
        self.reply.opened_passthrough(fh, flags, backing_id);
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        self.note.failed(err);
        self.reply.error(err);
    }
}

/// Answers the making and opening of a file.
#[derive(Debug)]
pub struct ReplyCreate {
    reply: fuser::ReplyCreate,
    note: EntryNote,
}

impl ReplyCreate {
    pub(crate) fn kernel(reply: fuser::ReplyCreate, note: EntryNote) -> Self {
        ReplyCreate { reply, note }
    }

    /// The file exists and is open.
    ///
    /// # Panics
    /// When `flags` ask for pass-through, which [`ReplyCreate::created_passthrough`] does.
    pub fn created(
        self,
        ttl: &Duration,
        attr: &FileAttr,
        generation: Generation,
        fh: FileHandle,
        flags: FopenFlags,
    ) {
        let ttl = self.note.gave_with_one_ttl(attr.ino, *ttl);
        self.reply.created(&ttl, attr, generation, fh, flags);
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        self.note.failed();
        self.reply.error(err);
    }

    /// Gives the kernel a backing file, for [`ReplyCreate::created_passthrough`].
    ///
    /// # Errors
    /// What the kernel says, EPERM without CAP_SYS_ADMIN.
    pub fn open_backing(&self, fd: impl AsFd) -> io::Result<BackingId> {
        self.reply.open_backing(fd)
    }

    /// Takes ownership of a raw backing id ([`BackingId::create_raw`]).
    ///
    /// # Safety
    /// `id` is open, belongs to this session, and nobody closes it while the returned
    /// value lives.
    #[allow(unsafe_code)]
    pub unsafe fn wrap_backing(&self, id: u32) -> BackingId {
        // SAFETY: the caller promises what fuser's function of this name demands.
        unsafe { self.reply.wrap_backing(id) }
    }

    /// The file exists and is open, and the kernel reads and writes the backing file.
    pub fn created_passthrough(
        self,
        ttl: &Duration,
        attr: &FileAttr,
        generation: Generation,
        fh: FileHandle,
        flags: FopenFlags,
        backing_id: &BackingId,
    ) {
        let ttl = self.note.gave_with_one_ttl(attr.ino, *ttl);
        self.reply
            .created_passthrough(&ttl, attr, generation, fh, flags, backing_id);
    }
}
