//! From a runtime's reply to the answer that the target gets.

mod layout;

use std::sync::Arc;
use std::time::{Duration, Instant};

use finesse_channel::{Abandoned, Client, Pending};
use finesse_notify::{MemoryError, Notification, write_bytes};
use finesse_wire::{MAX_XATTR_VALUE, Operation, Reply};

use crate::calls::Detail;
use crate::reason::Reason;
use crate::report::{Outcome, Report};
use crate::trace;

/// What is needed to answer one forwarded call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) started: Instant,
    pub(crate) report: Arc<Report>,
    pub(crate) operation: Operation,
    /// Where results go.
    pub(crate) detail: Detail,
    pub(crate) facts: MountFacts,
    /// The program posted the request itself.
    pub(crate) is_taken_over: bool,
}

/// What the kernel adds to a file system's answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MountFacts {
    pub(crate) device: (u32, u32),
    pub(crate) mount_id: u64,
    pub(crate) statfs_flags: i64,
}

impl MountFacts {
    /// `st_dev`: `new_encode_dev` (include/linux/kdev_t.h).
    pub(crate) fn st_dev(self) -> u64 {
        layout::encode_device(self.device)
    }
}

/// `wait_event`'s patience in the kernel's FUSE code is endless; ours for a worker is
/// short, then the call counts as slow.
pub(crate) const BRIEF: Duration = Duration::from_millis(1);

impl Answer {
    /// Whether the answer may have a result. It is written into the target's memory, which may take as long
    /// as the target likes: in pages of a file system that hangs, or that the target itself has to provide.
    pub(crate) fn may_have_result(&self) -> bool {
        self.operation.is_lookup() && self.operation != Operation::Access
    }

    /// Takes the reply, or finds that there will be none, and answers.
    pub(crate) fn collect(
        self,
        client: &Client,
        notification: Notification,
        pending: Pending,
        buffer: &mut Vec<u8>,
    ) {
        // First: a reply that came before the end is an answer.
        let is_closed = client.is_closed();
        let is_read = client.read(&pending, buffer).is_ok();
        let reply = is_read.then(|| Reply::decode(buffer).ok()).flatten();
        match reply.filter(|reply| self.is_answered_by(reply)) {
            // Whose slot it is uses it again as soon as it is answered.
            Some(reply) if self.is_taken_over => {
                client.release(pending);
                self.reply(notification, reply);
            }
            Some(reply) => {
                self.reply(notification, reply);
                // Not before it is answered: were this process killed in between, the guardian
                // would read the reply.
                client.release(pending);
            }
            None if is_closed => self.give_up(client, notification, pending),
            None => {
                // Whatever it was, it may have been executed.
                tracing::warn!(
                    "a file system's process sent no sound reply; its calls go to the kernel"
                );
                client.close();
                self.fail(notification, libc::EIO);
            }
        }
    }

    /// Whether a reply has the form that the call's operation has. Another one would be written
    /// into a buffer that is too small for it, or be taken for a length.
    fn is_answered_by(&self, reply: &Reply<'_>) -> bool {
        use Operation::{Getxattr, Listxattr, Readlink};
        let operation = self.operation;
        match *reply {
            Reply::NotMine(_) | Reply::Errno(_) => true,
            Reply::Done => !self.may_have_result(),
            Reply::Stat(_) => operation == Operation::Stat,
            Reply::Statfs(_) => operation == Operation::Statfs,
            Reply::Bytes(_) => matches!(operation, Readlink | Getxattr | Listxattr),
            Reply::Size(size) => {
                matches!(operation, Getxattr | Listxattr)
                    && self.detail.room() == 0
                    && size as usize <= MAX_XATTR_VALUE
            }
        }
    }

    /// The runtime is gone: plain FUSE answers a request in service with ECONNABORTED,
    /// and later ones with ENOTCONN, which the kernel says itself.
    fn give_up(self, client: &Client, mut notification: Notification, pending: Pending) {
        // What is given up leaves a slot that does not show it.
        notification.set_forwarded(trace::UNKNOWN);
        match client.abandon(pending) {
            Abandoned::NeverServed => {
                notification.set_without_effect();
                self.proceed(notification, Reason::Channel);
            }
            Abandoned::MaybeServed => self.fail(notification, libc::ECONNABORTED),
        }
    }

