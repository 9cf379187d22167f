//! What kernel and daemon agree on in FUSE_INIT, and whether the bypass door can follow.

use finesse_fuse::InitFlags;
use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The beginning of `struct fuse_init_in`.
#[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(crate) struct InitIn {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) max_readahead: u32,
    pub(crate) flags: u32,
}

/// `struct fuse_init_out`; daemons of before 7.23 send its first 24 bytes.
#[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(crate) struct InitOut {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) max_readahead: u32,
    pub(crate) flags: u32,
    pub(crate) max_background: u16,
    pub(crate) congestion_threshold: u16,
    pub(crate) max_write: u32,
    pub(crate) time_gran: u32,
    pub(crate) max_pages: u16,
    pub(crate) map_alignment: u16,
    pub(crate) flags2: u32,
    pub(crate) rest: [u32; 7],
}

const SHORT: usize = 24;
const MAJOR: u32 = 7;

/// From here on a FUSE_MKNOD has a umask, and entries and attributes their present length.
const LEAST_MINOR: u32 = 12;
/// The first with FUSE_RENAME2.
const RENAME2_MINOR: u32 = 23;

const SECURITY_CTX: u64 = 1 << 32;
const CREATE_SUPP_GROUP: u64 = 1 << 34;
const ALLOW_IDMAP: u64 = 1 << 40;
const OVER_IO_URING: u64 = 1 << 41;
const REQUEST_TIMEOUT: u64 = 1 << 42;
/// Bits that this source knows: up to minor 45, the highest of which is
/// `FUSE_REQUEST_TIMEOUT`.
const KNOWN: u64 = (REQUEST_TIMEOUT << 1) - 1;

/// With these the kernel keeps things to itself, or requests look otherwise.
const OTHERWISE: [(u64, &str); 7] = [
    (InitFlags::FUSE_WRITEBACK_CACHE.bits(), "writeback caching"),
    (InitFlags::FUSE_POSIX_ACL.bits(), "access control lists"),
    (InitFlags::FUSE_SUBMOUNTS.bits(), "submounts"),
    (SECURITY_CTX, "security contexts in requests"),
    (CREATE_SUPP_GROUP, "supplementary groups in requests"),
    (ALLOW_IDMAP, "id-mapped mounts"),
    (OVER_IO_URING, "requests over io_uring"),
];

/// Why there will be no bypass door.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub(crate) enum Unfit {
    /// Not a protocol that this source knows.
    #[error("it speaks version {0}.{1} of the FUSE protocol")]
    Version(u32, u32),
    /// Something that the bypass door cannot follow.
    #[error("it uses {0}")]
    Uses(&'static str),
    /// Flags of a later version.
    #[error("it uses features of FUSE that are not known here (flags {0:#x})")]
    Unknown(u64),
}

/// What was agreed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Terms {
    pub(crate) flags: u64,
    /// Granularity of times in nanoseconds.
    pub(crate) time_gran: u32,
    minor: u32,
}

impl Terms {
    /// `None`: no agreement yet, the kernel will ask again or give up.
    pub(crate) fn read(asked: InitIn, answer: &[u8]) -> Option<Result<Terms, Unfit>> {
        let mut out = InitOut::default();
        let known = answer.len().min(size_of::<InitOut>());
        out.as_mut_bytes()[..known].copy_from_slice(&answer[..known]);
        if out.major > MAJOR {
            return None;
        }
        let minor = out.minor.min(asked.minor);
        if out.major < MAJOR || minor < LEAST_MINOR || answer.len() < SHORT {
            return Some(Err(Unfit::Version(out.major, minor)));
        }
        let extended = u64::from(out.flags) & InitFlags::FUSE_INIT_EXT.bits() != 0;
        let high = if extended { out.flags2 } else { 0 };
        let terms = Terms {
            flags: u64::from(out.flags) | u64::from(high) << 32,
            time_gran: out.time_gran,
            minor,
        };
        Some(terms.fit().map_or(Ok(terms), Err))
    }

    fn fit(&self) -> Option<Unfit> {
        let used = OTHERWISE.iter().find(|(flag, _)| self.flags & flag != 0);
        if let Some((_, what)) = used {
            return Some(Unfit::Uses(what));
        }
        let unknown = self.flags & !KNOWN;
        (unknown != 0).then_some(Unfit::Unknown(unknown))
    }

    pub(crate) fn has_rename2(&self) -> bool {
        self.minor >= RENAME2_MINOR
    }

    pub(crate) fn has_long_setxattr(&self) -> bool {
        self.flags & InitFlags::FUSE_SETXATTR_EXT.bits() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: InitIn = InitIn {
        major: 7,
        minor: 45,
        max_readahead: 0,
        flags: u32::MAX,
    };

    fn read(out: InitOut, len: usize) -> Option<Result<Terms, Unfit>> {
        Terms::read(KERNEL, &out.as_bytes()[..len])
    }

    fn out(minor: u32, flags: u32) -> InitOut {
        InitOut {
            major: 7,
            minor,
            flags,
            time_gran: 1,
            ..InitOut::default()
        }
    }

    #[test]
    fn an_old_daemon_sends_less() {
        let terms = read(out(19, 0x39), SHORT).unwrap().unwrap();
        assert_eq!((terms.flags, terms.has_rename2()), (0x39, false));
        let terms = read(out(31, 0x39), 64).unwrap().unwrap();
        assert!(terms.has_rename2() && !terms.has_long_setxattr());
    }

    #[test]
    fn what_cannot_be_followed_keeps_the_door_shut() {
        let refused = |out: InitOut| read(out, 64).unwrap().unwrap_err();
        assert_eq!(refused(out(8, 0)), Unfit::Version(7, 8));
        assert_eq!(refused(out(31, 1 << 16)), Unfit::Uses("writeback caching"));
        let late = InitOut {
            flags2: 1 << 20,
            ..out(45, 1 << 30)
        };
        assert_eq!(refused(late), Unfit::Unknown(1 << 52));
        let unextended = InitOut {
            flags2: 1,
            ..out(45, 0)
        };
        assert!(read(unextended, 64).unwrap().is_ok());
    }

    #[test]
    fn a_daemon_may_ask_for_another_major_version() {
        let newer = InitOut {
            major: 8,
            ..out(0, 0)
        };
        assert_eq!(read(newer, 64), None);
    }
}
