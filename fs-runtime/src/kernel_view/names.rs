//! Names that the kernel may use without asking.

use super::NameKey;
use super::clock::Millis;
use super::table::{Sweeps, Table};

/// One giving of a name: a later one of the same name is another value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Given {
    expiry: Millis,
    serial: u64,
}

impl Given {
    pub(super) fn expiry(self) -> Millis {
        self.expiry
    }
}

#[derive(Debug)]
pub(super) struct Names {
    table: Table<Given>,
    sweeps: Sweeps,
    cap: usize,
    serial: u64,
    /// Until when names may be alive that found no place.
    untracked: Millis,
}

impl Names {
    pub(super) fn new(cap: usize) -> Self {
        Names {
            table: Table::default(),
            sweeps: Sweeps::new(),
            cap,
            serial: 0,
            untracked: 0,
        }
    }

    /// A shorter time-out does not cut a longer one: a reply that is still on its way may
    /// reach the kernel first or last.
    pub(super) fn gave(&mut self, name: NameKey, expiry: Millis, now: Millis) {
        self.serial += 1;
        let serial = self.serial;
        if let Some(given) = self.table.get_mut(&name.0) {
            given.expiry = given.expiry.max(expiry);
            given.serial = serial;
            return;
        }
        self.sweeps
            .sweep(&mut self.table, |given| given.expiry > now);
        if self.table.len() >= self.cap {
            self.untracked = self.untracked.max(expiry);
        } else {
            self.table.insert(name.0, Given { expiry, serial });
        }
    }

    pub(super) fn alive(&mut self, name: NameKey, now: Millis) -> Option<Given> {
        match self.table.get(&name.0).copied() {
            Some(given) if given.expiry > now => Some(given),
            Some(_) => {
                self.table.remove(&name.0);
                self.untracked(now)
            }
            None => self.untracked(now),
        }
    }

    fn untracked(&self, now: Millis) -> Option<Given> {
        (self.untracked > now).then_some(Given {
            expiry: self.untracked,
            serial: 0,
        })
    }

    /// Forgets that giving, unless another followed.
    pub(super) fn take(&mut self, name: NameKey, given: Given) {
        if self.table.get(&name.0) == Some(&given) {
            self.table.remove(&name.0);
        }
    }

    pub(super) fn drop_name(&mut self, name: NameKey) -> Option<Given> {
        self.table.remove(&name.0)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
