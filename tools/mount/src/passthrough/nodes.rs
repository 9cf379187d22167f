//! Which files the kernel knows, and how to find each of them again without holding it open.
//!
//! A node is an entry of a sharded table: the file's identity, how often it was looked up, and the
//! names it was found by, each as (parent node, name). A name may go stale, by an unlink through the
//! mount or a change behind it; nobody is told. Whoever follows a name compares identities and tries
//! the next one, so an unlink costs no look-up here.
//!
//! Memory: 73 bytes an entry in a table filled between 7/16 and 7/8, so 83 to 167 bytes, and the name in a
//! heap block of 17 bytes and its length, rounded up to 16. A million files with names of 15 characters
//! were measured at 240 bytes each, the allocator's own share included; 300 is the bound for usual names.
//!
//! Lock order: one shard at a time, no lock held across a system call.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::hash::{BuildHasherDefault, Hasher};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use fuser::{FileHandle, Generation};
use parking_lot::Mutex;
use rustix::fs::Statx;
use rustix::io::Errno;

use super::Answer;

/// The root's node id, fixed by the protocol.
pub(super) const ROOT: u64 = 1;

const SHARDS: u64 = 64;
/// Marks ids that are not the backing file's inode number.
const OWN_ID: u64 = 1 << 63;
/// Names remembered for a hard-linked file beyond the first; the oldest gives way.
const MORE_NAMES: usize = 16;

/// What makes two backing files the same one. The birth time tells a file from an earlier one whose
/// inode number it was given; it is 0 where the backing file system keeps none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) ino: u64,
    pub(super) dev: u32,
    pub(super) born: i64,
}

impl Identity {
    /// The identity that a statx(2) with `STATX_BTIME` found. A Linux device number has 12 + 20 bits.
    pub(super) fn of(stat: &Statx) -> Self {
        let born = stat.stx_btime;
        Self {
            ino: stat.stx_ino,
            dev: stat.stx_dev_major << 20 | stat.stx_dev_minor,
            born: born
                .tv_sec
                .wrapping_mul(1_000_000_000)
                .wrapping_add(i64::from(born.tv_nsec)),
        }
    }

    /// Tells the kernel's inodes apart should a node id be used again.
    pub(super) fn generation(self) -> Generation {
        Generation(self.born.cast_unsigned())
    }
}

/// A name by which a node was found.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) parent: u64,
    pub(super) name: Arc<CStr>,
}

impl Link {
    fn new(parent: u64, name: &OsStr) -> Self {
        // Names come NUL-terminated from the kernel; one with a NUL inside cannot have been found.
        let name = CString::new(name.as_bytes()).unwrap_or_default();
        Self {
            parent,
            name: name.into(),
        }
    }

    fn is(&self, parent: u64, name: &OsStr) -> bool {
        self.parent == parent && self.name.to_bytes() == name.as_bytes()
    }
}

#[derive(Debug, Default)]
struct MoreLinks(Vec<Link>);

#[derive(Debug)]
struct Node {
    link: Link,
    /// Boxed, because few files have several names and every node pays for the space.
    more: Option<Box<MoreLinks>>,
    ino: u64,
    born: i64,
    lookups: u64,
    dev: u32,
    directory: bool,
}

impl Node {
    fn identity(&self) -> Identity {
        Identity {
            ino: self.ino,
            dev: self.dev,
            born: self.born,
        }
    }

    fn add_link(&mut self, parent: u64, name: &OsStr, keep_old: bool) {
        if self.link.is(parent, name) {
            return;
        }
        let old = std::mem::replace(&mut self.link, Link::new(parent, name));
        if !keep_old {
            self.more = None;
            return;
        }
        let MoreLinks(more) = &mut **self.more.get_or_insert_default();
        more.retain(|link| !link.is(parent, name));
        if more.len() >= MORE_NAMES {
            more.remove(0);
        }
        more.push(old);
    }

    fn replace_link(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) {
        if self.link.is(from.0, from.1) {
            self.link = Link::new(to.0, to.1);
            return;
        }
        let MoreLinks(more) = &mut **self.more.get_or_insert_default();
        more.retain(|link| !link.is(from.0, from.1));
        self.add_link(to.0, to.1, true);
    }
}

