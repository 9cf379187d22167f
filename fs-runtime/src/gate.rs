//! One directory, one change at a time.
//!
//! The kernel serialises changes and listings of a directory by the lock of its inode
//! (`i_rwsem`, Documentation/filesystems/directory-locking), and file systems rely on it.
//! With two doors that lock covers only half of the callers, so both doors pass the gate
//! of the parent node: shared to look up and list, exclusive to change.
//!
//! Lock order: a thread holds the gate of one node, or of two that it took by
//! [`Gate::exclusive_pair`], and takes no other. Gates are released before a notification
//! is sent to the kernel: it may hold a directory's lock while its request waits here.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

const SHARDS: usize = 64;

/// Locks of nodes, made when they are asked for. State exists for held nodes only.
#[derive(Debug)]
pub struct Gate {
    shards: [Shard; SHARDS],
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

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Shared,
    Exclusive,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Gate {
            shards: std::array::from_fn(|_| Shard::default()),
        })
    }

    /// Waits until nobody changes the directory `node`.
    pub fn shared(self: &Arc<Self>, node: u64) -> GateGuard {
        self.enter(node, Mode::Shared)
    }

    /// Waits until nobody else is inside the directory `node`.
    pub fn exclusive(self: &Arc<Self>, node: u64) -> GateGuard {
        self.enter(node, Mode::Exclusive)
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

    /// [`Gate::shared`], if nobody has to be waited for.
    pub fn try_shared(self: &Arc<Self>, node: u64) -> Option<GateGuard> {
        self.try_enter(node, Mode::Shared)
    }

    /// [`Gate::exclusive`], if nobody has to be waited for.
    pub fn try_exclusive(self: &Arc<Self>, node: u64) -> Option<GateGuard> {
        self.try_enter(node, Mode::Exclusive)
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

    fn try_enter(self: &Arc<Self>, node: u64, mode: Mode) -> Option<GateGuard> {
        let entered = self.shard(node).try_enter(node, mode);
        entered.then(|| GateGuard {
            gate: Arc::clone(self),
            node,
            mode,
        })
    }

    fn enter(self: &Arc<Self>, node: u64, mode: Mode) -> GateGuard {
        self.shard(node).enter(node, mode);
        GateGuard {
            gate: Arc::clone(self),
            node,
            mode,
        }
    }

    fn shard(&self, node: u64) -> &Shard {
        &self.shards[shard_index(node)]
    }
}

/// File systems number nodes in sequence, or by address.
fn shard_index(node: u64) -> usize {
    const BITS: u32 = SHARDS.trailing_zeros();
    usize::try_from(node.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - BITS)).unwrap_or(0)
}

impl Shard {
    fn enter(&self, node: u64, mode: Mode) {
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
    node: u64,
    mode: Mode,
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        self.gate.shard(self.node).leave(self.node, self.mode);
    }
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
