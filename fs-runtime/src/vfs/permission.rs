//! Permission checks, as fs/namei.c and fs/fuse/dir.c make them.

use std::time::{Duration, Instant};

use fuser::{FileAttr, FileType, INodeNo, InitFlags, SessionACL};

use finesse_wire::{Credentials, NotMine};

use super::Vfs;
use super::name_cache::{Known, deadline};
use super::node::{Found, Target, mode};
use super::stop::{Outcome, Stop, fail, require};
use super::subject::{CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, Subject};

/// access(2) masks, as the kernel's `MAY_READ`, `MAY_WRITE` and `MAY_EXEC`.
pub(super) const MAY_READ: u32 = 4;
pub(super) const MAY_WRITE: u32 = 2;
pub(super) const MAY_EXEC: u32 = 1;

/// How old the owner and mode of a directory may be where the kernel takes what it last
/// saw, however old.
pub(super) const SEEN_AGE: Duration = Duration::from_secs(1);

impl Vfs {
    /// `fuse_allow_current_process`, and the owner-and-root check of the fuser crate.
    ///
    /// Who is refused is left to the kernel: it may be set to let administrators in, and
    /// it knows where the walk meets the refusal.
    pub(super) fn may_use_mount(&self, who: &Credentials) -> Outcome<()> {
        let owns = [who.uids[0], who.uids[1], who.uids[2]] == [self.mount.owner_uid; 3]
            && [who.gids[0], who.gids[1], who.gids[2]] == [self.mount.owner_gid; 3];
        let allowed = match self.mount.allow {
            SessionACL::All => true,
            SessionACL::RootAndOwner => who.fsuid() == 0 || who.fsuid() == self.mount.owner_uid,
            // fuser looks at the uid of the request as well.
            SessionACL::Owner => owns && who.fsuid() == self.mount.owner_uid,
        };
        if allowed {
            Ok(())
        } else {
            Err(NotMine::Restricted.into())
        }
    }

    /// Whether the kernel may decide by access control lists.
    pub(super) fn has_acls(&self) -> bool {
        self.mount.negotiated.has(InitFlags::FUSE_POSIX_ACL)
    }

    /// `inode_permission` of a directory with `MAY_*`.
    pub(super) fn may_enter(
        &self,
        who: &Subject<'_>,
        dir: u64,
        mask: u32,
        now: Instant,
    ) -> Outcome<()> {
        if !self.mount.default_permissions {
            return Ok(());
        }
        let (attr, asked_now) = self.directory_attributes(who, dir, Duration::ZERO, now)?;
        if permits(who, &attr, mask) {
            return Ok(());
        }
        // As fuse_permission: a refusal by remembered attributes is checked once more.
        require(!asked_now, libc::EACCES)?;
        let attr = self.ask_directory(who, dir, now)?;
        require(permits(who, &attr, mask), libc::EACCES)
    }

    /// `inode_permission` of a node whose attributes were asked for in this request.
    pub(super) fn may_access(&self, who: &Subject<'_>, attr: &FileAttr, mask: u32) -> Outcome<()> {
        self.writable_mount_for(attr, mask)?;
        let permitted = !self.mount.default_permissions || permits(who, attr, mask);
        require(permitted, libc::EACCES)
    }

    /// `sb_permission`.
    pub(super) fn writable_mount_for(&self, attr: &FileAttr, mask: u32) -> Outcome<()> {
        let stored = matches!(
            attr.kind,
            FileType::RegularFile | FileType::Directory | FileType::Symlink
        );
        let refused = self.mount.read_only && mask & MAY_WRITE != 0 && stored;
        require(!refused, libc::EROFS)
    }

    /// `mnt_want_write`.
    pub(super) fn writable_mount(&self) -> Outcome<()> {
        require(!self.mount.read_only, libc::EROFS)
    }

    /// `may_delete`: whether `victim` may leave the directory as a directory, or not as one.
    pub(super) fn may_delete(
        &self,
        who: &Subject<'_>,
        dir: u64,
        victim: &Found<'_>,
        as_dir: bool,
        now: Instant,
    ) -> Outcome<()> {
        self.may_enter(who, dir, MAY_WRITE | MAY_EXEC, now)?;
        self.check_sticky(who, dir, &victim.attr, now)?;
        match (as_dir, victim.is_dir()) {
            (true, false) => fail(libc::ENOTDIR),
            (false, true) => fail(libc::EISDIR),
            _ => Ok(()),
        }
    }

    /// `may_create`, for a name that was found missing.
    pub(super) fn may_create(&self, who: &Subject<'_>, dir: u64, now: Instant) -> Outcome<()> {
        self.may_enter(who, dir, MAY_WRITE | MAY_EXEC, now)
    }

