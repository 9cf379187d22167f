//! Asking descriptors for news without waiting: poll(2).

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec};

/// Which of the descriptors are ready, those that there are.
pub(crate) fn poll_now<const N: usize>(
    wanted: [Option<(BorrowedFd<'_>, PollFlags)>; N],
) -> rustix::io::Result<[bool; N]> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut fds: Vec<_> = wanted
        .iter()
        .flatten()
        .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
        .collect();
    rustix::event::poll(&mut fds, Some(&now))?;
    let mut polled = fds.iter().map(|fd| !fd.revents().is_empty());
    Ok(wanted.map(|wanted| wanted.is_some() && polled.next() == Some(true)))
}