/// What is needed to reach a node.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) identity: Identity,
    pub(super) directory: bool,
    pub(super) link: Link,
    /// An open descriptor of the file, if it has any: it reaches the file whatever became of its names.
    pub(super) open: Option<Arc<OwnedFd>>,
}

/// Node ids are inode numbers or counters, so one multiplication spreads them.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

#[derive(Clone, Copy, Debug)]
struct OwnId {
    id: u64,
    born: i64,
}

#[derive(Default)]
struct Shard {
    nodes: IdMap<u64, Node>,
    /// Ids of files that could not have their inode number as id. They outlive the node, so that a file does
    /// not change its number because it was forgotten; the next file with the inode number replaces them.
    own_ids: IdMap<(u32, u64), OwnId>,
    open: IdMap<u64, Vec<Arc<OwnedFd>>>,
    next_own_id: u64,
}

impl Shard {
    /// The id of a file, and whether a node has it already. `plain` says that its inode number may be its id.
    fn id_for(&mut self, identity: Identity, plain: bool) -> (u64, bool) {
        let key = (identity.dev, identity.ino);
        if let Some(own) = self.own_ids.get(&key)
            && own.born == identity.born
        {
            return (own.id, self.nodes.contains_key(&own.id));
        }
        if plain {
            match self.nodes.get(&identity.ino) {
                None => {
                    self.own_ids.remove(&key);
                    return (identity.ino, false);
                }
                Some(node) if node.identity() == identity => return (identity.ino, true),
                Some(_) => {}
            }
        }
        self.next_own_id += 1;
        let id = OWN_ID | (self.next_own_id * SHARDS) | (identity.ino % SHARDS);
        let born = identity.born;
        self.own_ids.insert(key, OwnId { id, born });
        (id, false)
    }
}

/// All nodes except the root, which is always known.
pub(super) struct Nodes {
    root: Identity,
    shards: Vec<Mutex<Shard>>,
}

