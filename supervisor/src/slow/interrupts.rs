//! Telling a file system that a call's thread has got a signal.
//!
//! The thread waits killably, so that its call is executed once; a signal that is not fatal
//! stays pending. On a plain mount the kernel would send FUSE_INTERRUPT, once, and wait on
//! (`request_wait_answer`, fs/fuse/dev.c). The file system decides what becomes of the call.

use std::os::fd::{AsRawFd, OwnedFd};

use finesse_wire::FromSupervisor;
use nix::sys::socket::{MsgFlags, send};

use super::{SlowCall, signals};

/// The way to one file system.
#[derive(Debug)]
pub(crate) struct Interrupts(OwnedFd);

impl Interrupts {
    /// `socket` is the session's. What is sent there gets no answer, so nobody who waits for
    /// one is disturbed.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Interrupts(socket)
    }

    /// Tells of a signal, if there is one that was not told of.
    pub(super) fn consider(&self, call: &mut SlowCall) {
        call.is_interrupted = call.is_interrupted || has_signal(call) && self.tell(call);
    }

    /// False when there is no room just now.
    fn tell(&self, call: &SlowCall) -> bool {
        let label = call.pending.label();
        let packet = FromSupervisor::Interrupt { label }.encode();
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        send(self.0.as_raw_fd(), &packet, flags).is_ok()
    }
}

/// A thread that no longer waits was killed. What was looked up by its number was its own if
/// it waits afterwards; otherwise it has gone, which is the same.
fn has_signal(call: &SlowCall) -> bool {
    signals::has_any(call.notification.tid()) || !call.notification.is_valid()
}
