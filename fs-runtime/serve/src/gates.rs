//! Which gates a request of the kernel has to pass.

use std::ffi::OsStr;
use std::sync::Arc;

use finesse_fuse::INodeNo;
use finesse_fuse::doors::{Gate, Held};

use crate::purpose::Purpose;

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
    /// Of a request for `purpose`, to the directory `node`.
    pub(crate) fn of(node: INodeNo, purpose: &Purpose<'r>) -> Self {
        match *purpose {
            Purpose::LookUp(name) => Gates::Look(node.0, name),
            Purpose::List | Purpose::ListPlus => Gates::List(node.0),
            Purpose::Make(..) | Purpose::Remove(_) => Gates::Change(node.0),
            Purpose::Rename(it) => Gates::ChangeTwo(node.0, it.newdir.0),
            Purpose::MakeUnnamed
            | Purpose::Attributes
            | Purpose::Statx
            | Purpose::SetAttributes
            | Purpose::Open
            | Purpose::OpenDirectory
            | Purpose::Change(_)
            | Purpose::Other => Gates::None,
        }
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