    fn reply(self, mut notification: Notification, reply: Reply<'_>) {
        match reply {
            Reply::NotMine(reason) => {
                notification.set_without_effect();
                self.proceed(notification, Reason::NotMine(reason));
            }
            Reply::Errno(errno) => self.fail(notification, errno),
            Reply::Done => self.succeed(notification, 0),
            Reply::Size(size) => self.succeed(notification, size.into()),
            Reply::Stat(stat) => {
                let bytes = match self.detail {
                    Detail::Statx { .. } => layout::statx(&stat, self.facts),
                    _ => layout::stat(&stat, self.facts),
                };
                self.write(notification, &bytes, 0);
            }
            Reply::Statfs(statfs) => {
                let bytes = layout::statfs(&statfs, self.facts);
                self.write(notification, &bytes, 0);
            }
            Reply::Bytes(bytes) => self.write_value(notification, bytes),
        }
    }

    /// readlink(2) cuts what does not fit; attributes that do not fit are `ERANGE`, which
    /// the runtime has said already.
    fn write_value(self, notification: Notification, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(self.detail.room())];
        let len = i64::try_from(bytes.len()).unwrap_or(0);
        self.write(notification, bytes, len);
    }

    fn write(self, mut notification: Notification, bytes: &[u8], value: i64) {
        let address = match self.detail {
            Detail::Stat { buffer }
            | Detail::Statx { buffer }
            | Detail::Buffer { buffer, .. }
            | Detail::NamedBuffer { buffer, .. } => buffer,
            _ => 0,
        };
        // A thread that was killed meanwhile leaves its id to another, but not between the
        // two calls here: all other ids come first.
        let written = if notification.is_valid() {
            write_bytes(notification.tid(), address, bytes)
        } else {
            Err(MemoryError::Gone)
        };
        match written {
            Ok(()) => self.succeed(notification, value),
            // What was written may have been the path itself.
            Err(MemoryError::Partly) => self.fail(notification, libc::EFAULT),
            // Look-ups may be repeated, and the kernel finds the same fault.
            Err(_) => {
                notification.set_without_effect();
                self.proceed(notification, Reason::Memory);
            }
        }
    }

    fn succeed(self, notification: Notification, value: i64) {
        self.record(&notification, Outcome::Bypassed);
        notification.succeed(value);
    }

    fn fail(self, notification: Notification, errno: i32) {
        self.record(&notification, Outcome::Failed);
        notification.fail(errno);
    }

    fn proceed(self, notification: Notification, reason: Reason) {
        self.record(&notification, Outcome::Continued(reason));
        notification.proceed();
    }

    fn record(&self, notification: &Notification, outcome: Outcome) {
        self.report
            .record(notification.number(), outcome, self.started);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use finesse_wire::{NotMine, Stat, Statfs};

    fn answer(operation: Operation, detail: Detail) -> Answer {
        Answer {
            started: Instant::now(),
            report: Arc::new(Report::new(false)),
            operation,
            detail,
            facts: MountFacts::default(),
            is_taken_over: false,
        }
    }

    fn buffer(size: usize) -> Detail {
        Detail::Buffer { buffer: 8, size }
    }

    #[test]
    fn each_operation_has_one_form_of_result() {
        let results = [
            Reply::Done,
            Reply::Stat(Stat::default()),
            Reply::Statfs(Statfs::default()),
            Reply::Bytes(b"bytes"),
            Reply::Size(5),
        ];
        for operation in Operation::all() {
            let detail = match operation {
                Operation::Stat | Operation::Statfs => Detail::Stat { buffer: 8 },
                Operation::Readlink | Operation::Getxattr | Operation::Listxattr => buffer(9),
                _ => Detail::None,
            };
            let answer = answer(operation, detail);
            let sound = results.iter().filter(|r| answer.is_answered_by(r));
            assert_eq!(sound.count(), 1, "{operation}");
            assert!(answer.is_answered_by(&Reply::Errno(1)));
            assert!(answer.is_answered_by(&Reply::NotMine(NotMine::Unsupported)));
        }
    }

    #[test]
    fn sizes_are_for_who_asked_for_one() {
        for operation in [Operation::Getxattr, Operation::Listxattr] {
            let is_sound =
                |room, size| answer(operation, buffer(room)).is_answered_by(&Reply::Size(size));
            assert!(is_sound(0, 0) && is_sound(0, 65536));
            assert!(!is_sound(0, 65537) && !is_sound(0, u32::MAX) && !is_sound(1, 1));
        }
    }
}
