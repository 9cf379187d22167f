//! Making processes.

use std::io;

use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};

/// Forks a child that runs `child` and then ends.
///
/// The caller must have one thread only: the child could otherwise find locks that
/// nobody will ever release.
pub(crate) fn child(child: impl FnOnce() -> i32) -> io::Result<Pid> {
    debug_assert!(single_threaded());
    // SAFETY: this process has one thread (see above), so the child's memory is
    // consistent and it may call anything.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => exit(child()),
    }
}

/// Runs `parent` in a child, which ends then: the processes that it starts are nobody's
/// children, and a program that waits for its own never meets them, once the process between
/// is gone ([`Between::wait`]).
pub(crate) fn between(parent: impl FnOnce() -> i32) -> io::Result<Between> {
    child(parent).map(Between)
}

/// The parent of processes that are to be nobody's children; it ends at once.
#[must_use = "it stays a child of this process until it is waited for"]
pub(crate) struct Between(Pid);

impl Between {
    /// Waits for its end; fails when it could not start them.
    pub(crate) fn wait(self) -> io::Result<()> {
        match waitpid(self.0, None)? {
            nix::sys::wait::WaitStatus::Exited(_, 0) => Ok(()),
            _ => Err(io::Error::other("cannot start the supervisor's process")),
        }
    }
}

/// Ends the process without the clean-up that belongs to the process it was forked from.
fn exit(code: i32) -> ! {
    // SAFETY: _exit takes a number and does not return.
    unsafe { libc::_exit(code) }
}

fn single_threaded() -> bool {
    procfs::process::Process::myself()
        .and_then(|me| me.stat())
        .is_ok_and(|stat| stat.num_threads == 1)
}

/// Closes all descriptors above the standard streams but those in `keep`.
pub(crate) fn close_all_but(keep: &mut [std::os::fd::RawFd]) {
    keep.sort_unstable();
    let mut from = 3;
    for fd in keep.iter().filter_map(|fd| u32::try_from(*fd).ok()) {
        if fd > from {
            close_range(from, fd - 1);
        }
        from = from.max(fd + 1);
    }
    close_range(from, u32::MAX);
}

/// close_range(2); kernels without it (before 5.9) lack what Finesse needs anyway.
fn close_range(first: u32, last: u32) {
    // SAFETY: called right after a fork, for descriptors that no value of this process
    // will use: their owners live in the parent's image of memory only.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}
