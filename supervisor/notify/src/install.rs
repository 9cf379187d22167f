//! Putting the filter on the calling thread.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use thiserror::Error;

use crate::filter::Filter;

/// Why the kernel took no filter.
#[derive(Debug, Error)]
pub enum InstallError {
    /// `EBUSY`: another supervisor listens to this program already.
    #[error("another seccomp listener is active on this program")]
    SecondListener,
    /// `EACCES`: neither no_new_privs nor CAP_SYS_ADMIN.
    #[error("neither no_new_privs nor CAP_SYS_ADMIN is set")]
    Privileges,
    /// The kernel has no user notification with killable waits (Linux 5.19).
    #[error("the kernel has no seccomp user notification with killable waits (Linux 5.19)")]
    Unsupported,
    /// Anything else that seccomp(2) answers.
    #[error("seccomp failed: {0}")]
    Other(io::Error),
}

impl Filter {
    /// Installs the filter on the calling thread and all that it will start, and returns
    /// the descriptor to listen on (close-on-exec). The thread should be the only one.
    ///
    /// Asks for killable waits: without them a signal between receive and answer would
    /// restart the call, and it would be executed twice. And keeps speculation as it was
    /// (`SPEC_ALLOW`), or older kernels slow the whole program down.
    ///
    /// # Errors
    /// [`InstallError`]; nothing is installed then.
    pub fn install(&self) -> Result<OwnedFd, InstallError> {
        let len = u16::try_from(self.program.len())
            .map_err(|_| InstallError::Other(io::ErrorKind::InvalidInput.into()))?;
        let program = libc::sock_fprog {
            len,
            filter: self.program.as_ptr().cast_mut(),
        };
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER
            | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
            | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        // SAFETY: `program` names `len` instructions that live in `self` beyond the call;
        // the kernel only reads them.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        };
        match RawFd::try_from(fd) {
            // SAFETY: the kernel has just made this descriptor for us.
            Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
            _ => Err(classify(io::Error::last_os_error())),
        }
    }
}

fn classify(error: io::Error) -> InstallError {
    match error.raw_os_error() {
        Some(libc::EBUSY) => InstallError::SecondListener,
        Some(libc::EACCES) => InstallError::Privileges,
        Some(libc::EINVAL | libc::ENOSYS) => InstallError::Unsupported,
        _ => InstallError::Other(error),
    }
}

/// Whether the running kernel knows these flags of `SECCOMP_SET_MODE_FILTER`: it then
/// gets as far as the null program and answers `EFAULT`.
pub(crate) fn knows_flags(flags: libc::c_ulong) -> bool {
    // SAFETY: a null program is refused before anything changes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            std::ptr::null::<libc::sock_fprog>(),
        )
    };
    result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}