impl std::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nodes")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl Nodes {
    pub(super) fn new(root: Identity) -> Self {
        Self {
            root,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Both kinds of id keep the inode number's low bits.
    fn shard(&self, id: u64) -> &Mutex<Shard> {
        let index = usize::try_from(id % SHARDS).unwrap_or_default();
        &self.shards[index]
    }

    /// Notes that the kernel is about to be told of this file under this name, and returns its node id.
    ///
    /// The id is the inode number where possible: stat(2) then shows what readdir(2) shows, and the
    /// same number again after the node was forgotten.
    pub(super) fn learn(&self, parent: u64, name: &OsStr, stat: &Statx) -> u64 {
        let identity = Identity::of(stat);
        if identity == self.root {
            return ROOT;
        }
        let plain = identity.dev == self.root.dev && identity.ino > ROOT && identity.ino < OWN_ID;
        let mut shard = self.shard(identity.ino).lock();
        let (id, known) = shard.id_for(identity, plain);
        if !known {
            let directory = super::attributes::is_directory(stat);
            let node = Node {
                link: Link::new(parent, name),
                more: None,
                ino: identity.ino,
                born: identity.born,
                lookups: 1,
                dev: identity.dev,
                directory,
            };
            shard.nodes.insert(id, node);
        } else if let Some(node) = shard.nodes.get_mut(&id) {
            node.lookups += 1;
            node.add_link(parent, name, stat.stx_nlink > 1 && !node.directory);
        }
        id
    }

    /// The number that readdir(2) shows for a file: its node id, should it be looked up.
    pub(super) fn shown_id(&self, ino: u64) -> u64 {
        if ino == self.root.ino {
            return ROOT;
        }
        let shard = self.shard(ino).lock();
        if shard.own_ids.is_empty() {
            ino
        } else {
            shard
                .own_ids
                .get(&(self.root.dev, ino))
                .map_or(ino, |own| own.id)
        }
    }

    /// Notes that the file that is now called `to` was called `from`.
    pub(super) fn renamed(&self, stat: &Statx, from: (u64, &OsStr), to: (u64, &OsStr)) {
        let identity = Identity::of(stat);
        let mut shard = self.shard(identity.ino).lock();
        let own = shard.own_ids.get(&(identity.dev, identity.ino));
        let own = own.map(|own| own.id);
        for id in own.into_iter().chain([identity.ino]) {
            if let Some(node) = shard.nodes.get_mut(&id)
                && node.identity() == identity
            {
                node.replace_link(from, to);
                return;
            }
        }
    }

    /// Takes `count` look-ups back; says whether a directory is no longer known.
    pub(super) fn forget(&self, id: u64, count: u64) -> bool {
        let mut shard = self.shard(id).lock();
        let Some(node) = shard.nodes.get_mut(&id) else {
            return false;
        };
        node.lookups = node.lookups.saturating_sub(count);
        if node.lookups > 0 {
            return false;
        }
        let directory = node.directory;
        shard.nodes.remove(&id);
        directory
    }

    /// How to reach a node that is not the root.
    pub(super) fn known(&self, id: u64) -> Answer<Known> {
        let shard = self.shard(id).lock();
        let node = shard.nodes.get(&id).ok_or(Errno::STALE)?;
        let open = shard.open.get(&id).and_then(|files| files.last().cloned());
        Ok(Known {
            identity: node.identity(),
            directory: node.directory,
            link: node.link.clone(),
            open,
        })
    }

    /// Drops a name that no longer leads to the node and returns the next one to try.
    pub(super) fn next_link(&self, id: u64, stale: &Link) -> Answer<Link> {
        let mut shard = self.shard(id).lock();
        let node = shard.nodes.get_mut(&id).ok_or(Errno::STALE)?;
        let same = |link: &Link| link.parent == stale.parent && link.name == stale.name;
        if !same(&node.link) {
            return Ok(node.link.clone());
        }
        let next = node
            .more
            .as_mut()
            .and_then(|more| more.0.pop())
            .ok_or(Errno::STALE)?;
        node.link = next.clone();
        Ok(next)
    }

    /// Keeps an open file; its descriptor number is the handle.
    pub(super) fn add_open(&self, id: u64, file: OwnedFd) -> FileHandle {
        let handle = FileHandle(u64::from(file.as_raw_fd().cast_unsigned()));
        self.shard(id)
            .lock()
            .open
            .entry(id)
            .or_default()
            .push(Arc::new(file));
        handle
    }

    /// The open file behind a handle of this node.
    pub(super) fn open_file(&self, id: u64, handle: FileHandle) -> Answer<Arc<OwnedFd>> {
        let shard = self.shard(id).lock();
        let files = shard.open.get(&id).ok_or(Errno::BADF)?;
        files
            .iter()
            .find(|file| is_handle(file, handle))
            .cloned()
            .ok_or(Errno::BADF)
    }

    /// Gives an open file back; it closes when its last user is done.
    pub(super) fn remove_open(&self, id: u64, handle: FileHandle) -> Option<Arc<OwnedFd>> {
        let mut shard = self.shard(id).lock();
        let files = shard.open.get_mut(&id)?;
        let index = files.iter().position(|file| is_handle(file, handle))?;
        let file = files.swap_remove(index);
        if files.is_empty() {
            shard.open.remove(&id);
        }
        Some(file)
    }
}

fn is_handle(file: &Arc<OwnedFd>, handle: FileHandle) -> bool {
    u64::from(file.as_raw_fd().cast_unsigned()) == handle.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(shard: &mut Shard, id: u64, identity: Identity) {
        let node = Node {
            link: Link::new(ROOT, OsStr::new("name")),
            more: None,
            ino: identity.ino,
            born: identity.born,
            lookups: 1,
            dev: identity.dev,
            directory: false,
        };
        shard.nodes.insert(id, node);
    }

    #[test]
    fn a_file_keeps_its_number_when_it_was_forgotten() {
        let mut shard = Shard::default();
        let [first, second, third] = [1, 2, 3].map(|born| Identity {
            ino: 64,
            dev: 0,
            born,
        });
        assert_eq!(shard.id_for(first, true), (64, false));
        insert(&mut shard, 64, first);
        // The first is gone, and the kernel has not forgotten it yet.
        let (own, known) = shard.id_for(second, true);
        assert!(own != 64 && !known);
        assert_eq!(shard.id_for(second, true), (own, false));
        shard.nodes.remove(&64);
        assert_eq!(shard.id_for(second, true), (own, false));
        insert(&mut shard, own, second);
        assert_eq!(shard.id_for(second, true), (own, true));
        // A third, with the second not forgotten yet, may have the inode number.
        assert_eq!(shard.id_for(third, true), (64, false));
        assert_eq!(shard.id_for(third, true), (64, false));
    }
}
