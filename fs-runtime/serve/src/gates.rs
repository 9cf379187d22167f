//! Which gates a request of the kernel has to pass.

use std::ffi::OsStr;
use std::sync::Arc;

use finesse_fuse::doors::{Gate, Held};

use crate::abi::{Rename2In, RenameIn, Request, opcode};

/// The gates of one request, as the kernel's own locks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Gates<'r> {
    None,
    Look(u64, &'r OsStr),
    List(u64),
    Change(u64),
    ChangeTwo(u64, u64),
}

impl<'r> Gates<'r> {
    pub(crate) fn of(request: &Request<'r>) -> Self {
        let node = request.header.nodeid;
        match request.header.opcode {
            opcode::LOOKUP => {
                let name = request.name();
                name.map_or(Gates::None, |name| Gates::Look(node, name))
            }
            opcode::READDIR | opcode::READDIRPLUS => Gates::List(node),
            opcode::MKNOD
            | opcode::MKDIR
            | opcode::SYMLINK
            | opcode::LINK
            | opcode::CREATE
            | opcode::UNLINK
            | opcode::RMDIR => Gates::Change(node),
            opcode::RENAME => Gates::pair(node, request.body::<RenameIn>().map(|it| it.0.newdir)),
            opcode::RENAME2 => Gates::pair(node, request.body::<Rename2In>().map(|it| it.0.newdir)),
            _ => Gates::None,
        }
    }

    fn pair(node: u64, other: Option<u64>) -> Self {
        other.map_or(Gates::None, |other| Gates::ChangeTwo(node, other))
    }

    /// Enters if nobody has to be waited for.
    pub(crate) fn try_enter(self, gate: &Arc<Gate>) -> Option<Held> {
        match self {
            Gates::None => Some(Held::Nothing),
            Gates::Look(node, name) => gate.try_look(node, name).map(Held::Look),
            Gates::List(node) => gate.try_list(node).map(Held::One),
            Gates::Change(node) => gate.try_exclusive(node).map(Held::One),
            Gates::ChangeTwo(a, b) => gate.try_exclusive_pair(a, b).map(Held::Pair),
        }
    }

    /// Enters. Not for a thread of the daemon: whoever holds the gate may need it.
    pub(crate) fn enter(self, gate: &Arc<Gate>) -> Held {
        match self {
            Gates::None => Held::Nothing,
            Gates::Look(node, name) => Held::Look(gate.look(node, name)),
            Gates::List(node) => Held::One(gate.list(node)),
            Gates::Change(node) => Held::One(gate.exclusive(node)),
            Gates::ChangeTwo(a, b) => Held::Pair(gate.exclusive_pair(a, b)),
        }
    }
}
