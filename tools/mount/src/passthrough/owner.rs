//! New objects belong to the caller.
//!
//! A privileged process takes on the caller's file system user and group around the creating call,
//! which Linux keeps per thread; so the object never belongs to anybody else, setgid directories hand
//! down their group, and quotas count. Changing the user drops the file system capabilities, so they
//! are raised again: who may create here was decided before the request came, with the caller's
//! supplementary groups, which are not known any more. setfsuid(2), capabilities(7).

use fuser::Request;
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// Who the process is, and whether it can create on behalf of others.
#[derive(Debug)]
pub(super) struct Owner {
    uid: Uid,
    gid: Gid,
    /// What to raise again after the user changed; `None` in a process that cannot change it.
    powers: Option<CapabilitySets>,
}

impl Owner {
    pub(super) fn of_process() -> Self {
        let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
        let powers = capabilities(None)
            .ok()
            .filter(|powers| powers.effective.contains(needed));
        Self {
            uid: Uid::effective(),
            gid: Gid::effective(),
            powers,
        }
    }

    /// Runs `create` so that what it creates belongs to the caller. Costs nothing when the caller is
    /// who the process is.
    pub(super) fn create_as<T>(&self, request: &Request, create: impl FnOnce() -> T) -> T {
        let (uid, gid) = (Uid::from_raw(request.uid()), Gid::from_raw(request.gid()));
        let same = uid == self.uid && gid == self.gid;
        match self.powers {
            Some(powers) if !same => {
                let _restore = self.take_on(uid, gid, powers);
                create()
            }
            _ => create(),
        }
    }

    fn take_on(&self, uid: Uid, gid: Gid, powers: CapabilitySets) -> Restore {
        let restore = Restore {
            uid: self.uid,
            gid: self.gid,
        };
        setfsgid(gid);
        if uid != self.uid {
            setfsuid(uid);
            // Raising what is still permitted cannot fail; if it did, the backing file system would refuse.
            let _ = set_capabilities(None, powers);
        }
        restore
    }
}

/// Gives the thread its own user and group back, also when the work in between panics.
struct Restore {
    uid: Uid,
    gid: Gid,
}

impl Drop for Restore {
    fn drop(&mut self) {
        setfsuid(self.uid);
        setfsgid(self.gid);
    }
}
