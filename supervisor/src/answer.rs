//! From a runtime's reply to the answer that the target gets.

mod layout;

use std::sync::Arc;
use std::time::{Duration, Instant};

use finesse_channel::{Abandoned, Client, Pending};
use finesse_notify::{MemoryError, Notification, write_bytes};
use finesse_wire::Reply;

use crate::calls::Detail;
use crate::reason::Reason;
use crate::report::{Outcome, Report};
use crate::trace;

/// What is needed to answer one forwarded call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) started: Instant,
    pub(crate) report: Arc<Report>,
    /// Where results go.
    pub(crate) detail: Detail,
    pub(crate) facts: MountFacts,
}

/// What the kernel adds to a file system's answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MountFacts {
    pub(crate) device: (u32, u32),
    pub(crate) mount_id: u64,
    pub(crate) statfs_flags: i64,
}

/// `wait_event`'s patience in the kernel's FUSE code is endless; ours for a worker is
/// short, then the call counts as slow.
pub(crate) const BRIEF: Duration = Duration::from_millis(1);

impl Answer {
    /// Takes the reply, or finds that there will be none, and answers.
    pub(crate) fn collect(
        self,
        client: &Client,
        notification: Notification,
        pending: Pending,
        buffer: &mut Vec<u8>,
    ) {
        if client.is_closed() {
            return self.give_up(client, notification, pending);
        }
        let is_read = client.read(&pending, buffer).is_ok();
        match is_read.then(|| Reply::decode(buffer)) {
            Some(Ok(reply)) => {
                self.reply(notification, reply);
                // Not before it is answered: were this process killed in between, the guardian
                // would read the reply.
                client.release(pending);
            }
            _ => {
                // Whatever it was, it may have been executed.
                tracing::warn!(
                    "a file system's process sent no sound reply; its calls go to the kernel"
                );
                client.close();
                self.fail(notification, libc::EIO);
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
        let room = match self.detail {
            Detail::Buffer { size, .. } | Detail::NamedBuffer { size, .. } => size,
            _ => 0,
        };
        let bytes = &bytes[..bytes.len().min(room)];
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
