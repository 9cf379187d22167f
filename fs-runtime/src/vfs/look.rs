//! stat, access, readlink and statfs.

use std::time::{SystemTime, UNIX_EPOCH};

use finesse_wire::{Credentials, NotMine, Place, Stat, Timestamp};
use fuser::{AccessFlags, Errno, FileAttr, FileType, INodeNo};

use super::node::{Target, mode};
use super::permission::{MAY_EXEC, MAY_WRITE};
use super::stop::{Outcome, Stop, require};
use super::subject::{CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, Subject};
use super::{Answer, Serving};

/// Block size of a FUSE mount, for nodes that name none.
const BLOCK_SIZE: u32 = 4096;

impl Serving<'_> {
    /// `vfs_statx`, `fuse_getattr`. The attributes are those of the look-up just made.
    pub(super) fn stat(&self, at: &Place<'_>, follow: bool) -> Outcome<Answer> {
        let target = self.walk(at)?.target(at, follow)?;
        // The supervisor tells the mount's root by its number (`STATX_ATTR_MOUNT_ROOT`), so
        // where numbers are not nodes' ids the kernel has to.
        let is_root = target.node == INodeNo::ROOT.0;
        let number = target.attr.ino;
        let lasts = self.vfs.view.number_lasts(INodeNo(target.node), number);
        if is_root != (number == INodeNo::ROOT) || !lasts {
            return Err(NotMine::Unsupported.into());
        }
        Ok(Answer::Stat(stat(&target.attr)))
    }

    /// `do_faccessat`, `fuse_permission`.
    pub(super) fn access(
        &self,
        at: &Place<'_>,
        mask: u32,
        effective: bool,
        follow: bool,
        credentials: &Credentials,
    ) -> Outcome<Answer> {
        require(mask & !7 == 0, libc::EINVAL)?;
        let serving = Serving {
            who: if effective {
                self.who
            } else {
                real(&self.who, credentials)?
            },
            ..*self
        };
        let target = serving.walk(at)?.target(at, follow)?;
        serving.may_reach(&target, mask)?;
        Ok(Answer::Done)
    }

    fn may_reach(&self, target: &Target<'_>, mask: u32) -> Outcome<()> {
        if mask & MAY_EXEC != 0 && target.is_regular() {
            // The mount may be noexec.
            return Err(NotMine::Restricted.into());
        }
        self.vfs.writable_mount_for(&target.attr, mask)?;
        if self.vfs.mount.default_permissions {
            self.vfs.may_access(&self.who, &target.attr, mask)?;
        } else {
            self.ask_access(target, mask)?;
        }
        let special = !matches!(
            target.attr.kind,
            FileType::RegularFile | FileType::Directory | FileType::Symlink
        );
        if mask & MAY_WRITE == 0 || special {
            return Ok(());
        }
        self.vfs.writable_mount()
    }

    /// `fuse_access`.
    fn ask_access(&self, target: &Target<'_>, mask: u32) -> Outcome<()> {
        let learned = &self.vfs.learned.no_access;
        if learned.get() {
            return Ok(());
        }
        let mask = AccessFlags::from_bits_retain(mask.cast_signed());
        let node = INodeNo(target.node);
        match self.vfs.backend.access(self.who.caller(), node, mask) {
            Err(Errno::ENOSYS) => {
                learned.set();
                Ok(())
            }
            answer => Ok(answer?),
        }
    }

    /// `do_readlinkat`, `fuse_get_link`.
    pub(super) fn readlink(&self, at: &Place<'_>) -> Outcome<Answer> {
        if at.path.is_empty() {
            // EINVAL or ENOENT, by how the path came to be empty.
            return Err(NotMine::Unsupported.into());
        }
        let target = self.walk(at)?.target(at, false)?;
        require(target.attr.kind == FileType::Symlink, libc::EINVAL)?;
        let text = self.vfs.read_link(&self.who, target.node)?;
        Ok(Answer::Bytes(text))
    }

    /// `user_statfs`, `fuse_statfs`.
    pub(super) fn statfs(&self, at: &Place<'_>) -> Outcome<Answer> {
        let target = self.walk(at)?.target(at, true)?;
        let node = INodeNo(target.node);
        let got = self.vfs.backend.statfs(self.who.caller(), node)?;
        Ok(Answer::Statfs(got))
    }
}

/// `access_override_creds`: the real ids, and the capabilities that go with them.
///
/// Root gets its permitted ones, others none; but with `SECBIT_NO_SETUID_FIXUP`
/// (capabilities(7)) everybody keeps the effective ones. Neither the bit nor the permitted
/// ones are known here, and they do not matter when the effective ones hold all that is
/// asked for, or none of it.
fn real<'c>(who: &Subject<'c>, credentials: &Credentials) -> Outcome<Subject<'c>> {
    const ASKED: u64 = 1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH;
    let uid = credentials.uids[0];
    let expected = if uid == 0 { ASKED } else { 0 };
    if who.capabilities & ASKED != expected {
        return Err(Stop::NotMine(NotMine::Unsupported));
    }
    Ok(Subject {
        uid,
        gid: credentials.gids[0],
        capabilities: expected,
        ..*who
    })
}

/// `fuse_fillattr`.
fn stat(attr: &FileAttr) -> Stat {
    let device = matches!(attr.kind, FileType::CharDevice | FileType::BlockDevice);
    Stat {
        ino: attr.ino.0,
        size: attr.size,
        blocks: attr.blocks,
        atime: timestamp(attr.atime),
        mtime: timestamp(attr.mtime),
        ctime: timestamp(attr.ctime),
        mode: mode(attr),
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: if device { attr.rdev } else { 0 },
        blksize: attr
            .blksize
            .checked_ilog2()
            .map_or(BLOCK_SIZE, |bits| 1 << bits),
    }
}

/// A time as fuser tells it to the kernel.
fn timestamp(time: SystemTime) -> Timestamp {
    let (seconds, nanoseconds) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (
            i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            after.subsec_nanos(),
        ),
        Err(error) => {
            let before = error.duration();
            let whole = 0_i64.saturating_sub_unsigned(before.as_secs());
            match before.subsec_nanos() {
                0 => (whole, 0),
                part => (whole.saturating_sub(1), 1_000_000_000 - part),
            }
        }
    };
    Timestamp {
        seconds,
        nanoseconds,
    }
}
