//! Descriptors of /dev/fuse.
#![allow(unsafe_code)]

use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};

/// Major and minor number of /dev/fuse (Documentation/admin-guide/devices.txt).
const FUSE: (u32, u32) = (10, 229);

/// Descriptors above are looked at each time.
const KNOWN: usize = 16384;

const UNKNOWN: u8 = 0;
const OTHER: u8 = 1;
const DEVICE: u8 = 2;
const PIPE: u8 = 3;

/// What each descriptor is, until it is closed. Each entry stands alone; relaxed: a
/// descriptor that one thread has from another was handed over somehow.
static KINDS: [AtomicU8; KNOWN] = [const { AtomicU8::new(UNKNOWN) }; KNOWN];

fn kind(fd: RawFd) -> Option<&'static AtomicU8> {
    KINDS.get(usize::try_from(fd).ok()?)
}

/// Whether it has been found to be /dev/fuse.
pub(crate) fn is_known(fd: RawFd) -> bool {
    kind(fd).is_some_and(|kind| kind.load(Ordering::Relaxed) == DEVICE)
}

/// Whether it is /dev/fuse.
pub(crate) fn is(fd: RawFd) -> bool {
    let Some(kind) = kind(fd) else {
        return fd >= 0 && look(fd);
    };
    match kind.load(Ordering::Relaxed) {
        DEVICE => true,
        OTHER | PIPE => false,
        _ => {
            let device = look(fd);
            kind.store(if device { DEVICE } else { OTHER }, Ordering::Relaxed);
            device
        }
    }
}

fn look(fd: RawFd) -> bool {
    fstat(borrow(fd)).is_ok_and(|found| {
        let number = (
            rustix::fs::major(found.st_rdev),
            rustix::fs::minor(found.st_rdev),
        );
        FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice && number == FUSE
    })
}

/// It is an end of a pipe of the daemon.
pub(crate) fn is_pipe(fd: RawFd) -> bool {
    kind(fd).is_some_and(|kind| kind.load(Ordering::Relaxed) == PIPE)
}

/// The daemon has made a pipe; false when it is not remembered.
pub(crate) fn note_pipe(read_end: RawFd, write_end: RawFd) -> bool {
    let (Some(read), Some(write)) = (kind(read_end), kind(write_end)) else {
        return false;
    };
    read.store(PIPE, Ordering::Relaxed);
    write.store(PIPE, Ordering::Relaxed);
    true
}

/// It is closed, or something else by now.
pub(crate) fn forget(fd: RawFd) {
    if let Some(kind) = kind(fd) {
        kind.store(UNKNOWN, Ordering::Relaxed);
    }
}

/// It is not ours to look at, until it is closed.
pub(crate) fn leave(fd: RawFd) {
    if let Some(kind) = kind(fd) {
        kind.store(OTHER, Ordering::Relaxed);
    }
}

/// The descriptors that anything is known of.
pub(crate) fn touched() -> impl Iterator<Item = RawFd> {
    let known = KINDS.iter().zip(0..);
    known.filter_map(|(kind, fd)| (kind.load(Ordering::Relaxed) != UNKNOWN).then_some(fd))
}

/// For the length of a call. The daemon's descriptor may be closed meanwhile, or not be
/// one at all; then the call fails, or means another file, as the daemon's own would.
pub(crate) fn borrow(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the value is not -1 (`is` and all who call with a device exclude negative
    // ones). Nothing is closed by it, and system calls check what they are given.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Whether reads do not wait.
pub(crate) fn is_nonblocking(fd: RawFd) -> bool {
    fcntl_getfl(borrow(fd)).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK))
}

/// Sets or clears `O_NONBLOCK`.
pub(crate) fn set_blocking(fd: RawFd, blocking: bool) {
    let device = borrow(fd);
    let set = fcntl_getfl(device).and_then(|flags| {
        let mut wanted = flags;
        wanted.set(OFlags::NONBLOCK, !blocking);
        if wanted == flags {
            return Ok(());
        }
        fcntl_setfl(device, wanted)
    });
    if let Err(error) = set {
        log::debug!("descriptor {fd} of /dev/fuse does not change its flags: {error}");
    }
}
