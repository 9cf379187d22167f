//! The process that outlives the workers.
//!
//! If every descriptor of a listener closes, trapped calls fail with ENOSYS; if only the
//! workers die, calls that they had received would hang. So a guardian holds the listener
//! too. It sleeps until the workers' process ends; if that was not its normal end, the
//! guardian answers what was left behind and then lets the kernel execute everything.

use std::os::fd::AsFd;
use std::sync::Arc;

use finesse_notify::Listener;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

/// Guards the process of the workers; returns when there is nothing left to guard.
pub(crate) fn guard(workers: Pid, listener: &Arc<Listener>) {
    let end = loop {
        match waitpid(workers, None) {
            Err(nix::Error::EINTR) => {}
            end => break end,
        }
    };
    if matches!(end, Ok(WaitStatus::Exited(_, 0))) {
        return;
    }
    tracing::warn!(
        "the supervisor's workers have died ({end:?}); the program goes on without bypass"
    );
    answer_orphans(listener);
    continue_all(listener);
}

fn answer_orphans(listener: &Listener) {
    for orphan in listener.orphans() {
        if orphan.forwarded {
            // It may have been executed, and must not be again. EIO says that nothing is
            // known.
            listener.fail_orphan(orphan, libc::EIO);
        } else {
            listener.continue_orphan(orphan);
        }
    }
}

/// Lets the kernel execute every call, until the last filtered thread is gone.
pub(crate) fn continue_all(listener: &Arc<Listener>) {
    use rustix::event::{PollFd, PollFlags, poll};
    loop {
        let fd = listener.as_fd();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        let events = fds[0].revents();
        if events.contains(PollFlags::IN) {
            if let Ok(notification) = listener.receive() {
                notification.proceed();
            }
        } else if events.intersects(PollFlags::HUP | PollFlags::ERR) {
            return;
        }
    }
}
