//! The way of the bypass door's requests to the daemon and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use finesse_fuse::Errno;
use finesse_fuse::doors::CallId;

use crate::abi::{Message, OUT_HEADER, opcode};
use crate::calls::{Answer, Begun, Calls};
use crate::fiber::{self, Fiber};
use crate::mailbox::{Mailbox, Parcel};
use crate::threads;

/// Requests that are closer together come one after the other; in microseconds.
const SOON: u64 = 500;

/// See the module.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) calls: Calls,
    /// The smallest buffer that the daemon has read into. Stands alone; relaxed.
    room: AtomicUsize,
    /// Whether the daemon does not know what an interrupt is. Stands alone; relaxed.
    no_interrupt: AtomicBool,
    start: Instant,
    /// When a request was served last, in microseconds since `start`.
    last: AtomicU64,
    /// Requests served: by threads of the daemon, of these elsewhere in the end, and by ours.
    /// Only counts; relaxed.
    pub(crate) attended: AtomicU64,
    pub(crate) moved: AtomicU64,
    pub(crate) handed_over: AtomicU64,
}

impl Post {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Self {
        Post {
            mailbox,
            calls: Calls::default(),
            room: AtomicUsize::new(usize::MAX),
            no_interrupt: AtomicBool::new(false),
            start: Instant::now(),
            last: AtomicU64::new(0),
            attended: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            handed_over: AtomicU64::new(0),
        }
    }

    /// Asks and waits for the answer.
    pub(crate) fn ask(&self, message: Message) -> Answer {
        self.check_length(&message)?;
        let begun = self.calls.begin(message.call()).ok_or(Errno::ENOTCONN)?;
        let Begun {
            unique,
            call,
            is_interrupted,
        } = begun;
        let message = message.numbered(unique);
        if fiber::is_in_daemons_thread() {
            // Only another thread of the daemon could take it before this one gives the
            // question, which it is about to.
            if is_interrupted {
                self.send_interrupt(unique);
            }
            fiber::ask(message, Arc::clone(&call));
        } else if self.mailbox.put(message).is_err() {
            self.answered(unique, Err(Errno::ENOTCONN));
        } else if is_interrupted {
            self.send_interrupt(unique);
        }
        call.wait()
    }

    /// What is asked for `call` may end early from now on. The daemon is told so, as by the
    /// kernel: once of each request, behind it.
    pub(crate) fn interrupt(&self, call: CallId) {
        if let Some(unique) = self.calls.interrupt(call) {
            self.send_interrupt(unique);
        }
    }

    fn send_interrupt(&self, unique: u64) {
        if !self.no_interrupt.load(Ordering::Relaxed) {
            // Nobody takes it any more: then nothing is under way either.
            let _ = self.mailbox.put(Parcel::Interrupt(unique));
        }
    }

    /// An interrupt for the daemon, unless it has answered the request meanwhile.
    pub(crate) fn interruption(&self, unique: u64) -> Option<Message> {
        self.calls.has(unique).then(|| Message::interrupt(unique))
    }

    /// The daemon answers an interrupt, with `errno` and so many bytes. What the kernel would
    /// make of it, and say (`fuse_dev_do_write`, fs/fuse/dev.c).
    pub(crate) fn interrupt_answered(
        &self,
        unique: u64,
        errno: i32,
        len: usize,
    ) -> Result<(), i32> {
        if !self.calls.has(unique) {
            return Err(libc::ENOENT);
        }
        if len != OUT_HEADER {
            return Err(libc::EINVAL);
        }
        match errno {
            libc::ENOSYS => self.no_interrupt.store(true, Ordering::Relaxed),
            libc::EAGAIN => self.send_interrupt(unique),
            _ => {}
        }
        Ok(())
    }

    /// The daemon answered.
    pub(crate) fn answered(&self, unique: u64, answer: Answer) {
        if let Some(fiber) = self.calls.answer(unique, answer)
            && let Err(Parcel::Fiber(fiber)) = self.mailbox.put(fiber)
        {
            finish_elsewhere(vec![fiber]);
        }
    }

    /// Nobody is answered any more, and nothing is taken.
    pub(crate) fn end(&self) {
        let mut fibers = self.calls.end();
        fibers.extend(
            self.mailbox
                .close()
                .into_iter()
                .filter_map(|left| match left {
                    Parcel::Fiber(fiber) => Some(fiber),
                    Parcel::Message(_) | Parcel::Aside(..) | Parcel::Interrupt(_) => None,
                }),
        );
        finish_elsewhere(fibers);
    }

    /// A request was served the long way. If they come one after the other, a thread of the
    /// daemon shall look for the next one itself.
    pub(crate) fn served(&self) {
        self.handed_over.fetch_add(1, Ordering::Relaxed);
        let now = self.start.elapsed();
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        // Relaxed: only a hint.
        let last = self.last.swap(now, Ordering::Relaxed);
        if now.saturating_sub(last) < SOON {
            self.mailbox.nudge();
        }
    }

    /// Sends what is not answered.
    pub(crate) fn leave(&self, message: Message) {
        let message = message.numbered(self.calls.number());
        // Nobody is there any more: then there is nothing to forget either.
        let _ = if fiber::is_in_daemons_thread() {
            self.mailbox.put_for_me(message)
        } else {
            self.mailbox.put(message)
        };
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

/// Fibers whose daemon is gone.
fn finish_elsewhere(fibers: Vec<Fiber>) {
    if fibers.is_empty() {
        return;
    }
    let finish = move || fibers.into_iter().for_each(Fiber::finish);
    if let Err(error) = threads::spawn("finesse-finish", finish) {
        log::warn!("requests of the bypass door cannot be ended: {error}");
    }
}
