//! What the running kernel offers.

use crate::install::knows_flags;

/// Parts of seccomp user notification that the running kernel has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Support {
    /// `SECCOMP_FILTER_FLAG_NEW_LISTENER` (Linux 5.0).
    pub listener: bool,
    /// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19).
    pub killable_wait: bool,
    /// `SECCOMP_FILTER_FLAG_SPEC_ALLOW` (Linux 4.17).
    pub speculation: bool,
}

impl Support {
    /// Asks the kernel; changes nothing.
    pub fn probe() -> Support {
        let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        Support {
            listener: knows_flags(listener),
            // The kernel takes this flag only beside the listener's.
            killable_wait: knows_flags(listener | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV),
            speculation: knows_flags(libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW),
        }
    }
}
