//! Nodes that the kernel holds, and attributes that it may use without asking.

use std::time::Duration;

use fuser::INodeNo;

use super::clock::{Millis, expiry, millis};
use super::table::{Sweeps, Table};
use super::{ARRIVAL, Moment};

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    lookups: u64,
    /// 0: the kernel has no attributes that it may use.
    attr_expiry: Millis,
    attr_serial: u32,
    pages: bool,
    /// Its inode number was told.
    numbered: bool,
    /// Where and when the kernel got the node for the first time.
    parent: u64,
    since: Millis,
}

/// One giving of attributes: a later one of the same node is another value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct AttrGiven(u32);

#[derive(Debug)]
pub(super) struct Nodes {
    table: Table<Node>,
    sweeps: Sweeps,
    cap: usize,
    /// Nodes found no place: their look-ups are not counted, and never will be.
    untracked: bool,
    serial: u32,
    /// Number of the last bypassed change of attributes in this shard.
    changed: u64,
    /// Nodes that somebody changes now, and that the kernel did not hold before.
    changing: Vec<u64>,
}

impl Nodes {
    pub(super) fn new(cap: usize) -> Self {
        Nodes {
            table: Table::default(),
            sweeps: Sweeps::new(),
            cap,
            untracked: false,
            serial: 0,
            changed: 0,
            changing: Vec::new(),
        }
    }

    pub(super) fn looked_up(&mut self, node: INodeNo, parent: INodeNo, now: Millis) {
        if let Some(known) = self.entry(node, now) {
            if known.lookups == 0 {
                known.parent = parent.0;
                known.since = now;
            }
            known.lookups += 1;
        }
    }

    /// Whether attributes that a request read since `asked` may be out of date.
    pub(super) fn overtaken(&self, node: INodeNo, asked: Moment) -> bool {
        self.changed > asked.0 || self.changing.contains(&node.0)
    }

    /// The time-out that the attributes may still have.
    pub(super) fn gave_attr(
        &mut self,
        node: INodeNo,
        asked: Moment,
        ttl: Duration,
        now: Millis,
    ) -> Duration {
        if ttl.is_zero() || self.overtaken(node, asked) {
            return Duration::ZERO;
        }
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let expiry = expiry(now, ttl);
        if let Some(known) = self.entry(node, now) {
            known.attr_expiry = known.attr_expiry.max(expiry);
            known.attr_serial = serial;
        }
        ttl
    }

    pub(super) fn gave_pages(&mut self, node: INodeNo) {
        // The root is never looked up, so it may be new here.
        if self.table.len() < self.cap || self.table.contains_key(&node.0) {
            self.table.entry(node.0).or_default().pages = true;
        } else {
            self.untracked = true;
        }
    }

    /// Whether a node has gone whose number may have been told.
    pub(super) fn forgot(&mut self, node: INodeNo, lookups: u64) -> bool {
        let Some(known) = self.table.get_mut(&node.0) else {
            return node != INodeNo::ROOT;
        };
        known.lookups = known.lookups.saturating_sub(lookups);
        if known.lookups > 0 || node == INodeNo::ROOT {
            return false;
        }
        let numbered = known.numbered;
        self.table.remove(&node.0);
        numbered
    }

    /// The number of the node is told.
    pub(super) fn numbered(&mut self, node: INodeNo) {
        if let Some(known) = self.table.get_mut(&node.0) {
            known.numbered = true;
        }
    }

    pub(super) fn knows(&self, node: INodeNo) -> bool {
        self.table
            .get(&node.0)
            .map_or(self.untracked, |known| known.lookups > 0)
    }

    /// False when the kernel holds the node.
    pub(super) fn begin_change(&mut self, node: INodeNo) -> bool {
        let unknown = !self.knows(node);
        if unknown {
            self.changing.push(node.0);
        }
        unknown
    }

    pub(super) fn end_change(&mut self, node: INodeNo) {
        if let Some(at) = self.changing.iter().position(|other| *other == node.0) {
            self.changing.swap_remove(at);
        }
    }

    pub(super) fn changed(&mut self, node: INodeNo, change: u64, now: Millis) -> Option<AttrGiven> {
        self.changed = self.changed.max(change);
        let Some(known) = self.table.get(&node.0) else {
            return self.untracked.then_some(AttrGiven(0));
        };
        (known.attr_expiry != 0 && known.attr_expiry > now).then_some(AttrGiven(known.attr_serial))
    }

    /// Forgets that giving, unless another followed.
    pub(super) fn take_attr(&mut self, node: INodeNo, given: AttrGiven) {
        if let Some(known) = self.table.get_mut(&node.0)
            && known.attr_serial == given.0
        {
            known.attr_expiry = 0;
        }
    }

    pub(super) fn pages(&self, node: INodeNo) -> bool {
        self.table
            .get(&node.0)
            .map_or(self.untracked, |known| known.pages)
    }

    pub(super) fn arriving(&self, node: INodeNo, now: Millis) -> Option<INodeNo> {
        let known = self.table.get(&node.0).filter(|known| known.lookups > 0)?;
        (now <= known.since.saturating_add(millis(ARRIVAL))).then_some(INodeNo(known.parent))
    }

    fn entry(&mut self, node: INodeNo, now: Millis) -> Option<&mut Node> {
        if !self.table.contains_key(&node.0) {
            self.sweeps.sweep(&mut self.table, |known| {
                known.lookups > 0 || known.pages || known.attr_expiry > now
            });
            if self.table.len() >= self.cap {
                self.untracked = true;
                return None;
            }
        }
        Some(self.table.entry(node.0).or_default())
    }
}
