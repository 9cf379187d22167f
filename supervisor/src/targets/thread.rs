//! One thread: its credentials.

use std::borrow::Cow;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use finesse_wire::{Credentials, MAX_GROUPS};
use parking_lot::Mutex;
use procfs::process::Status;
use rustix::event::PollFlags;
use rustix::process::{Pid, PidfdFlags};

use super::process::Process;
use crate::poll::poll_now;

/// `PIDFD_THREAD` (linux/pidfd.h, Linux 6.9): the thread, not its process.
const PIDFD_THREAD: u32 = rustix::fs::OFlags::EXCL.bits();

/// A thread of the supervised program.
#[derive(Debug)]
pub(crate) struct Thread {
    pidfd: Option<OwnedFd>,
    /// Its directory in /proc: what is looked up there is this thread's, or nothing.
    task: OwnedFd,
    process: Arc<Process>,
    identity: Option<Arc<Identity>>,
}

/// A thread's working directory or descriptor: a link in its directory in /proc.
#[derive(Debug)]
pub(crate) struct Start<'t> {
    pub(crate) task: BorrowedFd<'t>,
    pub(crate) name: Cow<'static, str>,
}

impl Start<'_> {
    /// As a path, good while the thread is remembered.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}/{}", self.task.as_raw_fd(), self.name).into()
    }
}

/// One set of credentials, shared by all threads that have it.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Names the set towards runtimes.
    pub(crate) number: u32,
    pub(crate) credentials: Credentials,
    /// Whether these are the supervisor's own: what it may search, the thread may.
    pub(crate) is_ours: bool,
}

/// All sets of credentials met so far.
#[derive(Debug, Default)]
pub(super) struct Identities {
    known: Mutex<HashMap<Credentials, Arc<Identity>>>,
    ours: std::sync::OnceLock<Option<Credentials>>,
}

/// Sets kept; a program that changes its ids all the time does not fill the memory.
const MAX_IDENTITIES: usize = 1024;

impl Identities {
    /// The identity with the credentials of `status`; none when they do not travel.
    pub(super) fn of(&self, status: &Status) -> Option<Arc<Identity>> {
        let credentials = credentials(status)?;
        let ours = self
            .ours
            .get_or_init(|| credentials_of(std::process::id()))
            .as_ref();
        let mut known = self.known.lock();
        if let Some(identity) = known.get(&credentials) {
            return Some(Arc::clone(identity));
        }
        let number = u32::try_from(known.len())
            .ok()
            .filter(|_| known.len() < MAX_IDENTITIES)?;
        let identity = Arc::new(Identity {
            number,
            is_ours: ours == Some(&credentials),
            credentials: credentials.clone(),
        });
        known.insert(credentials, Arc::clone(&identity));
        Some(identity)
    }
}

fn credentials_of(pid: u32) -> Option<Credentials> {
    credentials(&status(pid)?)
}

fn credentials(status: &Status) -> Option<Credentials> {
    (status.groups.len() <= MAX_GROUPS).then(|| Credentials {
        uids: [status.ruid, status.euid, status.suid, status.fuid],
        gids: [status.rgid, status.egid, status.sgid, status.fgid],
        capabilities: status.capeff,
        groups: status.groups.clone(),
    })
}

/// `/proc/TID/status`; none when the thread is gone or hidden.
pub(crate) fn status(tid: u32) -> Option<Status> {
    let tid = i32::try_from(tid).ok().filter(|tid| *tid > 0)?;
    procfs::process::Process::new(tid).ok()?.status().ok()
}

/// The thread group that a thread belongs to.
pub(super) fn process_of(tid: u32) -> Option<u32> {
    status(tid)?.tgid.try_into().ok()
}

/// A descriptor that tells whether the thread lives. Where the kernel has none for
/// threads, leaders get theirs and other threads are not remembered.
pub(super) fn open_pidfd(tid: u32) -> rustix::io::Result<OwnedFd> {
    let pid = i32::try_from(tid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(rustix::io::Errno::SRCH)?;
    let thread = PidfdFlags::from_bits_retain(PIDFD_THREAD);
    rustix::process::pidfd_open(pid, thread)
        .or_else(|_| rustix::process::pidfd_open(pid, PidfdFlags::empty()))
}

/// A thread's directory in /proc.
pub(super) fn open_task(tid: u32) -> rustix::io::Result<OwnedFd> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, format!("/proc/{tid}"), flags, Mode::empty())
}

impl Thread {
    pub(super) fn new(
        pidfd: Option<OwnedFd>,
        task: OwnedFd,
        process: Arc<Process>,
        identity: Option<Arc<Identity>>,
    ) -> Self {
        Thread {
            pidfd,
            task,
            process,
            identity,
        }
    }

    /// Readable once the thread is dead. None: the thread was met just now, and is not
    /// remembered.
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Where its paths relative to `dirfd` start from.
    pub(crate) fn start(&self, dirfd: i32) -> Start<'_> {
        let name = match dirfd {
            libc::AT_FDCWD => Cow::Borrowed("cwd"),
            fd => Cow::Owned(format!("fd/{fd}")),
        };
        Start {
            task: self.task.as_fd(),
            name,
        }
    }

    pub(crate) fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// None when the credentials are such that the kernel must serve the thread.
    pub(crate) fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    pub(super) fn lives(&self) -> bool {
        self.pidfd().is_some_and(lives)
    }
}

/// Whether a pidfd's thread or process lives.
pub(super) fn lives(pidfd: BorrowedFd<'_>) -> bool {
    poll_now([Some((pidfd, PollFlags::IN))]) == Ok([false])
}
