//! Extended attributes. Those of the name spaces `security.` and `system.` have rules of
//! their own and are left to the kernel.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use finesse_wire::{MAX_XATTR_VALUE, NotMine, Place};
use fuser::{Errno, INodeNo};

use super::learned::Once;
use super::node::Target;
use super::permission::{MAY_READ, MAY_WRITE};
use super::stop::{Outcome, fail, require};
use super::subject::CAP_SYS_ADMIN;
use super::{Answer, Serving};
use crate::backend::Xattr;
use crate::coherence::Change;
use crate::kernel_door::NameCache as _;

impl Serving<'_> {
    /// `path_setxattrat`, `vfs_setxattr`, `fuse_setxattr`.
    pub(super) fn setxattr(
        &self,
        at: &Place<'_>,
        name: &[u8],
        value: &[u8],
        flags: u32,
        follow: bool,
    ) -> Outcome<Answer> {
        let known = (libc::XATTR_CREATE | libc::XATTR_REPLACE).cast_unsigned();
        require(flags & !known == 0, libc::EINVAL)?;
        let name = checked_name(name)?;
        let target = self.writable_target(at, follow)?;
        self.may_use(&target, name, MAY_WRITE)?;
        let learned = &self.vfs.learned.no_setxattr;
        let node = INodeNo(target.node);
        self.supported(learned, || {
            self.vfs
                .backend
                .setxattr(self.who.caller(), node, name, value, flags.cast_signed())
        })?;
        self.changed(node)
    }

    /// `path_removexattrat`, `vfs_removexattr`, `fuse_removexattr`.
    pub(super) fn removexattr(&self, at: &Place<'_>, name: &[u8], follow: bool) -> Outcome<Answer> {
        let name = checked_name(name)?;
        let target = self.writable_target(at, follow)?;
        self.may_use(&target, name, MAY_WRITE)?;
        let learned = &self.vfs.learned.no_removexattr;
        let node = INodeNo(target.node);
        self.supported(learned, || {
            self.vfs.backend.removexattr(self.who.caller(), node, name)
        })?;
        self.changed(node)
    }

    /// `path_getxattrat`, `vfs_getxattr`, `fuse_getxattr`.
    pub(super) fn getxattr(
        &self,
        at: &Place<'_>,
        name: &[u8],
        size: u32,
        follow: bool,
    ) -> Outcome<Answer> {
        let name = checked_name(name)?;
        let target = self.walk(at)?.target(at, follow)?;
        self.may_use(&target, name, MAY_READ)?;
        let learned = &self.vfs.learned.no_getxattr;
        let node = INodeNo(target.node);
        sized(size, |size| {
            self.supported(learned, || {
                self.vfs
                    .backend
                    .getxattr(self.who.caller(), node, name, size)
            })
        })
    }

    /// `path_listxattrat`, `vfs_listxattr`, `fuse_listxattr`.
    pub(super) fn listxattr(&self, at: &Place<'_>, size: u32, follow: bool) -> Outcome<Answer> {
        let target = self.walk(at)?.target(at, follow)?;
        let learned = &self.vfs.learned.no_listxattr;
        let node = INodeNo(target.node);
        let listed = sized(size, |size| {
            self.supported(learned, || {
                self.vfs.backend.listxattr(self.who.caller(), node, size)
            })
        })?;
        if let Answer::Bytes(names) = &listed {
            require(is_name_list(names), libc::EIO)?;
        }
        Ok(listed)
    }

    /// `xattr_permission`.
    fn may_use(&self, target: &Target<'_>, name: &OsStr, mask: u32) -> Outcome<()> {
        let name = name.as_bytes();
        let refusal = if mask == MAY_WRITE {
            libc::EPERM
        } else {
            libc::ENODATA
        };
        if name.starts_with(b"security.") || name.starts_with(b"system.") {
            return Err(NotMine::Unsupported.into());
        }
        if name.starts_with(b"trusted.") {
            return require(self.who.can(CAP_SYS_ADMIN), refusal);
        }
        if name.starts_with(b"user.") {
            require(target.is_regular() || target.is_dir(), refusal)?;
            let sticky = target.is_dir() && self.vfs.inode_mode(&target.attr) & libc::S_ISVTX != 0;
            let foreign = sticky && mask == MAY_WRITE && !self.who.owns(target.attr.uid);
            require(!foreign, libc::EPERM)?;
        }
        self.vfs.may_access(&self.who, &target.attr, mask)
    }

    /// Asks the file system, unless it has said ENOSYS before; as the kernel remembers it
    /// in `fc->no_setxattr` and the like.
    fn supported<T>(&self, learned: &Once, ask: impl FnOnce() -> Result<T, Errno>) -> Outcome<T> {
        if learned.get() {
            return fail(libc::EOPNOTSUPP);
        }
        match ask() {
            Err(Errno::ENOSYS) => {
                learned.set();
                fail(libc::EOPNOTSUPP)
            }
            answer => Ok(answer?),
        }
    }

    fn changed(&self, node: INodeNo) -> Outcome<Answer> {
        self.vfs.names.attr_changed(node);
        Ok(self.publish(&Change::new().attributes_of(node)))
    }
}

/// `import_xattr_name`; the upper limit is the decoder's.
fn checked_name(name: &[u8]) -> Outcome<&OsStr> {
    require(!name.is_empty(), libc::ERANGE)?;
    super::without_nul(name)?;
    Ok(OsStr::from_bytes(name))
}

/// Asks for a value or list of at most `size` bytes, or for its size.
fn sized(size: u32, ask: impl FnOnce(u32) -> Outcome<Xattr>) -> Outcome<Answer> {
    let most = u32::try_from(MAX_XATTR_VALUE).unwrap_or(u32::MAX);
    let room = size.min(most);
    match ask(room) {
        Ok(Xattr::Size(bytes)) if size == 0 => Ok(Answer::Size(bytes.min(most))),
        Ok(Xattr::Data(bytes)) if size != 0 && bytes.len() <= room as usize => {
            Ok(Answer::Bytes(bytes))
        }
        // The kernel refuses replies of another form or length.
        Ok(_) => fail(libc::EIO),
        Err(super::stop::Stop::Errno(libc::ERANGE)) if room == most => fail(libc::E2BIG),
        Err(stop) => Err(stop),
    }
}

/// `fuse_verify_xattr_list`: names, each ended by a NUL and none empty.
fn is_name_list(list: &[u8]) -> bool {
    list.is_empty()
        || list.last() == Some(&0)
            && list[..list.len() - 1]
                .split(|byte| *byte == 0)
                .all(|name| !name.is_empty())
}
