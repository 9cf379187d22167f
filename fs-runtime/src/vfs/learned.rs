//! What the file system has said it does not have.

use std::sync::atomic::{AtomicBool, Ordering};

/// Operations that were answered with ENOSYS once, and are not asked for again, as the
/// kernel does (`fc->no_access` and the like, fs/fuse/fuse_i.h).
#[derive(Debug, Default)]
pub(super) struct Learned {
    pub(super) no_access: Once,
    pub(super) no_setxattr: Once,
    pub(super) no_getxattr: Once,
    pub(super) no_listxattr: Once,
    pub(super) no_removexattr: Once,
}

/// A fact that, once true, stays so. Stands alone; relaxed.
#[derive(Debug, Default)]
pub(super) struct Once(AtomicBool);

impl Once {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
