//! The processes that outlive the workers.
//!
//! If every descriptor of a listener closes, trapped calls fail with ENOSYS; if only the
//! workers die, calls that they had received would hang. So a guardian holds the listener
//! too. It sleeps until the workers' process ends; if there still are filtered threads, the
//! guardian answers what was left behind and then lets the kernel execute everything.
//!
//! The keeper does the same for the guardian, so that the program goes on in the kernel when
//! workers and guardian are killed at once.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use finesse_notify::{Listener, Notification};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::answer::BRIEF;
use crate::fast;
use crate::heirs::{Channel, Heirs, Inbox, News};
use crate::orphans::Orphans;

/// What a guardian has to go by.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) listener: Arc<Listener>,
    /// Whom it guards.
    pub(crate) wards: &'static str,
    /// Ends when all whom it guards have ended.
    pub(crate) inbox: Inbox,
    /// Who guards this one.
    pub(crate) heirs: Heirs,
    /// /dev/null, open for writing.
    pub(crate) null: File,
    /// Where the agent lies in programs that post requests themselves.
    pub(crate) fast: Option<u64>,
}

impl Guard {
    /// Guards; returns when there is nothing left to guard.
    pub(crate) fn stand(self) {
        let channels = self.inherit();
        if self.listener.has_ended() {
            return;
        }
        tracing::warn!(
            "the supervisor's {} died; the program goes on without bypass",
            self.wards
        );
        self.let_go_of_errors();
        let orphans = Orphans::take_over(&self.listener, channels, self.fast);
        continue_all(&self.listener, orphans, &self.heirs, self.fast);
    }

    /// Collects what is entrusted, until all who could entrust something have ended.
    fn inherit(&self) -> BTreeMap<u32, Channel> {
        let mut channels = BTreeMap::new();
        while let Some(news) = self.inbox.next() {
            match news {
                News::Channel(number, channel) => {
                    channels.retain(|_, channel: &mut Channel| !channel.has_ended());
                    channels.insert(number, channel);
                }
                News::ProgramEnded => self.let_go_of_errors(),
                News::Settled => {
                    channels.clear();
                    self.let_go_of_errors();
                }
            }
        }
        channels
    }

    /// Whoever waits for the program's standard error to close shall not wait for the
    /// processes that it left behind.
    fn let_go_of_errors(&self) {
        let _ = nix::unistd::dup2_stderr(&self.null);
    }
}

fn let_go(notification: Notification, fast: Option<u64>) {
    if fast.is_some_and(|base| fast::is_agents(base, notification.returns_to())) {
        notification.fail(libc::EIO);
    } else {
        notification.proceed();
    }
}

/// Answers orphans as their fates are known, and lets the kernel execute every other call,
/// until the last filtered thread is gone. `fast` is where the agent lies: what it could not
/// await may have been executed.
pub(crate) fn continue_all(
    listener: &Arc<Listener>,
    mut orphans: Orphans,
    heirs: &Heirs,
    fast: Option<u64>,
) {
    let mut is_settled = false;
    loop {
        orphans.look(listener);
        let pause = orphans.pause();
        if pause.is_none() && !is_settled {
            heirs.settled();
            is_settled = true;
        }
        let pause = pause.and_then(|pause| Timespec::try_from(pause).ok());
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        match poll(&mut fds, pause.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        let events = fds[0].revents();
        let has_ended = events.intersects(PollFlags::HUP | PollFlags::ERR);
        let is_announced = events.contains(PollFlags::IN);
        match is_announced.then(|| listener.receive_announced()) {
            Some(Ok(Some(notification))) => let_go(notification, fast),
            // The ledger is full of orphans, which only their file system changes, and poll(2)
            // announces the call at once again.
            Some(Err(_)) if !has_ended => std::thread::sleep(BRIEF),
            Some(Err(_)) | None if has_ended => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Write;
    use std::time::Duration;

    use finesse_notify::Ledger;
    use nix::time::{ClockId, clock_gettime};

    #[test]
    fn a_call_that_cannot_be_received_takes_no_cpu() {
        /// How long it is announced.
        const WHILE: Duration = Duration::from_millis(500);
        let (pipe, announced) = nix::unistd::pipe().unwrap();
        let mut announced = File::from(announced);
        announced.write_all(b"x").unwrap();
        let listener = Arc::new(Listener::new(pipe, Arc::new(Ledger::new().unwrap())));
        let guardian = std::thread::spawn(move || {
            continue_all(&listener, Orphans::default(), &Heirs::default(), None);
            clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap()
        });
        std::thread::sleep(WHILE);
        drop(announced);
        let took = Duration::from(guardian.join().unwrap());
        assert!(took < WHILE / 4, "{took:?}");
    }
}