    /// The mode of the kernel's inode: on a mount that checks nothing it has no sticky bit
    /// (`fuse_change_attributes_common`), so nothing is refused because of one.
    pub(super) fn inode_mode(&self, attr: &FileAttr) -> u32 {
        if self.mount.default_permissions {
            mode(attr)
        } else {
            mode(attr) & !libc::S_ISVTX
        }
    }

    /// `check_sticky`, which sees [`Vfs::inode_mode`].
    fn check_sticky(
        &self,
        who: &Subject<'_>,
        dir: u64,
        victim: &FileAttr,
        now: Instant,
    ) -> Outcome<()> {
        if !self.mount.default_permissions || who.owns(victim.uid) {
            return Ok(());
        }
        let (dir, _) = self.directory_attributes(who, dir, SEEN_AGE, now)?;
        let sticky = mode(&dir) & libc::S_ISVTX != 0;
        require(!sticky || dir.uid == who.uid, libc::EPERM)
    }

    /// `may_linkat`: protected_hardlinks, proc_sys_fs(5).
    pub(super) fn may_link(&self, who: &Subject<'_>, old: &Target<'_>) -> Outcome<()> {
        if who.owns(old.attr.uid) || !sysctl("/proc/sys/fs/protected_hardlinks")? {
            return Ok(());
        }
        let bits = mode(&old.attr);
        let setgid_exec = libc::S_ISGID | libc::S_IXGRP;
        let safe = old.is_regular()
            && bits & libc::S_ISUID == 0
            && bits & setgid_exec != setgid_exec
            && self
                .may_access(who, &old.attr, MAY_READ | MAY_WRITE)
                .is_ok();
        require(safe, libc::EPERM)
    }

    /// `may_follow_link`: protected_symlinks, for a link in a path's last component; it sees
    /// [`Vfs::inode_mode`].
    pub(super) fn may_follow(
        &self,
        who: &Subject<'_>,
        dir: u64,
        link: &FileAttr,
        now: Instant,
    ) -> Outcome<()> {
        if !self.mount.default_permissions || who.uid == link.uid {
            return Ok(());
        }
        let (dir, _) = self.directory_attributes(who, dir, SEEN_AGE, now)?;
        let shared = libc::S_ISVTX | libc::S_IWOTH;
        if mode(&dir) & shared != shared || dir.uid == link.uid {
            return Ok(());
        }
        let protected = sysctl("/proc/sys/fs/protected_symlinks")?;
        require(!protected, libc::EACCES)
    }

    /// A directory's attributes, at most `age` older than the file system allows, and
    /// whether they were asked for just now.
    pub(super) fn directory_attributes(
        &self,
        who: &Subject<'_>,
        dir: u64,
        age: Duration,
        now: Instant,
    ) -> Outcome<(FileAttr, bool)> {
        match self.names.attributes(dir) {
            Some(known) if now < known.fresh_until.max(known.seen + age) => Ok((known.attr, false)),
            _ => Ok((self.ask_directory(who, dir, now)?, true)),
        }
    }

    fn ask_directory(&self, who: &Subject<'_>, dir: u64, now: Instant) -> Outcome<FileAttr> {
        let asked = self.names.ask_attributes();
        let got = self.backend.getattr(who.caller(), INodeNo(dir))?;
        require(got.attr.kind == FileType::Directory, libc::ENOTDIR)?;
        let known = Known {
            attr: got.attr,
            fresh_until: deadline(now, got.ttl),
            seen: now,
        };
        self.names.keep_attributes(dir, known, asked);
        Ok(got.attr)
    }
}

/// A number under /proc/sys that says yes or no.
fn sysctl(path: &str) -> Outcome<bool> {
    let text = std::fs::read(path).map_err(|_| Stop::NotMine(NotMine::Restricted))?;
    Ok(text.first().is_some_and(|digit| *digit != b'0'))
}

/// `generic_permission` without access control lists.
pub(super) fn permits(who: &Subject<'_>, attr: &FileAttr, mask: u32) -> bool {
    let bits = mode(attr);
    let class = if who.uid == attr.uid {
        bits >> 6
    } else if who.in_group(attr.gid) {
        bits >> 3
    } else {
        bits
    };
    mask & 7 & !class == 0 || overrides(who, attr, mask)
}

/// Whether a capability permits what the mode does not.
fn overrides(who: &Subject<'_>, attr: &FileAttr, mask: u32) -> bool {
    let reads_only = if attr.kind == FileType::Directory {
        mask & MAY_WRITE == 0
    } else {
        mask & 7 == MAY_READ
    };
    let overridable =
        attr.kind == FileType::Directory || mask & MAY_EXEC == 0 || mode(attr) & 0o111 != 0;
    reads_only && who.can(CAP_DAC_READ_SEARCH) || overridable && who.can(CAP_DAC_OVERRIDE)
}
