use std::time::Duration;

use fuser::{Errno, FileAttr, Generation};

use super::Answer;
use crate::backend::Entry;
use crate::kernel_door::EntryNote;

/// Answers a look-up, or an operation that makes a name, with the name's node.
#[derive(Debug)]
pub struct ReplyEntry(To);

#[derive(Debug)]
enum To {
    Kernel(fuser::ReplyEntry, EntryNote),
    Slot(Answer<Entry>),
}

impl ReplyEntry {
    pub(crate) fn kernel(reply: fuser::ReplyEntry, note: EntryNote) -> Self {
        ReplyEntry(To::Kernel(reply, note))
    }

    pub(crate) fn slot(answer: Answer<Entry>) -> Self {
        ReplyEntry(To::Slot(answer))
    }

    /// The node; name and attributes may both be remembered for `ttl`.
    pub fn entry(self, ttl: &Duration, attr: &FileAttr, generation: Generation) {
        self.entry_with_ttls(ttl, ttl, attr, generation);
    }

    /// The node; its attributes may be remembered for `attr_ttl`, its name for
    /// `entry_ttl`.
    pub fn entry_with_ttls(
        self,
        attr_ttl: &Duration,
        entry_ttl: &Duration,
        attr: &FileAttr,
        generation: Generation,
    ) {
        match self.0 {
            To::Kernel(reply, note) => {
                let (entry_ttl, attr_ttl) = note.gave(attr.ino, (*entry_ttl, *attr_ttl));
                reply.entry_with_ttls(&attr_ttl, &entry_ttl, attr, generation);
            }
            To::Slot(answer) => answer.give(Ok(Entry {
                node: attr.ino,
                attr: *attr,
                entry_ttl: *entry_ttl,
                attr_ttl: *attr_ttl,
            })),
        }
    }

    /// The operation failed.
    pub fn error(self, err: Errno) {
        match self.0 {
            To::Kernel(reply, note) => {
                note.failed();
                reply.error(err);
            }
            To::Slot(answer) => answer.give(Err(err)),
        }
    }
}
