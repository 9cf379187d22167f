//! One process: where it lives, what it runs.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use finesse_policy::{Policy, ProgramPolicy};
use parking_lot::Mutex;
use procfs::process::Status;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::thread::{lives, open_pidfd, status};
use crate::fast::Progress;

/// A process of the supervised program.
#[derive(Debug)]
pub(crate) struct Process {
    tgid: u32,
    pidfd: OwnedFd,
    umask: AtomicU32,
    /// Several threads change the umask: in which order, only the kernel knows.
    umask_is_asked: AtomicBool,
    confined: AtomicBool,
    /// What it runs; see [`program`].
    executable: Arc<Path>,
    policy: ProgramPolicy,
    progress: Mutex<Progress>,
    /// The memory of the program that ran when the process was met, if another one may
    /// have been on its way.
    program: Option<File>,
}

/// Whether paths mean the same for a process as for the supervisor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// Same namespaces, same root, not confined.
    Free,
    /// Left to the kernel for good.
    Confined,
}

/// Root directory and namespaces of a process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Home {
    root: (u64, u64),
    mount_namespace: PathBuf,
    user_namespace: PathBuf,
    /// In another one somebody else adopts orphans, and hides whose children they were.
    pid_namespace: PathBuf,
}

impl Home {
    pub(super) fn of_this_process() -> std::io::Result<Home> {
        Home::of("self")
    }

    fn of(pid: &str) -> std::io::Result<Home> {
        let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        let mask = StatxFlags::INO | StatxFlags::MNT_ID;
        let root = statx(CWD, format!("/proc/{pid}/root"), flags, mask)?;
        Ok(Home {
            root: (root.stx_mnt_id, root.stx_ino),
            mount_namespace: std::fs::read_link(format!("/proc/{pid}/ns/mnt"))?,
            user_namespace: std::fs::read_link(format!("/proc/{pid}/ns/user"))?,
            pid_namespace: std::fs::read_link(format!("/proc/{pid}/ns/pid"))?,
        })
    }
}

/// The executable, as it is called now; a deleted one keeps its last name.
fn program(tgid: u32) -> PathBuf {
    let link = std::fs::read_link(format!("/proc/{tgid}/exe")).unwrap_or_default();
    let bytes = link.as_os_str().as_bytes();
    let name = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    PathBuf::from(OsStr::from_bytes(name))
}

impl Process {
    /// Looks at a process; none when it is gone. `inherited` is its parent's standing;
    /// `in_exec` says that it may be about to run another program.
    pub(super) fn meet(
        tgid: u32,
        status: &Status,
        home: &Home,
        inherited: Standing,
        policy: &Policy,
        in_exec: bool,
    ) -> Option<Process> {
        let pidfd = open_pidfd(tgid).ok()?;
        // Before anything is read of the program: if it ran on after that, it was read of.
        let running = in_exec
            .then(|| File::open(format!("/proc/{tgid}/mem")))
            .transpose()
            .ok()?;
        let at_home = Home::of(&tgid.to_string()).is_ok_and(|theirs| theirs == *home);
        let program = program(tgid);
        Some(Process {
            tgid,
            pidfd,
            umask: AtomicU32::new(status.umask?),
            umask_is_asked: AtomicBool::new(false),
            confined: AtomicBool::new(inherited == Standing::Confined || !at_home),
            policy: policy.for_program(&program),
            executable: program.into(),
            progress: Mutex::default(),
            program: running,
        })
    }

    pub(crate) fn tgid(&self) -> u32 {
        self.tgid
    }

    /// None when the process is gone.
    pub(crate) fn umask(&self) -> Option<u16> {
        let mask = if self.umask_is_asked.load(Ordering::Relaxed) {
            status(self.tgid)?.umask?
        } else {
            self.umask.load(Ordering::Relaxed)
        };
        Some((mask & 0o777) as u16)
    }

    /// A thread is about to set it. With other threads about, what is set last in the
    /// kernel need not be what was seen last here, and nobody tells when it is set.
    pub(super) fn set_umask(&self, mask: u16) {
        if !self.has_one_thread() {
            self.umask_is_asked.store(true, Ordering::Relaxed);
        }
        self.umask.store(mask.into(), Ordering::Relaxed);
    }

    /// `/proc/PID/task` has a link for each thread beside its own two (`proc_task_getattr`,
    /// fs/proc/base.c).
    fn has_one_thread(&self) -> bool {
        statx(
            CWD,
            format!("/proc/{}/task", self.tgid),
            AtFlags::empty(),
            StatxFlags::NLINK,
        )
        .is_ok_and(|found| found.stx_nlink == 3)
    }

    pub(crate) fn standing(&self) -> Standing {
        if self.confined.load(Ordering::Relaxed) {
            Standing::Confined
        } else {
            Standing::Free
        }
    }

    pub(super) fn confine(&self) {
        self.confined.store(true, Ordering::Relaxed);
    }

    /// Readable once it has ended.
    pub(crate) fn end(&self) -> std::io::Result<OwnedFd> {
        self.pidfd.try_clone()
    }

    /// How far it has come on the fast path.
    pub(crate) fn progress(&self) -> &Mutex<Progress> {
        &self.progress
    }

    /// The file that it runs, by the name that it had when the process was met.
    pub(crate) fn executable(&self) -> &Arc<Path> {
        &self.executable
    }

    pub(crate) fn policy(&self) -> &ProgramPolicy {
        &self.policy
    }

    /// Whether the program is the one that ran when the process was met. Its memory then
    /// has nothing at address 0, which is an error; the memory of a program that has ended
    /// reads as empty (`mem_rw`, fs/proc/base.c).
    pub(super) fn runs_its_program(&self) -> bool {
        self.program
            .as_ref()
            .is_none_or(|memory| memory.read_at(&mut [0], 0).is_err())
    }

    pub(crate) fn lives(&self) -> bool {
        lives(self.pidfd.as_fd())
    }
}
