//! Answers to operations that only the kernel door has.

use fuser::{Errno, PollEvents};

use crate::kernel_door::AttrNote;

/// Answers a write.
#[derive(Debug)]
pub struct ReplyWrite {
    reply: fuser::ReplyWrite,
    note: AttrNote,
}

impl ReplyWrite {
    pub(crate) fn kernel(reply: fuser::ReplyWrite, note: AttrNote) -> Self {
        ReplyWrite { reply, note }
    }

    /// How many bytes were written.
    pub fn written(self, size: u32) {
        self.note.ended();
        self.reply.written(size);
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        self.note.ended();
        self.reply.error(err);
    }
}

/// Answers a poll.
#[derive(Debug)]
pub struct ReplyPoll(fuser::ReplyPoll);

impl ReplyPoll {
    pub(crate) fn kernel(reply: fuser::ReplyPoll) -> Self {
        ReplyPoll(reply)
    }

    /// The events that are ready.
    pub fn poll(self, revents: PollEvents) {
        self.0.poll(revents);
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        self.0.error(err);
    }
}

/// Answers a test for a lock.
#[derive(Debug)]
pub struct ReplyLock(fuser::ReplyLock);

impl ReplyLock {
    pub(crate) fn kernel(reply: fuser::ReplyLock) -> Self {
        ReplyLock(reply)
    }

    /// The lock that is in the way, or one of type `F_UNLCK`.
    pub fn locked(self, start: u64, end: u64, typ: i32, pid: u32) {
        self.0.locked(start, end, typ, pid);
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        self.0.error(err);
    }
}

/// Answers a question for a block's place on the device.
#[derive(Debug)]
pub struct ReplyBmap(fuser::ReplyBmap);

impl ReplyBmap {
    pub(crate) fn kernel(reply: fuser::ReplyBmap) -> Self {
        ReplyBmap(reply)
    }

    /// The block's number on the device.
    pub fn bmap(self, block: u64) {
        self.0.bmap(block);
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        self.0.error(err);
    }
}

/// Answers an ioctl.
#[derive(Debug)]
pub struct ReplyIoctl(fuser::ReplyIoctl);

impl ReplyIoctl {
    pub(crate) fn kernel(reply: fuser::ReplyIoctl) -> Self {
        ReplyIoctl(reply)
    }

    /// What ioctl(2) returns, and the bytes that it writes.
    pub fn ioctl(self, result: i32, data: &[u8]) {
        self.0.ioctl(result, data);
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        self.0.error(err);
    }
}

/// Answers a seek.
#[derive(Debug)]
pub struct ReplyLseek(fuser::ReplyLseek);

impl ReplyLseek {
    pub(crate) fn kernel(reply: fuser::ReplyLseek) -> Self {
        ReplyLseek(reply)
    }

    /// The new offset in bytes.
    pub fn offset(self, offset: i64) {
        self.0.offset(offset);
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        self.0.error(err);
    }
}
