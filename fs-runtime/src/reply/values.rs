use fuser::Errno;

use super::Answer;
use crate::backend::{Statfs, Xattr};

/// Answers with bytes: a file's content or a link's target.
#[derive(Debug)]
pub struct ReplyData(Data);

#[derive(Debug)]
enum Data {
    Kernel(fuser::ReplyData),
    Slot(Answer<Vec<u8>>),
}

impl ReplyData {
    pub(crate) fn kernel(reply: fuser::ReplyData) -> Self {
        ReplyData(Data::Kernel(reply))
    }

    pub(crate) fn slot(answer: Answer<Vec<u8>>) -> Self {
        ReplyData(Data::Slot(answer))
    }

    /// The bytes.
    pub fn data(self, data: &[u8]) {
        match self.0 {
            Data::Kernel(reply) => reply.data(data),
            Data::Slot(answer) => answer.give(Ok(data.to_vec())),
        }
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        match self.0 {
            Data::Kernel(reply) => reply.error(err),
            Data::Slot(answer) => answer.give(Err(err)),
        }
    }
}

/// Answers with an extended attribute, or with the list of their names.
#[derive(Debug)]
pub struct ReplyXattr(OfXattr);

#[derive(Debug)]
enum OfXattr {
    Kernel(fuser::ReplyXattr),
    Slot(Answer<Xattr>),
}

impl ReplyXattr {
    pub(crate) fn kernel(reply: fuser::ReplyXattr) -> Self {
        ReplyXattr(OfXattr::Kernel(reply))
    }

    pub(crate) fn slot(answer: Answer<Xattr>) -> Self {
        ReplyXattr(OfXattr::Slot(answer))
    }

    /// How long the value or list is, in bytes, when size 0 was asked for.
    pub fn size(self, size: u32) {
        match self.0 {
            OfXattr::Kernel(reply) => reply.size(size),
            OfXattr::Slot(answer) => answer.give(Ok(Xattr::Size(size))),
        }
    }

    /// The value, or the names with a NUL after each.
    pub fn data(self, data: &[u8]) {
        match self.0 {
            OfXattr::Kernel(reply) => reply.data(data),
            OfXattr::Slot(answer) => answer.give(Ok(Xattr::Data(data.to_vec()))),
        }
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        match self.0 {
            OfXattr::Kernel(reply) => reply.error(err),
            OfXattr::Slot(answer) => answer.give(Err(err)),
        }
    }
}

/// Answers with statistics of the file system.
#[derive(Debug)]
pub struct ReplyStatfs(OfStatfs);

#[derive(Debug)]
enum OfStatfs {
    Kernel(fuser::ReplyStatfs),
    Slot(Answer<Statfs>),
}

impl ReplyStatfs {
    pub(crate) fn kernel(reply: fuser::ReplyStatfs) -> Self {
        ReplyStatfs(OfStatfs::Kernel(reply))
    }

    pub(crate) fn slot(answer: Answer<Statfs>) -> Self {
        ReplyStatfs(OfStatfs::Slot(answer))
    }

    /// The numbers that statfs(2) shows.
    #[allow(clippy::too_many_arguments)]
    pub fn statfs(
        self,
        blocks: u64,
        bfree: u64,
        bavail: u64,
        files: u64,
        ffree: u64,
        bsize: u32,
        namelen: u32,
        frsize: u32,
    ) {
        match self.0 {
            OfStatfs::Kernel(reply) => {
                reply.statfs(blocks, bfree, bavail, files, ffree, bsize, namelen, frsize);
            }
            OfStatfs::Slot(answer) => answer.give(Ok(Statfs {
                blocks,
                bfree,
                bavail,
                files,
                ffree,
                bsize,
                namelen,
                frsize,
            })),
        }
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        match self.0 {
            OfStatfs::Kernel(reply) => reply.error(err),
            OfStatfs::Slot(answer) => answer.give(Err(err)),
        }
    }
}
