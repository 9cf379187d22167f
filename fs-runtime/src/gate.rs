//! One directory, one change at a time.
//!
//! The kernel serialises changes and listings of a directory by the lock of its inode
//! (`i_rwsem`, Documentation/filesystems/directory-locking), and file systems rely on it.
//! With two doors that lock covers only half of the callers, so both doors pass the gate
//! of the parent node: shared to look up and list, exclusive to change.
//!
//! Lock order: a thread holds the gate of one node, or of two that it took by
//! [`Gate::exclusive_pair`], or of one node and of a name in it by [`Gate::look`], and takes
//! no other. Gates are released before a notification
//! is sent to the kernel: it may hold a directory's lock while its request waits here.

use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::waiting::about_to_wait;

const SHARDS: usize = 64;

/// Locks of nodes, made when they are asked for. State exists for held nodes only.
#[derive(Debug)]
pub struct Gate {
    directories: [Shard; SHARDS],
    /// Names that are being looked up, by hash.
    names: [Shard; SHARDS],
    hasher: RandomState,
    /// A [`Looking`]. Set before the first request; relaxed.
    looking: AtomicU8,
}

/// What look-ups and listings of one directory may overlap.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Looking {
    /// All of them: a file system that says so takes care itself.
    Together,
    /// None: as the kernel's without `FUSE_PARALLEL_DIROPS` (`fuse_lock_inode`,
    /// fs/fuse/inode.c).
    OneAtATime,
    /// Not those of one name: as the kernel's with `FUSE_PARALLEL_DIROPS`
    /// (`d_alloc_parallel`, fs/dcache.c).
    ByName,
}

#[derive(Debug, Default)]
struct Shard {
    /// Few nodes are held at one time, so a scan is faster than hashing.
    nodes: Mutex<Vec<NodeGate>>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct NodeGate {
    node: u64,
    readers: u32,
    writer: bool,
    readers_waiting: u32,
    writers_waiting: u32,
    /// Readers that go before the next writer: those that waited while the last one
    /// held the gate. Never more than `readers_waiting`, so nobody waits for ever.
    readers_turn: u32,
}

impl NodeGate {
    fn admits_reader(&self) -> bool {
        !self.writer && (self.writers_waiting == 0 || self.readers_turn > 0)
    }

    fn admits_writer(&self) -> bool {
        !self.writer && self.readers == 0 && self.readers_turn == 0
    }

    fn waited_for(&self) -> bool {
        self.readers_waiting > 0 || self.writers_waiting > 0
    }
}

/// What a gate is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Table {
    Directories,
    Names,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Shared,
    Exclusive,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Gate {
            directories: std::array::from_fn(|_| Shard::default()),
            names: std::array::from_fn(|_| Shard::default()),
            hasher: RandomState::new(),
            looking: AtomicU8::new(Looking::Together as u8),
        })
    }

    /// What may overlap from now on. Called before the first request.
    pub fn let_look(&self, looking: Looking) {
        self.looking.store(looking as u8, Ordering::Relaxed);
    }

    /// Waits until `name` may be looked up in the directory `node`.
    pub fn look(self: &Arc<Self>, node: u64, name: &OsStr) -> LookGuard {
        let directory = self.enter(Table::Directories, node, self.mode_of_looks());
        let name = self.key(node, name);
        let name = name.map(|key| self.enter(Table::Names, key, Mode::Exclusive));
        LookGuard {
            _name: name,
            _directory: directory,
        }
    }

    /// [`Gate::look`], if nobody has to be waited for.
    pub fn try_look(self: &Arc<Self>, node: u64, name: &OsStr) -> Option<LookGuard> {
        let directory = self.try_enter(Table::Directories, node, self.mode_of_looks())?;
        let name = match self.key(node, name) {
            Some(key) => Some(self.try_enter(Table::Names, key, Mode::Exclusive)?),
            None => None,
        };
        Some(LookGuard {
            _name: name,
            _directory: directory,
        })
    }

    /// Waits until the directory `node` may be listed.
    pub fn list(self: &Arc<Self>, node: u64) -> GateGuard {
        self.enter(Table::Directories, node, self.mode_of_looks())
    }

    /// [`Gate::list`], if nobody has to be waited for.
    pub fn try_list(self: &Arc<Self>, node: u64) -> Option<GateGuard> {
        self.try_enter(Table::Directories, node, self.mode_of_looks())
    }

    fn mode_of_looks(&self) -> Mode {
        if self.looks(Looking::OneAtATime) {
            Mode::Exclusive
        } else {
            Mode::Shared
        }
    }

    fn looks(&self, looking: Looking) -> bool {
        self.looking.load(Ordering::Relaxed) == looking as u8
    }

    /// Under which a name is looked up; two with one key wait for each other.
    fn key(&self, node: u64, name: &OsStr) -> Option<u64> {
        self.looks(Looking::ByName)
            .then(|| self.hasher.hash_one((node, name)))
    }

    /// Waits until nobody changes the directory `node`.
    pub fn shared(self: &Arc<Self>, node: u64) -> GateGuard {
        self.enter(Table::Directories, node, Mode::Shared)
    }

    /// Waits until nobody else is inside the directory `node`.
    pub fn exclusive(self: &Arc<Self>, node: u64) -> GateGuard {
        self.enter(Table::Directories, node, Mode::Exclusive)
    }

    /// Both directories of a rename, the lower id first; one guard when they are the same.
    pub fn exclusive_pair(self: &Arc<Self>, a: u64, b: u64) -> GatePair {
        let first = self.exclusive(a.min(b));
        let second = (a != b).then(|| self.exclusive(a.max(b)));
        GatePair {
            _second: second,
            _first: first,
        }
    }

    /// [`Gate::exclusive`], if nobody has to be waited for.
    pub fn try_exclusive(self: &Arc<Self>, node: u64) -> Option<GateGuard> {
        self.try_enter(Table::Directories, node, Mode::Exclusive)
    }

    /// [`Gate::exclusive_pair`], if nobody has to be waited for.
    pub fn try_exclusive_pair(self: &Arc<Self>, a: u64, b: u64) -> Option<GatePair> {
        let first = self.try_exclusive(a.min(b))?;
        let second = if a == b {
            None
        } else {
            Some(self.try_exclusive(a.max(b))?)
        };
        Some(GatePair {
            _second: second,
            _first: first,
        })
    }

    fn try_enter(self: &Arc<Self>, table: Table, node: u64, mode: Mode) -> Option<GateGuard> {
        let entered = self.shard(table, node).try_enter(node, mode);
        entered.then(|| GateGuard {
            gate: Arc::clone(self),
            table,
            node,
            mode,
        })
    }

    fn enter(self: &Arc<Self>, table: Table, node: u64, mode: Mode) -> GateGuard {
        self.shard(table, node).enter(node, mode);
        GateGuard {
            gate: Arc::clone(self),
            table,
            node,
            mode,
        }
    }

    fn shard(&self, table: Table, node: u64) -> &Shard {
        let shards = match table {
            Table::Directories => &self.directories,
            Table::Names => &self.names,
        };
        &shards[shard_index(node)]
    }
}

