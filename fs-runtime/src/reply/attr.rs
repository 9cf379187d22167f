use std::time::Duration;

use fuser::{Errno, FileAttr};

use super::Answer;
use crate::backend::Attributes;
use crate::kernel_door::AttrNote;

/// Answers a question for attributes, or a change of them.
#[derive(Debug)]
pub struct ReplyAttr(To);

#[derive(Debug)]
enum To {
    Kernel(fuser::ReplyAttr, AttrNote),
    Slot(Answer<Attributes>),
}

impl ReplyAttr {
    pub(crate) fn kernel(reply: fuser::ReplyAttr, note: AttrNote) -> Self {
        ReplyAttr(To::Kernel(reply, note))
    }

    pub(crate) fn slot(answer: Answer<Attributes>) -> Self {
        ReplyAttr(To::Slot(answer))
    }

    /// The attributes, which may be remembered for `ttl`.
    pub fn attr(self, ttl: &Duration, attr: &FileAttr) {
        match self.0 {
            To::Kernel(reply, note) => reply.attr(&note.gave(attr.ino, *ttl), attr),
            To::Slot(answer) => answer.give(Ok(Attributes {
                attr: *attr,
                ttl: *ttl,
            })),
        }
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        match self.0 {
            To::Kernel(reply, note) => {
                note.ended();
                reply.error(err);
            }
            To::Slot(answer) => answer.give(Err(err)),
        }
    }
}
