//! How an operation ends when it is not done.

use finesse_wire::{MAX_ERRNO, NotMine};
use fuser::Errno;
use thiserror::Error;

/// Why an operation was not done.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub(crate) enum Stop {
    /// The system call fails with this errno.
    #[error("errno {0}")]
    Errno(i32),
    /// The kernel has to do it. Nothing was changed.
    #[error("not mine: {}", .0.describe())]
    NotMine(NotMine),
}

/// What came of a step.
pub(crate) type Outcome<T> = Result<T, Stop>;

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        match errno.code() {
            code @ 1..=MAX_ERRNO => Stop::Errno(code),
            _ => Stop::Errno(libc::EIO),
        }
    }
}

impl From<NotMine> for Stop {
    fn from(reason: NotMine) -> Self {
        Stop::NotMine(reason)
    }
}

/// Ends with an errno.
pub(super) fn fail<T>(errno: i32) -> Outcome<T> {
    Err(Stop::Errno(errno))
}

/// Ends with an errno unless `holds`.
pub(super) fn require(holds: bool, errno: i32) -> Outcome<()> {
    if holds { Ok(()) } else { fail(errno) }
}
