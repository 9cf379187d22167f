//! The operations that the bypass door serves.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// One operation on a path, named after the man page of section 2 that defines it.
///
/// All variants of a system call are one operation: `unlink` and `unlinkat` are
/// [`Operation::Unlink`], the six ways to set times are [`Operation::Utimens`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Operation {
    /// unlink(2), unlinkat(2) without `AT_REMOVEDIR`.
    Unlink = 1,
    /// rmdir(2), unlinkat(2) with `AT_REMOVEDIR`.
    Rmdir = 2,
    /// mkdir(2), mkdirat(2).
    Mkdir = 3,
    /// rename(2), renameat(2), renameat2(2).
    Rename = 4,
    /// link(2), linkat(2).
    Link = 5,
    /// symlink(2), symlinkat(2).
    Symlink = 6,
    /// mknod(2), mknodat(2).
    Mknod = 7,
    /// chmod(2), fchmodat(2), fchmodat2(2).
    Chmod = 8,
    /// chown(2), lchown(2), fchownat(2).
    Chown = 9,
    /// truncate(2).
    Truncate = 10,
    /// utime(2), utimes(2), futimesat(2), utimensat(2).
    Utimens = 11,
    /// setxattr(2), lsetxattr(2).
    Setxattr = 12,
    /// removexattr(2), lremovexattr(2).
    Removexattr = 13,
    /// stat(2), lstat(2), newfstatat(2), statx(2).
    Stat = 14,
    /// access(2), faccessat(2), faccessat2(2).
    Access = 15,
    /// readlink(2), readlinkat(2).
    Readlink = 16,
    /// getxattr(2), lgetxattr(2).
    Getxattr = 17,
    /// listxattr(2), llistxattr(2).
    Listxattr = 18,
    /// statfs(2).
    Statfs = 19,
}

/// Every operation with the name that policies and reports use.
const NAMES: [(Operation, &str); 19] = [
    (Operation::Unlink, "unlink"),
    (Operation::Rmdir, "rmdir"),
    (Operation::Mkdir, "mkdir"),
    (Operation::Rename, "rename"),
    (Operation::Link, "link"),
    (Operation::Symlink, "symlink"),
    (Operation::Mknod, "mknod"),
    (Operation::Chmod, "chmod"),
    (Operation::Chown, "chown"),
    (Operation::Truncate, "truncate"),
    (Operation::Utimens, "utimens"),
    (Operation::Setxattr, "setxattr"),
    (Operation::Removexattr, "removexattr"),
    (Operation::Stat, "stat"),
    (Operation::Access, "access"),
    (Operation::Readlink, "readlink"),
    (Operation::Getxattr, "getxattr"),
    (Operation::Listxattr, "listxattr"),
    (Operation::Statfs, "statfs"),
];

impl Operation {
    /// All operations, mutations first.
    pub fn all() -> impl Iterator<Item = Operation> {
        NAMES.iter().map(|(operation, _)| *operation)
    }

    /// The name that policies and reports use, e.g. `unlink`.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self as u8) - 1].1
    }

    /// Whether the operation only looks: it changes nothing and may be repeated.
    pub fn is_lookup(self) -> bool {
        self >= Operation::Stat
    }

    /// The operation with this number on the wire.
    pub(crate) fn from_wire(number: u8) -> Option<Operation> {
        let index = usize::from(number).checked_sub(1)?;
        NAMES.get(index).map(|(operation, _)| *operation)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no operation's.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("unknown operation `{0}`")]
pub struct UnknownOperation(pub String);

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(operation, _)| *operation)
            .ok_or_else(|| UnknownOperation(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_agree() {
        for (index, operation) in Operation::all().enumerate() {
            assert_eq!(usize::from(operation as u8), index + 1);
            assert_eq!(operation.name().parse(), Ok(operation));
            assert_eq!(Operation::from_wire(operation as u8), Some(operation));
        }
        assert_eq!(Operation::from_wire(0), None);
        assert_eq!(Operation::from_wire(20), None);
    }
}
