//! A directory's entries.
//!
//! By name for look-ups, and by cookie for listings: an entry keeps its cookie as long as its name
//! exists, and later names get larger ones, so a listing that goes on from a cookie meets every
//! entry that was there all the time exactly once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Cookies of `.` and `..`; the first entry's is the next.
pub(super) const DOT: u64 = 1;
pub(super) const DOT_DOT: u64 = 2;

#[derive(Debug)]
pub(super) struct Directory {
    by_name: HashMap<Arc<[u8]>, Slot>,
    by_cookie: BTreeMap<u64, Arc<[u8]>>,
    next_cookie: u64,
    pub(super) parent: u64,
    /// Removed: nothing may be created here any more.
    pub(super) dead: bool,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    ino: u64,
    cookie: u64,
}

impl Directory {
    pub(super) fn new(parent: u64) -> Self {
        Self {
            by_name: HashMap::new(),
            by_cookie: BTreeMap::new(),
            next_cookie: DOT_DOT + 1,
            parent,
            dead: false,
        }
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<u64> {
        self.by_name.get(name).map(|slot| slot.ino)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Gives a name to an inode; a name that exists keeps its cookie and is led elsewhere.
    pub(super) fn set(&mut self, name: &[u8], ino: u64) {
        if let Some(slot) = self.by_name.get_mut(name) {
            slot.ino = ino;
            return;
        }
        let name: Arc<[u8]> = name.into();
        let cookie = self.next_cookie;
        self.next_cookie += 1;
        self.by_cookie.insert(cookie, Arc::clone(&name));
        self.by_name.insert(name, Slot { ino, cookie });
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        if let Some(slot) = self.by_name.remove(name) {
            self.by_cookie.remove(&slot.cookie);
        }
    }

    /// The entries after a cookie, in order: cookie, name, inode number.
    pub(super) fn after(&self, cookie: u64) -> impl Iterator<Item = (u64, &[u8], u64)> {
        self.by_cookie
            .range(cookie.saturating_add(1)..)
            .filter_map(|(cookie, name)| Some((*cookie, &**name, self.by_name.get(name)?.ino)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_goes_on_while_entries_come_and_go() {
        let mut directory = Directory::new(1);
        for name in [b"a", b"b", b"c", b"d"] {
            directory.set(name, u64::from(name[0]));
        }
        let first: Vec<_> = directory
            .after(DOT_DOT)
            .take(2)
            .map(|(cookie, ..)| cookie)
            .collect();
        directory.remove(b"a");
        directory.remove(b"c");
        directory.set(b"e", 5);
        directory.set(b"d", 9);
        let rest: Vec<_> = directory
            .after(first[1])
            .map(|(_, name, ino)| (name.to_vec(), ino))
            .collect();
        assert_eq!(rest, [(b"d".to_vec(), 9), (b"e".to_vec(), 5)]);
    }
}
