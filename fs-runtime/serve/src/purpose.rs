//! What a request of the kernel is for, as far as the two doors have to agree on it.

use std::ffi::OsStr;

use finesse_fuse::{INodeNo, RenameFlags};

use crate::abi::{
    CopyFileRangeIn, CreateIn, LinkIn, MkdirIn, MknodIn, Rename2In, RenameIn, Request, opcode,
};

/// See the module. Names are in the directory that is the request's node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose<'r> {
    /// To find a name.
    LookUp(&'r OsStr),
    /// To make a file without a name.
    MakeUnnamed,
    /// To make a name, maybe of a node that has others.
    Make(&'r OsStr, Option<INodeNo>),
    /// To remove a name.
    Remove(&'r OsStr),
    /// To move a name.
    Rename(Rename<'r>),
    /// To learn attributes.
    Attributes,
    /// To learn them in the words of FUSE_STATX.
    Statx,
    /// To change attributes and learn them.
    SetAttributes,
    /// To open a file.
    Open,
    /// To open a directory.
    OpenDirectory,
    /// To list a directory.
    List,
    /// To list it with attributes.
    ListPlus,
    /// To change a node in another way.
    Change(INodeNo),
    /// Nothing that concerns the bypass door.
    Other,
}

/// Where a name goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rename<'r> {
    pub(crate) from: &'r OsStr,
    pub(crate) newdir: INodeNo,
    pub(crate) to: &'r OsStr,
    pub(crate) flags: RenameFlags,
}

impl<'r> Purpose<'r> {
    /// A request that is not well-formed has no purpose of ours: the daemon will refuse it.
    pub(crate) fn of(request: &Request<'r>) -> Self {
        Self::known(request).unwrap_or(Purpose::Other)
    }

    fn known(request: &Request<'r>) -> Option<Self> {
        let node = INodeNo(request.header.nodeid);
        let make = |skip| Some(Purpose::Make(request.name_after(skip)?, None));
        Some(match request.header.opcode {
            opcode::LOOKUP => Purpose::LookUp(request.name()?),
            opcode::TMPFILE => Purpose::MakeUnnamed,
            opcode::MKNOD => make(size_of::<MknodIn>())?,
            opcode::MKDIR => make(size_of::<MkdirIn>())?,
            opcode::CREATE => make(size_of::<CreateIn>())?,
            opcode::SYMLINK => make(0)?,
            opcode::LINK => {
                let old = INodeNo(request.body::<LinkIn>()?.0.oldnodeid);
                Purpose::Make(request.name_after(size_of::<LinkIn>())?, Some(old))
            }
            opcode::UNLINK | opcode::RMDIR => Purpose::Remove(request.name()?),
            opcode::RENAME => {
                let newdir = request.body::<RenameIn>()?.0.newdir;
                rename(request, size_of::<RenameIn>(), newdir, 0)?
            }
            opcode::RENAME2 => {
                let body = request.body::<Rename2In>()?.0;
                rename(request, size_of::<Rename2In>(), body.newdir, body.flags)?
            }
            opcode::GETATTR => Purpose::Attributes,
            opcode::STATX => Purpose::Statx,
            opcode::SETATTR => Purpose::SetAttributes,
            opcode::OPEN => Purpose::Open,
            opcode::OPENDIR => Purpose::OpenDirectory,
            opcode::READDIR => Purpose::List,
            opcode::READDIRPLUS => Purpose::ListPlus,
            opcode::WRITE | opcode::SETXATTR | opcode::REMOVEXATTR | opcode::FALLOCATE => {
                Purpose::Change(node)
            }
            opcode::COPY_FILE_RANGE | opcode::COPY_FILE_RANGE_64 => {
                let body = request.body::<CopyFileRangeIn>()?.0;
                Purpose::Change(INodeNo(body.nodeid_out))
            }
            _ => return None,
        })
    }
}

fn rename<'r>(request: &Request<'r>, skip: usize, newdir: u64, flags: u32) -> Option<Purpose<'r>> {
    let (from, to) = request.names_after(skip)?;
    Some(Purpose::Rename(Rename {
        from,
        newdir: INodeNo(newdir),
        to,
        flags: RenameFlags::from_bits_retain(flags),
    }))
}
