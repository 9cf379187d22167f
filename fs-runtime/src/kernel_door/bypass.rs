//! The bypass door's life beside the kernel door's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fuser::{InitFlags, KernelConfig};
use parking_lot::Mutex;

use super::Doors;
use super::link::DoorLink;
use crate::coherence::Coherence;
use crate::door::{self, DoorHandle, MountFacts, Negotiated};
use crate::filesystem::Filesystem;
use crate::fuser_backend::FuserBackend;
use crate::served::Served;

/// Environment variable that keeps the door closed when it says `off`.
const SWITCH: &str = "FINESSE_DOOR";

/// With these the kernel door alone serves the mount: the kernel keeps sizes and times
/// of written files to itself, or leaves the umask to the file system.
const KERNEL_ALONE: InitFlags = InitFlags::FUSE_WRITEBACK_CACHE.union(InitFlags::FUSE_DONT_MASK);

/// From init, which may go on to open a door, to destroy, which closes it.
pub(crate) struct Bypass<FS> {
    state: Mutex<State<FS>>,
    negotiated: Arc<Negotiated>,
}

enum State<FS> {
    /// Before init and after destroy.
    Closed,
    /// The file system, for the door to come.
    Ready(Arc<Served<FS>>),
    Open(Arc<Coherence>, #[allow(dead_code)] DoorHandle),
}

impl<FS> fmt::Debug for Bypass<FS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bypass").finish_non_exhaustive()
    }
}

impl<FS: Filesystem> Bypass<FS> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Bypass {
            state: Mutex::new(State::Closed),
            negotiated: Arc::default(),
        })
    }

    /// What FUSE_INIT settled, once it has.
    pub(crate) fn negotiated(&self) -> Arc<Negotiated> {
        Arc::clone(&self.negotiated)
    }

    /// FUSE_INIT was answered by the file system.
    pub(super) fn ready(&self, fs: &Arc<Served<FS>>, config: &mut KernelConfig) {
        let Some(flags) = flags_in_force(config) else {
            log::warn!("cannot tell what was negotiated with the kernel; no bypass door");
            return;
        };
        if flags.intersects(KERNEL_ALONE) {
            log::info!("no bypass door: {:?}", flags & KERNEL_ALONE);
            return;
        }
        self.negotiated.settle(flags, granularity(config));
        *self.state.lock() = State::Ready(Arc::clone(fs));
    }

    /// Opens the door, unless it must stay closed; the mount works without one.
    pub(crate) fn open(&self, doors: &Doors, notifier: fuser::Notifier, mount: MountFacts) {
        let mut state = self.state.lock();
        let State::Ready(fs) = &*state else { return };
        if std::env::var_os(SWITCH).is_some_and(|value| value == "off") {
            *state = State::Closed;
            return;
        }
        let coherence = Arc::new(Coherence::new(Arc::clone(&doors.view), Box::new(notifier)));
        let backend = Arc::new(FuserBackend::new(Arc::clone(fs)));
        let (gate, view) = (Arc::clone(&doors.gate), Arc::clone(&doors.view));
        let (uid, gid) = (mount.owner_uid, mount.owner_gid);
        *state = match door::start(backend, gate, view, Arc::clone(&coherence), mount) {
            Ok(handle) => {
                let link = DoorLink::new(handle.door(), uid, gid);
                doors.open(handle.name_cache(), link);
                State::Open(coherence, handle)
            }
            Err(error) => {
                log::warn!("no bypass door: {error}");
                State::Closed
            }
        };
    }

    /// Closes the door and drops its hold of the file system.
    pub(super) fn close(&self) {
        let state = std::mem::replace(&mut *self.state.lock(), State::Closed);
        if let State::Open(coherence, _) = &state {
            let counts = coherence.counts();
            log::info!(
                "bypass door closes: {} notifications sent, {} not needed",
                counts.sent,
                counts.saved
            );
        }
    }
}

/// The requested flags have no getter; their names are in the debug output, as
/// `requested: InitFlags(A | B)`.
fn flags_in_force(config: &KernelConfig) -> Option<InitFlags> {
    let debug = format!("{config:?}");
    let requested = debug.split_once("requested: InitFlags(")?.1;
    let names = requested.split_once(')')?.0;
    let mut flags = InitFlags::empty();
    for name in names.split('|').map(str::trim).filter(|n| !n.is_empty()) {
        // Bits without a name are of no interest here.
        flags |= InitFlags::from_name(name).unwrap_or(InitFlags::empty());
    }
    // At least one is always requested: none means that the output looks different.
    (!flags.is_empty()).then(|| flags & config.capabilities())
}

/// Nanoseconds. There is no getter either, but setting answers the former value.
fn granularity(config: &mut KernelConfig) -> u32 {
    let finest = Duration::from_nanos(1);
    let Ok(previous) = config.set_time_granularity(finest) else {
        return 1;
    };
    let restored = config.set_time_granularity(previous);
    debug_assert!(restored.is_ok(), "it was in force before");
    u32::try_from(previous.as_nanos()).unwrap_or(1_000_000_000)
}
