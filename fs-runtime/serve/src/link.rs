//! The reserved name in the root, which leads to the bypass door: requests about it are
//! answered here, as the daemon knows nothing of it.

use std::ffi::OsStr;
use std::time::UNIX_EPOCH;

use finesse_fuse::INodeNo;
use finesse_fuse::doors::{DoorLink, Doors};
use zerocopy::IntoBytes;

use crate::abi::{
    Attr, AttrOut, CreateIn, EntryOut, GetxattrIn, GetxattrOut, LinkIn, MkdirIn, MknodIn,
    OutHeader, Rename2In, RenameIn, Request, opcode,
};

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum About {
    /// It is not about the link.
    Other,
    /// This is the reply.
    Reply(Vec<u8>),
    /// It needs none.
    Nothing,
    /// The daemon answers it for the root.
    Root,
}

/// Answers a request about the link.
pub(crate) fn answer(doors: &Doors, request: &Request<'_>) -> About {
    let (unique, node) = (request.header.unique, INodeNo(request.header.nodeid));
    let about_link = |reply: Result<Vec<u8>, i32>| About::Reply(message(unique, reply));
    if let Some(link) = doors.link_node(node) {
        return match request.header.opcode {
            opcode::FORGET => About::Nothing,
            opcode::STATFS => About::Root,
            opcode::READLINK => about_link(Ok(link.target().into())),
            opcode::GETATTR => about_link(Ok(attributes(link).as_bytes().into())),
            opcode::GETXATTR => about_link(Err(libc::ENODATA)),
            opcode::LISTXATTR => about_link(Ok(no_names(request))),
            opcode::ACCESS => about_link(Ok(Vec::new())),
            opcode::STATX => about_link(Err(libc::ENOSYS)),
            _ => about_link(Err(libc::EPERM)),
        };
    }
    if node != INodeNo::ROOT && !touches_two(request.header.opcode) {
        return About::Other;
    }
    named(doors, request).map_or(About::Other, about_link)
}

fn touches_two(code: u32) -> bool {
    matches!(code, opcode::RENAME | opcode::RENAME2 | opcode::LINK)
}

/// The answer to a request with the reserved name, as of an immutable file (chattr(1)).
fn named(doors: &Doors, request: &Request<'_>) -> Option<Result<Vec<u8>, i32>> {
    let parent = INodeNo(request.header.nodeid);
    let is = |parent, name: Option<&OsStr>| name.and_then(|name| doors.link_at(parent, name));
    let at = |name| is(parent, name);
    let exists = |name| at(name).map(|_| Err(libc::EEXIST));
    let renamed = |skip, newdir| {
        let (from, to) = request.names_after(skip)?;
        let either = at(Some(from)).or(is(INodeNo(newdir), Some(to)));
        either.map(|_| Err(libc::EPERM))
    };
    match request.header.opcode {
        opcode::LOOKUP => at(request.name()).map(|link| Ok(entry(link).as_bytes().into())),
        opcode::UNLINK => at(request.name()).map(|_| Err(libc::EPERM)),
        opcode::RMDIR => at(request.name()).map(|_| Err(libc::ENOTDIR)),
        opcode::SYMLINK => exists(request.name()),
        opcode::MKNOD => exists(request.name_after(size_of::<MknodIn>())),
        opcode::MKDIR => exists(request.name_after(size_of::<MkdirIn>())),
        opcode::CREATE => exists(request.name_after(size_of::<CreateIn>())),
        opcode::LINK => {
            let old = INodeNo(request.body::<LinkIn>()?.0.oldnodeid);
            if doors.link_node(old).is_some() {
                return Some(Err(libc::EPERM));
            }
            exists(request.name_after(size_of::<LinkIn>()))
        }
        opcode::RENAME => renamed(size_of::<RenameIn>(), request.body::<RenameIn>()?.0.newdir),
        opcode::RENAME2 => renamed(
            size_of::<Rename2In>(),
            request.body::<Rename2In>()?.0.newdir,
        ),
        _ => None,
    }
}

/// It has no extended attributes.
fn no_names(request: &Request<'_>) -> Vec<u8> {
    match request.body::<GetxattrIn>() {
        Some((asked, _)) if asked.size > 0 => Vec::new(),
        _ => GetxattrOut::default().as_bytes().into(),
    }
}

/// Time-outs are 0: the kernel always asks, and never shows a door that has closed.
fn entry(link: &DoorLink) -> EntryOut {
    EntryOut {
        nodeid: DoorLink::NODE.0,
        attr: attr(link),
        ..EntryOut::default()
    }
}

fn attributes(link: &DoorLink) -> AttrOut {
    AttrOut {
        attr: attr(link),
        ..AttrOut::default()
    }
}

fn attr(link: &DoorLink) -> Attr {
    let known = link.attr();
    let since = known.mtime.duration_since(UNIX_EPOCH).unwrap_or_default();
    Attr {
        ino: known.ino.0,
        size: known.size,
        atime: since.as_secs(),
        mtime: since.as_secs(),
        ctime: since.as_secs(),
        mode: libc::S_IFLNK | u32::from(known.perm),
        nlink: known.nlink,
        uid: known.uid,
        gid: known.gid,
        blksize: known.blksize,
        ..Attr::default()
    }
}

/// A whole reply.
fn message(unique: u64, reply: Result<Vec<u8>, i32>) -> Vec<u8> {
    let (error, body) = match reply {
        Ok(body) => (0, body),
        Err(errno) => (-errno, Vec::new()),
    };
    let len = size_of::<OutHeader>() + body.len();
    let header = OutHeader {
        len: u32::try_from(len).unwrap_or(u32::MAX),
        error,
        unique,
    };
    let mut message = header.as_bytes().to_vec();
    message.extend(body);
    message
}
