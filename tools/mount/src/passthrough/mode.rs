//! chmod(2) by descriptor, `O_PATH` included.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, chmod};
use rustix::io::Errno;

use super::Answer;
use super::reach::proc_path;

/// One system call where the kernel has fchmodat2(2) (Linux 6.6), a walk through /proc elsewhere.
pub(super) fn change_mode(file: &OwnedFd, mode: u32) -> Answer<()> {
    // SAFETY: fchmodat2 takes a descriptor, which `file` keeps open during the call, a path, which is
    // a NUL-terminated string with static lifetime, and two numbers; it writes no memory.
    let done = unsafe {
        libc::syscall(
            libc::SYS_fchmodat2,
            file.as_raw_fd(),
            c"".as_ptr(),
            mode,
            libc::AT_EMPTY_PATH,
        )
    };
    if done == 0 {
        return Ok(());
    }
    match nix::errno::Errno::last() {
        // EPERM too: a seccomp filter older than the call answers so. Should it be meant, the other way says it again.
        nix::errno::Errno::ENOSYS | nix::errno::Errno::EPERM => {
            chmod(proc_path(file), Mode::from_raw_mode(mode))
        }
        errno => Err(Errno::from_raw_os_error(errno as i32)),
    }
}