/// File systems number nodes in sequence, or by address.
fn shard_index(node: u64) -> usize {
    const BITS: u32 = SHARDS.trailing_zeros();
    usize::try_from(node.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - BITS)).unwrap_or(0)
}

impl Shard {
    fn enter(&self, node: u64, mode: Mode) {
        if self.try_enter(node, mode) {
            return;
        }
        about_to_wait();
        let mut nodes = self.nodes.lock();
        let mut at = find_or_insert(&mut nodes, node);
        match mode {
            Mode::Shared => {
                while !nodes[at].admits_reader() {
                    nodes[at].readers_waiting += 1;
                    self.released.wait(&mut nodes);
                    at = find_or_insert(&mut nodes, node);
                    nodes[at].readers_waiting -= 1;
                }
                let gate = &mut nodes[at];
                gate.readers += 1;
                gate.readers_turn = gate.readers_turn.saturating_sub(1);
            }
            Mode::Exclusive => {
                while !nodes[at].admits_writer() {
                    nodes[at].writers_waiting += 1;
                    self.released.wait(&mut nodes);
                    at = find_or_insert(&mut nodes, node);
                    nodes[at].writers_waiting -= 1;
                }
                nodes[at].writer = true;
            }
        }
    }

    fn try_enter(&self, node: u64, mode: Mode) -> bool {
        let mut nodes = self.nodes.lock();
        let at = find_or_insert(&mut nodes, node);
        let gate = &mut nodes[at];
        match mode {
            Mode::Shared if gate.admits_reader() => {
                gate.readers += 1;
                gate.readers_turn = gate.readers_turn.saturating_sub(1);
                true
            }
            // Those who wait go first.
            Mode::Exclusive if gate.admits_writer() && !gate.waited_for() => {
                gate.writer = true;
                true
            }
            _ => false,
        }
    }

    fn leave(&self, node: u64, mode: Mode) {
        let mut nodes = self.nodes.lock();
        let at = find_or_insert(&mut nodes, node);
        let gate = &mut nodes[at];
        match mode {
            Mode::Shared => gate.readers -= 1,
            Mode::Exclusive => {
                gate.writer = false;
                gate.readers_turn = gate.readers_waiting;
            }
        }
        if gate.waited_for() {
            self.released.notify_all();
        } else if gate.readers == 0 {
            nodes.swap_remove(at);
        }
    }
}

/// Another node's leaving moves entries, so a place is good only while the lock is held.
fn find_or_insert(nodes: &mut Vec<NodeGate>, node: u64) -> usize {
    nodes
        .iter()
        .position(|gate| gate.node == node)
        .unwrap_or_else(|| {
            nodes.push(NodeGate {
                node,
                ..NodeGate::default()
            });
            nodes.len() - 1
        })
}

/// Holds the gate of one node; any thread may drop it.
#[derive(Debug)]
#[must_use = "the gate is left when the guard is dropped"]
pub struct GateGuard {
    gate: Arc<Gate>,
    table: Table,
    node: u64,
    mode: Mode,
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        let shard = self.gate.shard(self.table, self.node);
        shard.leave(self.node, self.mode);
    }
}

/// Holds what a look-up needs; released in the reverse order.
#[derive(Debug)]
#[must_use = "the gate is left when the guard is dropped"]
pub struct LookGuard {
    _name: Option<GateGuard>,
    _directory: GateGuard,
}

/// Holds the gates of a rename's directories; released in the reverse order.
#[derive(Debug)]
#[must_use = "the gates are left when the pair is dropped"]
pub struct GatePair {
    _second: Option<GateGuard>,
    _first: GateGuard,
}

#[cfg(test)]
mod tests;
