//! What the kernel was given, and until when it may use it without asking.
//!
//! The kernel door records every entry and attribute *before* the reply is written to
//! /dev/fuse; the bypass door's changes ask here which notifications are needed
//! (`crate::coherence`). The answers err to one side: "may be alive" for something that
//! is not costs one needless notification.
//!
//! Memory: 24 bytes a name and 40 bytes a node (key and state), times the hash table's
//! slack (at most 2.3) and 1 byte a place. Names go when they expire, nodes when the
//! kernel forgets them. At [`Limits::DEFAULT`] the view stays below 450 MiB; beyond it
//! whatever is not recorded "may be alive".

mod clock;
mod names;
mod nodes;
mod numbers;
mod table;

use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fuser::INodeNo;
use parking_lot::Mutex;

use clock::{expiry, now};
pub(crate) use names::Given;
use names::Names;
pub(crate) use nodes::AttrGiven;
use nodes::Nodes;
use numbers::Numbers;

const SHARDS: usize = 64;

/// The kernel counts a time-out from when the thread that asked runs again, which is
/// later than the reply by as long as that thread waits for a CPU.
const GRACE: Duration = Duration::from_secs(5);

/// By when such a thread has made the inode that it was given.
const ARRIVAL: Duration = Duration::from_secs(1);

/// Most names and nodes that are recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) names: usize,
    pub(crate) nodes: usize,
}

impl Limits {
    pub(crate) const DEFAULT: Limits = Limits {
        names: 4 << 20,
        nodes: 4 << 20,
    };
}

/// A name in a directory, hashed. Two names with one hash share their fate.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct NameKey(u64);

/// A point in the order of bypassed changes. Attributes that a request read after it are
/// current unless a later change touched their node.
#[derive(Clone, Copy, Debug)]
pub struct Moment(u64);

/// See the module.
#[derive(Debug)]
pub struct KernelView {
    names: [Mutex<Names>; SHARDS],
    nodes: [Mutex<Nodes>; SHARDS],
    hasher: RandomState,
    /// Number of the last bypassed change of attributes.
    changes: AtomicU64,
    numbers: Numbers,
    /// opendir said ENOSYS: the kernel keeps pages of every directory.
    all_pages: AtomicBool,
}

impl KernelView {
    pub(crate) fn new(limits: Limits) -> Self {
        KernelView {
            names: std::array::from_fn(|_| Mutex::new(Names::new(limits.names / SHARDS))),
            nodes: std::array::from_fn(|_| Mutex::new(Nodes::new(limits.nodes / SHARDS))),
            hasher: RandomState::new(),
            changes: AtomicU64::new(0),
            numbers: Numbers::are_nodes(),
            all_pages: AtomicBool::new(false),
        }
    }

    /// For a file system whose inode numbers are not its nodes' ids: each directory's number
    /// is told by [`KernelView::gave_directory`].
    pub(crate) fn with_numbers_of_their_own(limits: Limits) -> Self {
        KernelView {
            numbers: Numbers::own(),
            ..KernelView::new(limits)
        }
    }

    /// The hash under which `name` in `parent` is recorded.
    pub fn key(&self, parent: INodeNo, name: &OsStr) -> NameKey {
        NameKey(self.hasher.hash_one((parent.0, name)))
    }

    /// Taken when a kernel request arrives, before the file system sees it.
    pub fn moment(&self) -> Moment {
        Moment(self.changes.load(Ordering::SeqCst))
    }

    // Kernel door.

    /// The kernel gets `node` (0: known not to exist) under a name for `entry_ttl`, its
    /// attributes for `attr_ttl`, and counts one look-up. Returns the time-outs that both
    /// may still have: none when a bypassed change overtook the request, for the kernel
    /// trusts owner and mode of a name that it need not look up, however old they are.
    pub fn gave_entry(
        &self,
        parent: INodeNo,
        name: NameKey,
        node: INodeNo,
        (entry_ttl, attr_ttl): (Duration, Duration),
        asked: Moment,
    ) -> (Duration, Duration) {
        let now = now();
        if !entry_ttl.is_zero() {
            let expiry = expiry(now, entry_ttl);
            self.names(name).lock().gave(name, expiry, now);
        }
        if node.0 == 0 {
            return (entry_ttl, attr_ttl);
        }
        let mut nodes = self.nodes(node).lock();
        nodes.looked_up(node, parent, now);
        if nodes.overtaken(node, asked) {
            return (Duration::ZERO, Duration::ZERO);
        }
        (entry_ttl, nodes.gave_attr(node, asked, attr_ttl, now))
    }

    /// The kernel gets the attributes of `node`; returns the time-out that they may still
    /// have. `reported` is the inode number in them.
    pub fn gave_attr(
        &self,
        node: INodeNo,
        reported: INodeNo,
        ttl: Duration,
        asked: Moment,
    ) -> Duration {
        self.numbers.shown(node, reported);
        self.nodes(node).lock().gave_attr(node, asked, ttl, now())
    }

    /// The kernel gets the directory `node`, or its attributes, with the inode number
    /// `number`. Told before the reply is written, and after the look-up is counted.
    pub fn gave_directory(&self, node: INodeNo, number: INodeNo) {
        self.nodes(node).lock().numbered(node);
        self.numbers.directory(node, number);
    }

    /// opendir was answered with `FOPEN_CACHE_DIR`.
    pub fn gave_directory_pages(&self, node: INodeNo) {
        self.nodes(node).lock().gave_pages(node);
    }

