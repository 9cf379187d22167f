//! What the supervisor's processes may do once they run: read, talk to runtimes, look at
//! targets, answer. Whoever took one over could neither execute a program nor change a
//! file, reach a network or trace another process by ptrace(2).
//!
//! What is refused fails with `ENOSYS`. glibc takes that for an old kernel without
//! clone3(2), whose flags no filter can see, and makes threads by clone(2).

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use thiserror::Error;

/// Calls that are allowed whatever their arguments.
const ALLOWED: &[i64] = &[
    // Memory, threads, time.
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_getcpu,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_wait4,
    libc::SYS_getrandom,
    // Descriptors and what they stand for.
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup2,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getxattr,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    // Runtimes.
    libc::SYS_connect,
    libc::SYS_shutdown,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_geteuid,
    // Targets.
    libc::SYS_pidfd_open,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
];

/// Why the supervisor runs unconfined.
#[derive(Debug, Error)]
pub(crate) enum ConfineError {
    /// The filter cannot be built.
    #[error("cannot build the supervisor's own filter: {0}")]
    Build(#[from] seccompiler::BackendError),
    /// The kernel refuses it.
    #[error("cannot install the supervisor's own filter: {0}")]
    Install(#[from] seccompiler::Error),
}

/// What a process does besides reading.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Writes {
    Nothing,
    /// It opens files to write as well, which has to be for `/proc/PID/mem`: a filter sees no
    /// path.
    Text,
}

/// Confines the calling thread, and those that it starts, for good.
pub(crate) fn confine(writes: Writes) -> Result<(), ConfineError> {
    Ok(seccompiler::apply_filter(&program(writes)?)?)
}

fn program(writes: Writes) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    if writes == Writes::Text {
        rules.insert(libc::SYS_pwrite64, Vec::new());
    }
    let mut allow_when = |call, argument, mask, value| {
        let test = SeccompCondition::new(
            argument,
            SeccompCmpArgLen::Qword,
            SeccompCmpOp::MaskedEq(mask),
            value,
        )?;
        let rule = SeccompRule::new(vec![test])?;
        rules.entry(call).or_default().push(rule);
        Ok::<_, seccompiler::BackendError>(())
    };
    let bits = |flags: libc::c_int| u64::from(flags.cast_unsigned());
    // To read, or to refer to; nothing is made or cut.
    let changing = bits(libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC);
    allow_when(libc::SYS_open, 1, changing, 0)?;
    allow_when(libc::SYS_openat, 2, changing, 0)?;
    if writes == Writes::Text {
        allow_when(libc::SYS_openat, 2, changing, bits(libc::O_RDWR))?;
    }
    allow_when(libc::SYS_socket, 0, LOW, bits(libc::AF_UNIX))?;
    // Threads of this process only.
    let thread = bits(libc::CLONE_THREAD | libc::CLONE_VM);
    allow_when(libc::SYS_clone, 0, thread, thread)?;
    allow_when(libc::SYS_prctl, 0, LOW, bits(libc::PR_SET_NAME))?;
    // Limits are read, none is set (a null pointer to the new one).
    allow_when(libc::SYS_prlimit64, 2, u64::MAX, 0)?;
    // abort(3), when a worker panics; a signal to oneself does nobody else harm.
    let own = u64::from(std::process::id());
    allow_when(libc::SYS_tgkill, 0, LOW, own)?;
    SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::ENOSYS.cast_unsigned()),
        SeccompAction::Allow,
        TargetArch::x86_64,
    )?
    .try_into()
}

/// What counts of an `int` argument's register.
const LOW: u64 = 0xFFFF_FFFF;

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs::File;
    use std::io;
    use std::net::TcpListener;
    use std::process::Command;

    /// Runs `body` in a thread of its own, confined; the filter ends with the thread.
    fn confined<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
        let thread = std::thread::spawn(|| {
            confine(Writes::Nothing).unwrap();
            body()
        });
        thread.join().unwrap()
    }

    fn is_refused<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| error.raw_os_error() == Some(libc::ENOSYS))
    }

    #[test]
    fn what_workers_do_is_allowed() {
        confined(|| {
            procfs::process::Process::myself()
                .unwrap()
                .status()
                .unwrap();
            procfs::process::Process::myself()
                .unwrap()
                .mountinfo()
                .unwrap();
            rustix::fs::open("/", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
            nix::sys::socket::socket(
                nix::sys::socket::AddressFamily::Unix,
                nix::sys::socket::SockType::SeqPacket,
                nix::sys::socket::SockFlag::SOCK_CLOEXEC,
                None,
            )
            .unwrap();
            let thread = std::thread::Builder::new()
                .name("of-a-worker".into())
                .spawn(|| 7);
            assert_eq!(thread.unwrap().join().unwrap(), 7);
        });
    }

    #[test]
    fn nothing_else_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        confined(move || {
            assert!(File::open(&path).is_ok());
            assert!(is_refused(File::options().write(true).open(&path)));
            let both = File::options().read(true).write(true).open(&path);
            assert!(is_refused(both));
            assert!(is_refused(File::create(path.with_extension("new"))));
            assert!(is_refused(std::fs::remove_file(&path)));
            assert!(is_refused(std::fs::rename(&path, path.with_extension("x"))));
            assert!(is_refused(TcpListener::bind("127.0.0.1:0")));
            assert!(Command::new("true").status().is_err());
            let init = nix::unistd::Pid::from_raw(1);
            assert_eq!(
                nix::sys::signal::kill(init, None),
                Err(nix::errno::Errno::ENOSYS)
            );
            assert_eq!(
                nix::sys::ptrace::attach(init),
                Err(nix::errno::Errno::ENOSYS)
            );
        });
        assert!(file.path().exists());
    }
}
