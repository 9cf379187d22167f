//! Requests: one operation, relative to a node of the mount.

use crate::bytes::{DecodeError, Reader, Writer};
use crate::operation::Operation;

/// Longest path in bytes, without its NUL: `PATH_MAX - 1` (linux/limits.h).
pub const MAX_PATH: usize = 4095;

/// Longest value of an extended attribute in bytes: `XATTR_SIZE_MAX` (linux/limits.h).
pub const MAX_XATTR_VALUE: usize = 65536;

/// Longest name of an extended attribute in bytes: `XATTR_NAME_MAX` (linux/limits.h).
const MAX_XATTR_NAME: usize = 255;

/// A caller that the connection has registered ([`crate::FromSupervisor::Register`]).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CallerId(pub u32);

/// A node of the file system: the inode number that its attributes report.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The root of the mount, `FUSE_ROOT_ID`.
    pub const ROOT: NodeId = NodeId(1);
}

/// Where in the mount: a path walked from a directory that the kernel holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place<'a> {
    /// Where the walk starts: the root, or the node of a cwd or directory descriptor.
    pub base: NodeId,
    /// The path as the program gave it from there, without leading slashes; empty means
    /// the base itself. Trailing slashes and `.` and `..` are kept: they decide errors.
    pub path: &'a [u8],
}

/// A time to set (utimensat(2)).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SetTime {
    /// Leave it (`UTIME_OMIT`).
    Omit,
    /// The time at which the call is served (`UTIME_NOW`).
    Now,
    /// Seconds since the epoch, and nanoseconds below 1,000,000,000.
    At(i64, u32),
}

/// The operation with its arguments. `follow` says whether a symbolic link in the last
/// component is followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are the arguments in the man page of the operation.
pub enum Call<'a> {
    Unlink {
        at: Place<'a>,
    },
    Rmdir {
        at: Place<'a>,
    },
    /// `mode` before the umask.
    Mkdir {
        at: Place<'a>,
        mode: u32,
    },
    /// `flags` as renameat2(2) has them.
    Rename {
        from: Place<'a>,
        to: Place<'a>,
        flags: u32,
    },
    Link {
        from: Place<'a>,
        to: Place<'a>,
        follow: bool,
    },
    Symlink {
        target: &'a [u8],
        at: Place<'a>,
    },
    /// `mode` with the type bits, before the umask; `rdev` as stat(2) reports it.
    Mknod {
        at: Place<'a>,
        mode: u32,
        rdev: u32,
    },
    Chmod {
        at: Place<'a>,
        mode: u32,
        follow: bool,
    },
    /// `u32::MAX` leaves an id as it is.
    Chown {
        at: Place<'a>,
        uid: u32,
        gid: u32,
        follow: bool,
    },
    Truncate {
        at: Place<'a>,
        size: i64,
    },
    Utimens {
        at: Place<'a>,
        atime: SetTime,
        mtime: SetTime,
        follow: bool,
    },
    Setxattr {
        at: Place<'a>,
        name: &'a [u8],
        value: &'a [u8],
        flags: u32,
        follow: bool,
    },
    Removexattr {
        at: Place<'a>,
        name: &'a [u8],
        follow: bool,
    },
    Stat {
        at: Place<'a>,
        follow: bool,
    },
    /// `mode` of `R_OK | W_OK | X_OK`; `effective` for `AT_EACCESS`.
    Access {
        at: Place<'a>,
        mode: u32,
        effective: bool,
        follow: bool,
    },
    Readlink {
        at: Place<'a>,
    },
    /// `size` 0 asks for the size (getxattr(2)).
    Getxattr {
        at: Place<'a>,
        name: &'a [u8],
        size: u32,
        follow: bool,
    },
    Listxattr {
        at: Place<'a>,
        size: u32,
        follow: bool,
    },
    Statfs {
        at: Place<'a>,
    },
}

/// A request: who asks for what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request<'a> {
    /// Whose credentials count.
    pub caller: CallerId,
    /// Thread group id of the calling process; told to the file system, trusted by nobody.
    pub pid: u32,
    /// The caller's umask (umask(2)), 0 to 0o777.
    pub umask: u16,
    /// What is asked.
    pub call: Call<'a>,
}

