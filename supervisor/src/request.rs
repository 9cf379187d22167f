//! From a decoded call, its arguments and its places to the request.

use finesse_wire::{Call, Operation, Place};

use crate::calls::{Detail, PathCall};
use crate::gather::Arguments;

/// The request's call; none for a combination that the table never makes.
pub(crate) fn build<'a>(
    call: &PathCall,
    arguments: &'a Arguments,
    at: Place<'a>,
    to: Option<Place<'a>>,
) -> Option<Call<'a>> {
    let follow = call.follow;
    let text = arguments.text.as_slice();
    let size = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    Some(match (call.operation, call.detail) {
        (Operation::Unlink, _) => Call::Unlink { at },
        (Operation::Rmdir, _) => Call::Rmdir { at },
        (Operation::Mkdir, Detail::Mode(mode)) => Call::Mkdir { at, mode },
        (Operation::Rename, Detail::Flags(flags)) => Call::Rename {
            from: at,
            to: to?,
            flags,
        },
        (Operation::Link, _) => Call::Link {
            from: at,
            to: to?,
            follow,
        },
        (Operation::Symlink, _) => Call::Symlink { target: text, at },
        (Operation::Mknod, Detail::Node { mode, rdev }) => Call::Mknod { at, mode, rdev },
        (Operation::Chmod, Detail::Mode(mode)) => Call::Chmod { at, mode, follow },
        (Operation::Chown, Detail::Owner { uid, gid }) => Call::Chown {
            at,
            uid,
            gid,
            follow,
        },
        (Operation::Truncate, Detail::Size(size)) => Call::Truncate { at, size },
        (Operation::Utimens, _) => {
            let [atime, mtime] = arguments.times;
            Call::Utimens {
                at,
                atime,
                mtime,
                follow,
            }
        }
        (Operation::Setxattr, Detail::Value { flags, .. }) => Call::Setxattr {
            at,
            name: text,
            value: &arguments.value,
            flags,
            follow,
        },
        (Operation::Removexattr, _) => Call::Removexattr {
            at,
            name: text,
            follow,
        },
        (Operation::Stat, _) => Call::Stat { at, follow },
        (Operation::Access, Detail::Access { mode, effective }) => Call::Access {
            at,
            mode,
            effective,
            follow,
        },
        (Operation::Readlink, _) => Call::Readlink { at },
        (Operation::Getxattr, Detail::NamedBuffer { size: room, .. }) => Call::Getxattr {
            at,
            name: text,
            size: size(room),
            follow,
        },
        (Operation::Listxattr, Detail::Buffer { size: room, .. }) => Call::Listxattr {
            at,
            size: size(room),
            follow,
        },
        (Operation::Statfs, _) => Call::Statfs { at },
        _ => return None,
    })
}
