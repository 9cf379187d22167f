//! Extended attributes.
//!
//! Read through the name and then checked, as two system calls; changed through a descriptor that was
//! checked before. The paths run through /proc, which `O_PATH` descriptors and symbolic links need.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{
    XattrFlags, getxattr, getxattr_query, lgetxattr, lgetxattr_query, listxattr, listxattr_query,
    llistxattr, llistxattr_query, removexattr, setxattr,
};

use super::attributes::stat_at;
use super::nodes::ROOT;
use super::reach::{proc_path, stale, verify};
use super::{Answer, Tree};

/// Linux: XATTR_SIZE_MAX and XATTR_LIST_MAX.
const LARGEST: u32 = 64 << 10;

impl Tree {
    /// Reads a value into `value`; an empty buffer asks for its size only.
    pub(super) fn getxattr(&self, id: u64, name: &OsStr, value: &mut [u8]) -> Answer<usize> {
        self.read_attribute(
            id,
            value,
            |path, value| {
                or_size(
                    value,
                    |value| getxattr(path, name, value),
                    || getxattr_query(path, name),
                )
            },
            |path, value| {
                or_size(
                    value,
                    |value| lgetxattr(path, name, value),
                    || lgetxattr_query(path, name),
                )
            },
        )
    }

    /// Reads the names into `names`; an empty buffer asks for their size only.
    pub(super) fn listxattr(&self, id: u64, names: &mut [u8]) -> Answer<usize> {
        self.read_attribute(
            id,
            names,
            |path, names| {
                or_size(
                    names,
                    |names| listxattr(path, names),
                    || listxattr_query(path),
                )
            },
            |path, names| {
                or_size(
                    names,
                    |names| llistxattr(path, names),
                    || llistxattr_query(path),
                )
            },
        )
    }

    fn read_attribute(
        &self,
        id: u64,
        into: &mut [u8],
        by_descriptor: impl Fn(&str, &mut [u8]) -> Answer<usize>,
        by_name: impl Fn(&[u8], &mut [u8]) -> Answer<usize>,
    ) -> Answer<usize> {
        if id == ROOT {
            return by_descriptor(&proc_path(&self.root), into);
        }
        let known = self.nodes.known(id)?;
        if known.directory || known.open.is_some() {
            return by_descriptor(&proc_path(&*self.pin(id)?), into);
        }
        self.by_name(id, known.link, |directory, name| {
            let size = by_name(&path_below(directory, name), into);
            verify(&stat_at(directory, name).map_err(stale)?, known.identity)?;
            size
        })
    }

    pub(super) fn setxattr(&self, id: u64, name: &OsStr, value: &[u8], flags: i32) -> Answer<()> {
        let flags = XattrFlags::from_bits_retain(flags.cast_unsigned());
        setxattr(proc_path(&*self.pin(id)?), name, value, flags)
    }

    pub(super) fn removexattr(&self, id: u64, name: &OsStr) -> Answer<()> {
        removexattr(proc_path(&*self.pin(id)?), name)
    }
}

/// An empty buffer asks for the size.
fn or_size(
    buffer: &mut [u8],
    read: impl FnOnce(&mut [u8]) -> Answer<usize>,
    size: impl FnOnce() -> Answer<usize>,
) -> Answer<usize> {
    if buffer.is_empty() {
        size()
    } else {
        read(buffer)
    }
}

/// A buffer for a reply of at most `size` bytes.
pub(super) fn buffer(size: u32) -> Vec<u8> {
    vec![0; size.min(LARGEST) as usize]
}

fn path_below(directory: &OwnedFd, name: &CStr) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    path
}
