//! What the door knows about its mount.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use fuser::{InitFlags, SessionACL};

/// A mount's owner and options.
#[derive(Clone, Debug)]
pub struct MountFacts {
    /// User who mounted (`user_id=`).
    pub owner_uid: u32,
    /// Group of the process that mounted (`group_id=`).
    pub owner_gid: u32,
    /// Who may use the mount.
    pub allow: SessionACL,
    /// Whether the kernel checks modes (`default_permissions`).
    pub default_permissions: bool,
    /// Whether the mount is read-only (`ro`).
    pub read_only: bool,
    /// Device number of the mount, major and minor (`st_dev`).
    pub device: (u32, u32),
    /// What FUSE_INIT settled.
    pub negotiated: Arc<Negotiated>,
}

/// What the kernel and the file system agreed on in FUSE_INIT. Written once, by the
/// kernel door, before the first request of the mount; stand-alone values, so relaxed.
#[derive(Debug, Default)]
pub struct Negotiated {
    flags: AtomicU64,
    time_granularity: AtomicU32,
}

impl Negotiated {
    /// Stores the flags in force and the granularity of times in nanoseconds.
    pub fn settle(&self, flags: InitFlags, time_granularity: u32) {
        self.flags.store(flags.bits(), Ordering::Relaxed);
        self.time_granularity
            .store(time_granularity, Ordering::Relaxed);
    }

    /// Whether `flag` is in force.
    pub fn has(&self, flag: InitFlags) -> bool {
        self.flags.load(Ordering::Relaxed) & flag.bits() == flag.bits()
    }

    /// Granularity of times in nanoseconds, at least 1.
    pub fn time_granularity(&self) -> u32 {
        self.time_granularity.load(Ordering::Relaxed).max(1)
    }
}
