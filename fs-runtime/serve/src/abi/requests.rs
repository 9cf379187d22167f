//! Requests: what the kernel asks, and what the bypass door asks in its words.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{IN_HEADER, InHeader};

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty),+ $(,)? })+) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
        #[repr(C)]
        pub(crate) struct $name {
            $(pub(crate) $field: $kind,)+
        }
    )+ };
}

bodies! {
    /// `struct fuse_forget_in`.
    ForgetIn { nlookup: u64 }
    /// `struct fuse_forget_one`, of which `fuse_batch_forget_in` tells the number.
    ForgetOne { nodeid: u64, nlookup: u64 }
    /// `struct fuse_batch_forget_in`.
    BatchForgetIn { count: u32, dummy: u32 }
    /// `struct fuse_getattr_in`.
    GetattrIn { flags: u32, dummy: u32, fh: u64 }
    /// `struct fuse_setattr_in`.
    SetattrIn {
        valid: u32,
        padding: u32,
        fh: u64,
        size: u64,
        lock_owner: u64,
        atime: u64,
        mtime: u64,
        ctime: u64,
        atimensec: u32,
        mtimensec: u32,
        ctimensec: u32,
        mode: u32,
        unused4: u32,
        uid: u32,
        gid: u32,
        unused5: u32,
    }
    /// `struct fuse_mknod_in`.
    MknodIn { mode: u32, rdev: u32, umask: u32, padding: u32 }
    /// `struct fuse_mkdir_in`.
    MkdirIn { mode: u32, umask: u32 }
    /// `struct fuse_rename_in`.
    RenameIn { newdir: u64 }
    /// `struct fuse_rename2_in`.
    Rename2In { newdir: u64, flags: u32, padding: u32 }
    /// `struct fuse_link_in`.
    LinkIn { oldnodeid: u64 }
    /// `struct fuse_setxattr_in` without `FUSE_SETXATTR_EXT`.
    SetxattrIn { size: u32, flags: u32 }
    /// `struct fuse_setxattr_in`.
    SetxattrInExt { size: u32, flags: u32, setxattr_flags: u32, padding: u32 }
    /// `struct fuse_getxattr_in`, for FUSE_LISTXATTR too.
    GetxattrIn { size: u32, padding: u32 }
    /// `struct fuse_interrupt_in`.
    InterruptIn { unique: u64 }
    /// `struct fuse_access_in`.
    AccessIn { mask: u32, padding: u32 }
    /// `struct fuse_create_in`.
    CreateIn { flags: u32, mode: u32, umask: u32, open_flags: u32 }
    /// `struct fuse_copy_file_range_in`.
    CopyFileRangeIn {
        fh_in: u64,
        off_in: u64,
        nodeid_out: u64,
        fh_out: u64,
        off_out: u64,
        len: u64,
        flags: u64,
    }
}

/// Bits of `fuse_setattr_in.valid` (`FATTR_*`).
pub(crate) mod fattr {
    pub(crate) const MODE: u32 = 1 << 0;
    pub(crate) const UID: u32 = 1 << 1;
    pub(crate) const GID: u32 = 1 << 2;
    pub(crate) const SIZE: u32 = 1 << 3;
    pub(crate) const ATIME: u32 = 1 << 4;
    pub(crate) const MTIME: u32 = 1 << 5;
    pub(crate) const ATIME_NOW: u32 = 1 << 7;
    pub(crate) const MTIME_NOW: u32 = 1 << 8;
}

/// A request of the kernel, as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'b> {
    pub(crate) header: InHeader,
    body: &'b [u8],
}

impl<'b> Request<'b> {
    /// `None` for what is too short for a request.
    pub(crate) fn parse(bytes: &'b [u8]) -> Option<Self> {
        let (header, body) = InHeader::read_from_prefix(bytes).ok()?;
        Some(Request { header, body })
    }

    /// A fixed part of the body, and what follows.
    pub(crate) fn body<T: FromBytes>(&self) -> Option<(T, &'b [u8])> {
        T::read_from_prefix(self.body).ok()
    }

    /// The name that the body is.
    pub(crate) fn name(&self) -> Option<&'b OsStr> {
        cstrings(self.body).next()
    }

    /// The name after a fixed part of `skip` bytes.
    pub(crate) fn name_after(&self, skip: usize) -> Option<&'b OsStr> {
        cstrings(self.body.get(skip..)?).next()
    }

    /// The two names of a rename, after a fixed part of `skip` bytes.
    pub(crate) fn names_after(&self, skip: usize) -> Option<(&'b OsStr, &'b OsStr)> {
        let mut names = cstrings(self.body.get(skip..)?);
        Some((names.next()?, names.next()?))
    }

    /// The nodes of a FUSE_BATCH_FORGET.
    pub(crate) fn forgets(&self) -> impl Iterator<Item = ForgetOne> + use<'b> {
        let (count, list) = self
            .body::<BatchForgetIn>()
            .map_or((0, &[][..]), |(head, list)| (head.count, list));
        list.chunks_exact(size_of::<ForgetOne>())
            .take(count as usize)
            .filter_map(|bytes| ForgetOne::read_from_bytes(bytes).ok())
    }
}

/// The NUL-terminated strings in `bytes`.
pub(crate) fn cstrings(bytes: &[u8]) -> impl Iterator<Item = &OsStr> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let end = rest.iter().position(|byte| *byte == 0)?;
        let string = &rest[..end];
        rest = &rest[end + 1..];
        Some(OsStr::from_bytes(string))
    })
}

/// Where the entries of a FUSE_BATCH_FORGET begin in the message.
pub(crate) const FORGETS: usize = IN_HEADER + size_of::<BatchForgetIn>();