impl<'a> Call<'a> {
    /// The directories that its paths start from.
    pub fn bases(&self) -> impl Iterator<Item = NodeId> + use<'a> {
        let (one, two) = match *self {
            Call::Rename { from, to, .. } | Call::Link { from, to, .. } => (from, Some(to)),
            Call::Unlink { at }
            | Call::Rmdir { at }
            | Call::Mkdir { at, .. }
            | Call::Symlink { at, .. }
            | Call::Mknod { at, .. }
            | Call::Chmod { at, .. }
            | Call::Chown { at, .. }
            | Call::Truncate { at, .. }
            | Call::Utimens { at, .. }
            | Call::Setxattr { at, .. }
            | Call::Removexattr { at, .. }
            | Call::Stat { at, .. }
            | Call::Access { at, .. }
            | Call::Readlink { at }
            | Call::Getxattr { at, .. }
            | Call::Listxattr { at, .. }
            | Call::Statfs { at } => (at, None),
        };
        std::iter::once(one).chain(two).map(|place| place.base)
    }

    /// Which operation this is.
    pub fn operation(&self) -> Operation {
        match self {
            Call::Unlink { .. } => Operation::Unlink,
            Call::Rmdir { .. } => Operation::Rmdir,
            Call::Mkdir { .. } => Operation::Mkdir,
            Call::Rename { .. } => Operation::Rename,
            Call::Link { .. } => Operation::Link,
            Call::Symlink { .. } => Operation::Symlink,
            Call::Mknod { .. } => Operation::Mknod,
            Call::Chmod { .. } => Operation::Chmod,
            Call::Chown { .. } => Operation::Chown,
            Call::Truncate { .. } => Operation::Truncate,
            Call::Utimens { .. } => Operation::Utimens,
            Call::Setxattr { .. } => Operation::Setxattr,
            Call::Removexattr { .. } => Operation::Removexattr,
            Call::Stat { .. } => Operation::Stat,
            Call::Access { .. } => Operation::Access,
            Call::Readlink { .. } => Operation::Readlink,
            Call::Getxattr { .. } => Operation::Getxattr,
            Call::Listxattr { .. } => Operation::Listxattr,
            Call::Statfs { .. } => Operation::Statfs,
        }
    }

    fn encode(&self, out: &mut Writer<'_>) {
        match *self {
            Call::Unlink { at }
            | Call::Rmdir { at }
            | Call::Readlink { at }
            | Call::Statfs { at } => {
                out.place(at);
            }
            Call::Mkdir { at, mode } => {
                out.place(at).u32(mode);
            }
            Call::Rename { from, to, flags } => {
                out.place(from).place(to).u32(flags);
            }
            Call::Link { from, to, follow } => {
                out.place(from).place(to).u8(follow.into());
            }
            Call::Symlink { target, at } => {
                out.bytes(target).place(at);
            }
            Call::Mknod { at, mode, rdev } => {
                out.place(at).u32(mode).u32(rdev);
            }
            Call::Chmod { at, mode, follow } => {
                out.place(at).u32(mode).u8(follow.into());
            }
            Call::Chown {
                at,
                uid,
                gid,
                follow,
            } => {
                out.place(at).u32(uid).u32(gid).u8(follow.into());
            }
            Call::Truncate { at, size } => {
                out.place(at).i64(size);
            }
            Call::Utimens {
                at,
                atime,
                mtime,
                follow,
            } => {
                out.place(at).time(atime).time(mtime).u8(follow.into());
            }
            Call::Setxattr {
                at,
                name,
                value,
                flags,
                follow,
            } => {
                out.place(at)
                    .bytes(name)
                    .bytes(value)
                    .u32(flags)
                    .u8(follow.into());
            }
            Call::Removexattr { at, name, follow } => {
                out.place(at).bytes(name).u8(follow.into());
            }
            Call::Stat { at, follow } => {
                out.place(at).u8(follow.into());
            }
            Call::Access {
                at,
                mode,
                effective,
                follow,
            } => {
                out.place(at)
                    .u32(mode)
                    .u8(effective.into())
                    .u8(follow.into());
            }
            Call::Getxattr {
                at,
                name,
                size,
                follow,
            } => {
                out.place(at).bytes(name).u32(size).u8(follow.into());
            }
            Call::Listxattr { at, size, follow } => {
                out.place(at).u32(size).u8(follow.into());
            }
        }
    }

    fn decode(operation: Operation, from: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match operation {
            Operation::Unlink => Call::Unlink { at: from.place()? },
            Operation::Rmdir => Call::Rmdir { at: from.place()? },
            Operation::Mkdir => Call::Mkdir {
                at: from.place()?,
                mode: from.u32("mode")?,
            },
            Operation::Rename => Call::Rename {
                from: from.place()?,
                to: from.place()?,
                flags: from.u32("flags")?,
            },
            Operation::Link => Call::Link {
                from: from.place()?,
                to: from.place()?,
                follow: from.bool("follow")?,
            },
            Operation::Symlink => Call::Symlink {
                target: from.bytes("target", MAX_PATH)?,
                at: from.place()?,
            },
            Operation::Mknod => Call::Mknod {
                at: from.place()?,
                mode: from.u32("mode")?,
                rdev: from.u32("rdev")?,
            },
            Operation::Chmod => Call::Chmod {
                at: from.place()?,
                mode: from.u32("mode")?,
                follow: from.bool("follow")?,
            },
            Operation::Chown => Call::Chown {
                at: from.place()?,
                uid: from.u32("uid")?,
                gid: from.u32("gid")?,
                follow: from.bool("follow")?,
            },
            Operation::Truncate => Call::Truncate {
                at: from.place()?,
                size: from.i64("size")?,
            },
            Operation::Utimens => Call::Utimens {
                at: from.place()?,
                atime: from.time("atime")?,
                mtime: from.time("mtime")?,
                follow: from.bool("follow")?,
            },
            Operation::Setxattr => Call::Setxattr {
                at: from.place()?,
                name: from.bytes("name", MAX_XATTR_NAME)?,
                value: from.bytes("value", MAX_XATTR_VALUE)?,
                flags: from.u32("flags")?,
                follow: from.bool("follow")?,
            },
            Operation::Removexattr => Call::Removexattr {
                at: from.place()?,
                name: from.bytes("name", MAX_XATTR_NAME)?,
                follow: from.bool("follow")?,
            },
            Operation::Stat => Call::Stat {
                at: from.place()?,
                follow: from.bool("follow")?,
            },
            Operation::Access => Call::Access {
                at: from.place()?,
                mode: from.u32("mode")?,
                effective: from.bool("effective")?,
                follow: from.bool("follow")?,
            },
            Operation::Readlink => Call::Readlink { at: from.place()? },
            Operation::Getxattr => Call::Getxattr {
                at: from.place()?,
                name: from.bytes("name", MAX_XATTR_NAME)?,
                size: from.u32("size")?,
                follow: from.bool("follow")?,
            },
            Operation::Listxattr => Call::Listxattr {
                at: from.place()?,
                size: from.u32("size")?,
                follow: from.bool("follow")?,
            },
            Operation::Statfs => Call::Statfs { at: from.place()? },
        })
    }
}

