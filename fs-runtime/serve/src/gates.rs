//! Which gates a request of the kernel has to pass.

use std::sync::Arc;

use finesse_fuse::doors::{Gate, Held};

use crate::abi::{Rename2In, RenameIn, Request, opcode};

/// The gates of one request, as the kernel's own locks: shared to look up and list,
/// exclusive to change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Gates {
    None,
    Shared(u64),
    Exclusive(u64),
    Pair(u64, u64),
}

impl Gates {
    pub(crate) fn of(request: &Request<'_>) -> Gates {
        let node = request.header.nodeid;
        match request.header.opcode {
            opcode::LOOKUP | opcode::READDIR | opcode::READDIRPLUS => Gates::Shared(node),
            opcode::MKNOD
            | opcode::MKDIR
            | opcode::SYMLINK
            | opcode::LINK
            | opcode::CREATE
            | opcode::UNLINK
            | opcode::RMDIR => Gates::Exclusive(node),
            opcode::RENAME => Gates::pair(node, request.body::<RenameIn>().map(|it| it.0.newdir)),
            opcode::RENAME2 => Gates::pair(node, request.body::<Rename2In>().map(|it| it.0.newdir)),
            _ => Gates::None,
        }
    }

    fn pair(node: u64, other: Option<u64>) -> Gates {
        other.map_or(Gates::None, |other| Gates::Pair(node, other))
    }

    /// Enters if nobody has to be waited for.
    pub(crate) fn try_enter(self, gate: &Arc<Gate>) -> Option<Held> {
        match self {
            Gates::None => Some(Held::Nothing),
            Gates::Shared(node) => gate.try_shared(node).map(Held::One),
            Gates::Exclusive(node) => gate.try_exclusive(node).map(Held::One),
            Gates::Pair(a, b) => gate.try_exclusive_pair(a, b).map(Held::Pair),
        }
    }

    /// Enters. Not for a thread of the daemon: whoever holds the gate may need it.
    pub(crate) fn enter(self, gate: &Arc<Gate>) -> Held {
        match self {
            Gates::None => Held::Nothing,
            Gates::Shared(node) => Held::One(gate.shared(node)),
            Gates::Exclusive(node) => Held::One(gate.exclusive(node)),
            Gates::Pair(a, b) => Held::Pair(gate.exclusive_pair(a, b)),
        }
    }
}
