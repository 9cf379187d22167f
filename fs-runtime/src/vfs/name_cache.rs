//! The names that walks pass through, and attributes for their checks.
//!
//! Only directories and symbolic links are kept, each as long as the file system itself
//! allows; every kept name holds one look-up of its node. What is dropped because a name
//! changed is forgotten later, by a thread of the door ([`NameCache::bury`]): the change
//! may be reported from inside the file system, which must not be called back then.
//!
//! At most [`SHARDS`] × [`NAMES_PER_SHARD`] names (about 200 bytes each with a name of 20
//! bytes) and as many attributes (about 200 bytes each) are kept.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fuser::{FileAttr, FileType, INodeNo};
use parking_lot::Mutex;

use super::node::{Found, Held};
use crate::kernel_door::NameCache as Hook;

const SHARDS: usize = 16;
const NAMES_PER_SHARD: usize = 256;
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// When something that may be remembered for `ttl` from `now` on expires.
pub(super) fn deadline(now: Instant, ttl: Duration) -> Instant {
    now + ttl.min(FOREVER)
}

struct Slot {
    parent: u64,
    name: Box<[u8]>,
    kind: FileType,
    held: Arc<Held>,
    expires: Instant,
}

#[derive(Default)]
struct Names {
    slots: HashMap<u64, Slot>,
    /// Counts the changes reported, so that what was asked before one is not kept.
    changes: u64,
}

/// Attributes and how old they are.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// The attributes.
    pub(super) attr: FileAttr,
    /// Until when the file system lets them be remembered.
    pub(super) fresh_until: Instant,
    /// When they were asked for.
    pub(super) seen: Instant,
}

/// Proof of when a question was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked(u64);

/// What the cache says about a name.
pub(super) enum Lookup {
    /// The name leads to a directory or link.
    Hit(FileType, Arc<Held>),
    /// Unknown. The file system must be asked.
    Miss(Asked),
}

/// The cache.
pub(crate) struct NameCache {
    hasher: RandomState,
    names: [Mutex<Names>; SHARDS],
    attributes: [Mutex<HashMap<u64, Known>>; SHARDS],
    attribute_changes: AtomicU64,
    retired: Mutex<Vec<Arc<Held>>>,
}

impl fmt::Debug for NameCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameCache").finish_non_exhaustive()
    }
}

impl NameCache {
    /// An empty cache.
    pub(crate) fn new() -> Self {
        NameCache {
            hasher: RandomState::new(),
            names: Default::default(),
            attributes: Default::default(),
            attribute_changes: AtomicU64::new(0),
            retired: Mutex::default(),
        }
    }

    /// Forgets what [`Hook::name_changed`] dropped. For threads of the door only.
    pub(crate) fn bury(&self) {
        let retired = std::mem::take(&mut *self.retired.lock());
        drop(retired);
    }

    /// Drops and forgets everything.
    pub(crate) fn clear(&self) {
        for shard in &self.names {
            let slots = std::mem::take(&mut shard.lock().slots);
            drop(slots);
        }
        self.attributes
            .iter()
            .for_each(|shard| shard.lock().clear());
        self.bury();
    }

    /// What is known about a name.
    pub(super) fn lookup(&self, parent: u64, name: &[u8], now: Instant) -> Lookup {
        let (key, shard) = self.place(parent, name);
        let names = shard.lock();
        match names.slots.get(&key) {
            Some(slot) if slot.parent == parent && *slot.name == *name && now < slot.expires => {
                Lookup::Hit(slot.kind, Arc::clone(&slot.held))
            }
            _ => Lookup::Miss(Asked(names.changes)),
        }
    }

    /// Keeps a directory or link that was looked up after `asked`, unless the name has
    /// changed since. The caller holds the gate of `parent`.
    pub(super) fn keep(
        &self,
        parent: u64,
        name: &[u8],
        found: Found<'_>,
        asked: Asked,
        now: Instant,
    ) -> Arc<Held> {
        let (kind, expires) = (found.attr.kind, deadline(now, found.entry_ttl));
        let held = found.hold();
        let (key, shard) = self.place(parent, name);
        let mut names = shard.lock();
        if names.changes != asked.0 {
            return held;
        }
        let slot = Slot {
            parent,
            name: name.into(),
            kind,
            held: Arc::clone(&held),
            expires,
        };
        let evicted = make_room(&mut names.slots, now);
        let replaced = names.slots.insert(key, slot);
        // Dropped here they may call the file system, so not under the lock.
        drop(names);
        drop((evicted, replaced));
        held
    }

    /// Says from when on answers about attributes are known to be newer than changes.
    pub(super) fn ask_attributes(&self) -> Asked {
        Asked(self.attribute_changes.load(Ordering::Acquire))
    }

    /// Attributes of a directory, however old.
    pub(super) fn attributes(&self, node: u64) -> Option<Known> {
        self.attribute_shard(node).lock().get(&node).copied()
    }

    /// Keeps a directory's attributes, unless some were changed since `asked`.
    pub(super) fn keep_attributes(&self, node: u64, known: Known, asked: Asked) {
        let mut shard = self.attribute_shard(node).lock();
        if self.attribute_changes.load(Ordering::Acquire) != asked.0 {
            return;
        }
        if shard.len() >= NAMES_PER_SHARD && !shard.contains_key(&node) {
            shard.retain(|_, old| known.seen < old.fresh_until);
            if shard.len() >= NAMES_PER_SHARD {
                shard.clear();
            }
        }
        shard.insert(node, known);
    }

    fn place(&self, parent: u64, name: &[u8]) -> (u64, &Mutex<Names>) {
        let key = self.hasher.hash_one((parent, name));
        (key, &self.names[shard_index(key)])
    }

    fn attribute_shard(&self, node: u64) -> &Mutex<HashMap<u64, Known>> {
        &self.attributes[shard_index(node)]
    }
}

impl Hook for NameCache {
    fn name_changed(&self, parent: INodeNo, name: &OsStr) {
        let (key, shard) = self.place(parent.0, name.as_bytes());
        let mut names = shard.lock();
        names.changes += 1;
        let Some(slot) = names.slots.remove(&key) else {
            return;
        };
        drop(names);
        self.retired.lock().push(slot.held);
    }

    fn attr_changed(&self, node: INodeNo) {
        // Release: pairs with the Acquire in `ask_attributes`; an answer that was asked
        // for before this count is not kept after it.
        self.attribute_changes.fetch_add(1, Ordering::Release);
        self.attribute_shard(node.0).lock().remove(&node.0);
    }
}

fn shard_index(key: u64) -> usize {
    usize::from(key.to_le_bytes()[0]) % SHARDS
}

/// Takes expired names out of a full shard, or any one name when none has expired.
fn make_room(slots: &mut HashMap<u64, Slot>, now: Instant) -> Vec<Slot> {
    if slots.len() < NAMES_PER_SHARD {
        return Vec::new();
    }
    let mut out: Vec<Slot> = slots
        .extract_if(|_, slot| slot.expires <= now)
        .map(|(_, slot)| slot)
        .collect();
    if out.is_empty() {
        let victim = slots.keys().next().copied();
        out.extend(victim.and_then(|key| slots.remove(&key)));
    }
    out
}
