//! chmod, chown, truncate and utimens.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use finesse_wire::{NotMine, Place, SetTime};
use fuser::{FileType, INodeNo, InitFlags, TimeOrNow};

use super::node::{Target, mode};
use super::permission::MAY_WRITE;
use super::stop::{Outcome, Stop, fail, require};
use super::subject::{CAP_CHOWN, CAP_FSETID};
use super::{Answer, Serving};
use crate::backend::{SetAttr, Xattr};
use crate::coherence::Change;
use crate::kernel_door::NameCache as _;

/// `-1` as an id: leave it.
const KEEP: u32 = u32::MAX;

const SETGID_EXEC: u32 = libc::S_ISGID | libc::S_IXGRP;

impl Serving<'_> {
    /// `do_fchmodat`, `chmod_common`, `notify_change`, `fuse_setattr`.
    pub(super) fn chmod(&self, at: &Place<'_>, bits: u32, follow: bool) -> Outcome<Answer> {
        let target = self.changing_target(at, follow)?;
        require(target.attr.kind != FileType::Symlink, libc::EOPNOTSUPP)?;
        let mut new = mode(&target.attr) & libc::S_IFMT | bits & 0o7777;
        self.may_set_mode(&target, target.attr.gid, &mut new)?;
        self.set(
            &target,
            SetAttr {
                mode: Some(new),
                ..SetAttr::default()
            },
        )
    }

    /// `do_fchownat`, `chown_common`, `notify_change`, `fuse_setattr`.
    pub(super) fn chown(
        &self,
        at: &Place<'_>,
        uid: u32,
        gid: u32,
        follow: bool,
    ) -> Outcome<Answer> {
        let target = self.changing_target(at, follow)?;
        let mut change = SetAttr {
            uid: (uid != KEEP).then_some(uid),
            gid: (gid != KEEP).then_some(gid),
            ..SetAttr::default()
        };
        if !target.is_dir() {
            self.leave_file_capabilities(&target)?;
            change.mode = self.without_privileges(&target);
        }
        if self.vfs.mount.default_permissions {
            self.may_chown(&target, &change)?;
            if let Some(new) = &mut change.mode {
                let gid = change.gid.unwrap_or(target.attr.gid);
                self.may_set_mode(&target, gid, new)?;
            }
        }
        self.set(&target, change)
    }

    /// `do_sys_truncate`, `vfs_truncate`, `do_truncate`, `fuse_setattr`.
    pub(super) fn truncate(&self, at: &Place<'_>, size: i64) -> Outcome<Answer> {
        let Ok(size) = u64::try_from(size) else {
            return fail(libc::EINVAL);
        };
        let target = self.walk(at)?.unknown_target(at, true)?;
        require(!target.is_dir(), libc::EISDIR)?;
        require(target.is_regular(), libc::EINVAL)?;
        self.vfs.writable_mount()?;
        self.vfs.may_access(&self.who, &target.attr, MAY_WRITE)?;
        self.leave_file_capabilities(&target)?;
        let change = SetAttr {
            size: Some(size),
            mode: self
                .loses_privileges(&target)
                .then(|| self.without_privileges(&target))
                .flatten(),
            ..SetAttr::default()
        };
        self.set(&target, change)
    }

    /// `do_utimes`, `vfs_utimes`, `notify_change`, `fuse_setattr`.
    pub(super) fn utimens(
        &self,
        at: &Place<'_>,
        atime: SetTime,
        mtime: SetTime,
        follow: bool,
    ) -> Outcome<Answer> {
        if (atime, mtime) == (SetTime::Omit, SetTime::Omit) {
            return Ok(Answer::Done);
        }
        let target = self.writable_target(at, follow)?;
        let owns = self.who.owns(target.attr.uid);
        if (atime, mtime) == (SetTime::Now, SetTime::Now) {
            if !owns {
                self.vfs.may_access(&self.who, &target.attr, MAY_WRITE)?;
            }
        } else if self.vfs.mount.default_permissions {
            require(owns, libc::EPERM)?;
        }
        self.set(
            &target,
            SetAttr {
                atime: self.time(atime)?,
                mtime: self.time(mtime)?,
                ..SetAttr::default()
            },
        )
    }

    /// `fuse_do_setattr`, and the kernel's caches.
    fn set(&self, target: &Target<'_>, change: SetAttr) -> Outcome<Answer> {
        let node = INodeNo(target.node);
        // Times alone are read anew wherever they are shown.
        let only_times = (change.mode, change.uid, change.gid, change.size) == Default::default();
        let _changing = if only_times {
            None
        } else {
            let begun = self.vfs.view.change_unheld(node);
            Some(begun.ok_or(NotMine::HeldByKernel)?)
        };
        let got = self.vfs.backend.setattr(self.who.caller(), node, &change)?;
        self.vfs.names.attr_changed(node);
        let told = match change.size {
            Some(size) => Change::new().content_from(node, size),
            None => Change::new().attributes_of(node),
        };
        let done = self.publish(&told);
        require(got.attr.kind == target.attr.kind, libc::EIO)?;
        Ok(done)
    }

    /// A path's node, of which more than times is to change; see [`Serving::set`].
    fn changing_target(&self, at: &Place<'_>, follow: bool) -> Outcome<Target<'_>> {
        let target = self.walk(at)?.unknown_target(at, follow)?;
        self.vfs.writable_mount()?;
        Ok(target)
    }

    /// A path's node, on a mount that may be written to.
    pub(super) fn writable_target(&self, at: &Place<'_>, follow: bool) -> Outcome<Target<'_>> {
        let target = self.walk(at)?.target(at, follow)?;
        self.vfs.writable_mount()?;
        Ok(target)
    }

    /// The owner's part of `setattr_prepare`.
    fn may_chown(&self, target: &Target<'_>, change: &SetAttr) -> Outcome<()> {
        let (attr, who) = (&target.attr, &self.who);
        let owns = who.uid == attr.uid || who.can(CAP_CHOWN);
        let uid_stays = change.uid.is_none_or(|uid| uid == attr.uid);
        let own_group = change
            .gid
            .is_none_or(|gid| gid == attr.gid || who.in_group(gid));
        let permitted = who.can(CAP_CHOWN)
            || (change.uid.is_none() || owns && uid_stays)
                && (change.gid.is_none() || owns && own_group);
        require(permitted, libc::EPERM)
    }

    /// The mode's part of `setattr_prepare`, which a mount without `default_permissions`
    /// skips.
    fn may_set_mode(&self, target: &Target<'_>, gid: u32, new: &mut u32) -> Outcome<()> {
        if !self.vfs.mount.default_permissions {
            return Ok(());
        }
        require(self.who.owns(target.attr.uid), libc::EPERM)?;
        if !self.who.keeps_setgid(gid) {
            *new &= !libc::S_ISGID;
        }
        Ok(())
    }

    /// `setattr_should_drop_suidgid`, for a regular file.
    fn loses_privileges(&self, target: &Target<'_>) -> bool {
        let bits = mode(&target.attr);
        let setgid = bits & libc::S_ISGID != 0
            && (bits & libc::S_IXGRP != 0 || !self.who.keeps_setgid(target.attr.gid));
        (bits & libc::S_ISUID != 0 || setgid) && !self.who.can(CAP_FSETID)
    }

    /// The mode without setuid and setgid, when it has them and the kernel is the one to
    /// clear them (`fuse_setattr`).
    fn without_privileges(&self, target: &Target<'_>) -> Option<u32> {
        let negotiated = &self.vfs.mount.negotiated;
        if negotiated.has(InitFlags::FUSE_HANDLE_KILLPRIV)
            || negotiated.has(InitFlags::FUSE_HANDLE_KILLPRIV_V2)
        {
            return None;
        }
        let old = self.vfs.inode_mode(&target.attr);
        let mut new = old & !libc::S_ISUID;
        if old & SETGID_EXEC == SETGID_EXEC {
            new &= !libc::S_ISGID;
        }
        (new != old).then_some(new)
    }

    /// `security_inode_need_killpriv`: file capabilities go with a chown or truncate.
    fn leave_file_capabilities(&self, target: &Target<'_>) -> Outcome<()> {
        if self.vfs.learned.no_getxattr.get() {
            return Ok(());
        }
        let name = OsStr::new("security.capability");
        let node = INodeNo(target.node);
        match self.vfs.backend.getxattr(self.who.caller(), node, name, 0) {
            Ok(Xattr::Size(1..)) => Err(NotMine::Unsupported.into()),
            Err(fuser::Errno::ENOSYS) => {
                self.vfs.learned.no_getxattr.set();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn time(&self, time: SetTime) -> Outcome<Option<TimeOrNow>> {
        let (seconds, nanoseconds) = match time {
            SetTime::Omit => return Ok(None),
            SetTime::Now => return Ok(Some(TimeOrNow::Now)),
            SetTime::At(seconds, nanoseconds) => (seconds, nanoseconds),
        };
        // As timestamp_truncate.
        let nanoseconds = nanoseconds - nanoseconds % self.vfs.mount.negotiated.time_granularity();
        system_time(seconds, nanoseconds)
            .map(|time| Some(TimeOrNow::SpecificTime(time)))
            .ok_or(Stop::NotMine(NotMine::Unsupported))
    }
}

/// A time as the file system gets it through fuser, which reads times before 1970 with a
/// fraction in its own way: `None`, the kernel is to pass them.
fn system_time(seconds: i64, nanoseconds: u32) -> Option<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    match (seconds, nanoseconds) {
        (0.., _) => {
            SystemTime::UNIX_EPOCH.checked_add(whole + Duration::from_nanos(nanoseconds.into()))
        }
        (_, 0) => SystemTime::UNIX_EPOCH.checked_sub(whole),
        _ => None,
    }
}
