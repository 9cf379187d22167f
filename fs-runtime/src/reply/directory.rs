use std::ffi::OsStr;
use std::time::Duration;

use fuser::{Errno, FileAttr, FileType, Generation, INodeNo};

use crate::gate::GateGuard;
use crate::kernel_door::ListingNote;

/// Answers a listing of a directory.
#[derive(Debug)]
pub struct ReplyDirectory {
    reply: fuser::ReplyDirectory,
    held: GateGuard,
}

impl ReplyDirectory {
    pub(crate) fn kernel(reply: fuser::ReplyDirectory, held: GateGuard) -> Self {
        ReplyDirectory { reply, held }
    }

    /// Adds an entry unless the answer is full, and returns whether it was. `offset` is
    /// where a later request goes on after this entry.
    #[must_use]
    pub fn add<T: AsRef<OsStr>>(
        &mut self,
        ino: INodeNo,
        offset: u64,
        kind: FileType,
        name: T,
    ) -> bool {
        self.reply.add(ino, offset, kind, name)
    }

    /// These are the entries; none means the end.
    pub fn ok(self) {
        let _held = self.held;
        self.reply.ok();
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        let _held = self.held;
        self.reply.error(err);
    }
}

/// Answers a listing of a directory with the entries' attributes.
#[derive(Debug)]
pub struct ReplyDirectoryPlus {
    reply: fuser::ReplyDirectoryPlus,
    note: ListingNote,
}

impl ReplyDirectoryPlus {
    pub(crate) fn kernel(reply: fuser::ReplyDirectoryPlus, note: ListingNote) -> Self {
        ReplyDirectoryPlus { reply, note }
    }

    /// Adds an entry unless the answer is full, and returns whether it was. An entry
    /// that was added counts as a look-up of its node, except `.` and `..`.
    pub fn add<T: AsRef<OsStr>>(
        &mut self,
        ino: INodeNo,
        offset: u64,
        name: T,
        ttl: &Duration,
        attr: &FileAttr,
        generation: Generation,
    ) -> bool {
        let name = name.as_ref();
        let ttl = self.note.adding(name, attr.ino, *ttl);
        let full = self.reply.add(ino, offset, name, &ttl, attr, generation);
        if full {
            self.note.left_out(name, attr.ino);
        }
        full
    }

    /// These are the entries; none means the end.
    pub fn ok(self) {
        let _held = self.note.ended();
        self.reply.ok();
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        let _held = self.note.ended();
        self.reply.error(err);
    }
}
