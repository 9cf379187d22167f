//! The way of the bypass door's requests to the daemon and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use finesse_fuse::Errno;

use crate::abi::{Message, opcode};
use crate::calls::{Answer, Calls};
use crate::mailbox::Mailbox;

/// See the module.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) calls: Calls,
    /// The smallest buffer that the daemon has read into. Stands alone; relaxed.
    room: AtomicUsize,
}

impl Post {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Self {
        Post {
            mailbox,
            calls: Calls::default(),
            room: AtomicUsize::new(usize::MAX),
        }
    }

    /// Asks and waits for the answer.
    pub(crate) fn ask(&self, message: Message) -> Answer {
        self.check_length(&message)?;
        let (unique, call) = self.calls.begin().ok_or(Errno::ENOTCONN)?;
        if !self.mailbox.put(message.numbered(unique)) {
            self.calls.answer(unique, Err(Errno::ENOTCONN));
        }
        call.wait()
    }

    /// Sends what is not answered.
    pub(crate) fn leave(&self, message: Message) {
        // Nobody is there any more: then there is nothing to forget either.
        let _ = self.mailbox.put(message.numbered(self.calls.number()));
    }

    /// The daemon reads into a buffer of that many bytes.
    pub(crate) fn has_room(&self, bytes: usize) {
        if bytes < self.room.load(Ordering::Relaxed) {
            self.room.store(bytes, Ordering::Relaxed);
        }
    }

    /// As `fuse_dev_do_read` (fs/fuse/dev.c).
    fn check_length(&self, message: &Message) -> Result<(), Errno> {
        if message.as_bytes().len() <= self.room.load(Ordering::Relaxed) {
            Ok(())
        } else if message.opcode() == opcode::SETXATTR {
            Err(Errno::E2BIG)
        } else {
            Err(Errno::EIO)
        }
    }
}