impl<'a> Request<'a> {
    /// Replaces the content of `out` by this request's bytes, at most
    /// [`crate::MAX_REQUEST`] when the lengths keep to their limits.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        let mut out = Writer(out);
        out.u8(self.call.operation() as u8)
            .u16(self.umask)
            .u32(self.caller.0)
            .u32(self.pid);
        self.call.encode(&mut out);
    }

    /// Reads a request out of private bytes.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are anything but one whole request.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut from = Reader(bytes);
        let number = from.u8("operation")?;
        let operation = Operation::from_wire(number).ok_or(DecodeError::Unknown {
            field: "operation",
            value: number.into(),
        })?;
        let umask = from.u16("umask")?;
        if umask > 0o777 {
            return Err(DecodeError::Unknown {
                field: "umask",
                value: umask.into(),
            });
        }
        let request = Request {
            umask,
            caller: CallerId(from.u32("caller")?),
            pid: from.u32("pid")?,
            call: Call::decode(operation, &mut from)?,
        };
        from.end()?;
        Ok(request)
    }
}

impl Writer<'_> {
    fn place(&mut self, place: Place<'_>) -> &mut Self {
        self.u64(place.base.0).bytes(place.path)
    }

    fn time(&mut self, time: SetTime) -> &mut Self {
        match time {
            SetTime::Omit => self.u8(0),
            SetTime::Now => self.u8(1),
            SetTime::At(seconds, nanoseconds) => self.u8(2).i64(seconds).u32(nanoseconds),
        }
    }
}

impl<'a> Reader<'a> {
    fn place(&mut self) -> Result<Place<'a>, DecodeError> {
        Ok(Place {
            base: NodeId(self.u64("base")?),
            path: self.bytes("path", MAX_PATH)?,
        })
    }

    fn time(&mut self, field: &'static str) -> Result<SetTime, DecodeError> {
        match self.u8(field)? {
            0 => Ok(SetTime::Omit),
            1 => Ok(SetTime::Now),
            2 => {
                let seconds = self.i64(field)?;
                let nanoseconds = self.u32(field)?;
                if nanoseconds >= 1_000_000_000 {
                    return Err(DecodeError::Unknown {
                        field,
                        value: nanoseconds.into(),
                    });
                }
                Ok(SetTime::At(seconds, nanoseconds))
            }
            other => Err(DecodeError::Unknown {
                field,
                value: other.into(),
            }),
        }
    }
}
