//! Extended attributes.

use rustix::io::Errno;

use super::inode::Xattrs;
use super::{Answer, Store};

/// What an attribute takes beyond its name and value.
const COST: u64 = 64;
/// Linux: `XATTR_LIST_MAX`.
const LONGEST_LIST: usize = 64 << 10;

const NAMESPACES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

impl Xattrs {
    pub(super) fn cost(&self) -> u64 {
        self.0.iter().map(|(name, value)| cost(name, value)).sum()
    }

    fn list_size(&self) -> usize {
        self.0.keys().map(|name| name.len() + 1).sum()
    }
}

fn cost(name: &[u8], value: &[u8]) -> u64 {
    COST + (name.len() + value.len()) as u64
}

fn check_namespace(name: &[u8]) -> Answer<()> {
    let known = NAMESPACES
        .iter()
        .any(|space| name.starts_with(space) && name.len() > space.len());
    if known { Ok(()) } else { Err(Errno::OPNOTSUPP) }
}

impl Store {
    pub(super) fn getxattr(&self, ino: u64, name: &[u8]) -> Answer<Box<[u8]>> {
        let inode = self.inodes.get(ino)?;
        let meta = inode.meta.lock();
        let value = meta.xattrs.as_ref().and_then(|xattrs| xattrs.0.get(name));
        match value {
            Some(value) => Ok(value.clone()),
            None => {
                check_namespace(name)?;
                Err(Errno::NODATA)
            }
        }
    }

    /// The names, each ended by a NUL.
    pub(super) fn listxattr(&self, ino: u64) -> Answer<Vec<u8>> {
        let inode = self.inodes.get(ino)?;
        let meta = inode.meta.lock();
        let mut names = Vec::new();
        for name in meta.xattrs.iter().flat_map(|xattrs| xattrs.0.keys()) {
            names.extend_from_slice(name);
            names.push(0);
        }
        Ok(names)
    }

    pub(super) fn setxattr(&self, ino: u64, name: &[u8], value: &[u8], flags: i32) -> Answer<()> {
        check_namespace(name)?;
        let inode = self.inodes.get(ino)?;
        let mut meta = inode.meta.lock();
        let old = meta.xattrs.as_ref().and_then(|xattrs| xattrs.0.get(name));
        let old_cost = old.map(|old| cost(name, old));
        match (old_cost, flags) {
            (Some(_), libc::XATTR_CREATE) => return Err(Errno::EXIST),
            (None, libc::XATTR_REPLACE) => return Err(Errno::NODATA),
            _ => {}
        }
        let xattrs = meta.xattrs.get_or_insert_default();
        if old_cost.is_none() && xattrs.list_size() + name.len() + 1 > LONGEST_LIST {
            return Err(Errno::NOSPC);
        }
        self.space.take(cost(name, value))?;
        self.space.give_back(old_cost.unwrap_or(0));
        xattrs.0.insert(name.into(), value.into());
        meta.ctime = std::time::SystemTime::now();
        Ok(())
    }

    pub(super) fn removexattr(&self, ino: u64, name: &[u8]) -> Answer<()> {
        check_namespace(name)?;
        let inode = self.inodes.get(ino)?;
        let mut meta = inode.meta.lock();
        let value = meta
            .xattrs
            .as_mut()
            .and_then(|xattrs| xattrs.0.remove(name))
            .ok_or(Errno::NODATA)?;
        self.space.give_back(cost(name, &value));
        meta.ctime = std::time::SystemTime::now();
        Ok(())
    }
}