    /// opendir is not implemented: the kernel caches all directories on its own
    /// (`no_opendir` in fs/fuse/file.c).
    pub fn gave_all_directory_pages(&self) {
        self.all_pages.store(true, Ordering::Relaxed);
    }

    /// The kernel takes back `lookups` look-ups.
    pub fn forgot(&self, node: INodeNo, lookups: u64) {
        let mut nodes = self.nodes(node).lock();
        // Under the lock: a look-up that is answered meanwhile is counted before or after
        // both.
        if nodes.forgot(node, lookups) {
            self.numbers.gone(node);
        }
    }

    /// The kernel removed the name itself and keeps no entry for it.
    pub fn dropped_name(&self, name: NameKey) {
        self.names(name).lock().drop_name(name);
    }

    /// The kernel renamed: its entry moves with its time-out, or both change places
    /// (`fuse_rename_common` in fs/fuse/dir.c, d_move).
    pub fn moved_name(&self, from: NameKey, to: NameKey, exchange: bool) {
        let moving = self.names(from).lock().drop_name(from);
        let replaced = self.names(to).lock().drop_name(to);
        self.put_back(to, moving);
        if exchange {
            self.put_back(from, replaced);
        }
    }

    fn put_back(&self, name: NameKey, given: Option<Given>) {
        if let Some(given) = given {
            let mut names = self.names(name).lock();
            names.gave(name, given.expiry(), now());
        }
    }

    // Bypass door.

    /// Whether the kernel may hold the node (it always holds the root).
    pub fn knows(&self, node: INodeNo) -> bool {
        node == INodeNo::ROOT || self.nodes(node).lock().knows(node)
    }

    /// Owner, mode or size of `node` are about to change: `None` when the kernel holds it.
    /// Until the guard is dropped, the kernel gets the node without time-outs only.
    ///
    /// An inode of the kernel keeps them after inval_inode, and not all that uses them
    /// asks anew: `may_linkat`, `setattr_prepare` and `may_delete` judge by the owner
    /// (fs/namei.c, fs/attr.c), `file_remove_privs` by the mode (fs/inode.c), appending
    /// and mappings by the size (fs/fuse/file.c, mm/filemap.c).
    pub(crate) fn change_unheld(&self, node: INodeNo) -> Option<Changing<'_>> {
        let begun = node != INodeNo::ROOT && self.nodes(node).lock().begin_change(node);
        begun.then_some(Changing { view: self, node })
    }

    /// The directory that the kernel holds and shows with this inode number: what a
    /// descriptor or working directory is. `None` when that is not sure.
    pub(crate) fn node_numbered(&self, number: u64) -> Option<INodeNo> {
        self.numbers.node(number, |node| self.knows(node))
    }

    /// Whether the next look-up of the node that has `number` now shows the same. A file
    /// system may number nodes when they are looked up and anew when they were forgotten, as
    /// libfuse does without `use_ino`: then only nodes that the kernel holds keep theirs.
    pub(crate) fn number_lasts(&self, node: INodeNo, number: INodeNo) -> bool {
        !self.numbers.are_own() || number != node || self.knows(node)
    }

    // Coherence. What was found alive stays recorded until its notification was sent,
    // and beyond when the kernel was given it anew meanwhile: another change of the same
    // name must not be acknowledged while the kernel still has the old entry.

    /// The entry that the kernel may hold, positive or negative.
    pub(crate) fn name(&self, name: NameKey) -> Option<Given> {
        self.names(name).lock().alive(name, now())
    }

    /// The notification for `given` was sent.
    pub(crate) fn take_name(&self, name: NameKey, given: Given) {
        self.names(name).lock().take(name, given);
    }

    /// The attributes of `node` changed. Returns whether the kernel may hold old ones.
    pub(crate) fn attr(&self, node: INodeNo) -> Option<AttrGiven> {
        let change = self.changes.fetch_add(1, Ordering::SeqCst) + 1;
        self.nodes(node).lock().changed(node, change, now())
    }

    /// The notification for `given` was sent.
    pub(crate) fn take_attr(&self, node: INodeNo, given: AttrGiven) {
        self.nodes(node).lock().take_attr(node, given);
    }

    /// Whether the kernel may hold pages of the listing of `directory`.
    pub(crate) fn pages(&self, directory: INodeNo) -> bool {
        self.all_pages.load(Ordering::Relaxed) || self.nodes(directory).lock().pages(directory)
    }

    /// The directory in which the kernel may still be making the inode of `node`, which
    /// it got for the first time a moment ago: inval_inode would not find it yet.
    pub(crate) fn arriving(&self, node: INodeNo) -> Option<INodeNo> {
        self.nodes(node).lock().arriving(node, now())
    }

    fn names(&self, name: NameKey) -> &Mutex<Names> {
        &self.names[shard(name.0)]
    }

    fn nodes(&self, node: INodeNo) -> &Mutex<Nodes> {
        &self.nodes[shard(node.0.wrapping_mul(0x9E37_79B9_7F4A_7C15))]
    }
}

/// A change of a node that the kernel did not hold; see [`KernelView::change_unheld`].
#[derive(Debug)]
#[must_use = "the change is over when the guard is dropped"]
pub(crate) struct Changing<'v> {
    view: &'v KernelView,
    node: INodeNo,
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.view.nodes(self.node).lock().end_change(self.node);
    }
}

/// By the top bits; the tables inside use the others.
fn shard(hash: u64) -> usize {
    usize::try_from(hash >> (u64::BITS - SHARDS.trailing_zeros())).unwrap_or(0)
}

#[cfg(test)]
mod tests;
