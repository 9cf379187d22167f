//! Who asks, reduced to what checks read.

use finesse_wire::{Credentials, Request};

use crate::backend::{CallId, Caller};

/// capabilities(7), by number.
pub(super) const CAP_CHOWN: u32 = 0;
pub(super) const CAP_DAC_OVERRIDE: u32 = 1;
pub(super) const CAP_DAC_READ_SEARCH: u32 = 2;
pub(super) const CAP_FOWNER: u32 = 3;
pub(super) const CAP_FSETID: u32 = 4;
pub(super) const CAP_SYS_ADMIN: u32 = 21;
pub(super) const CAP_MKNOD: u32 = 27;

/// The caller of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'c> {
    /// File system user id.
    pub(super) uid: u32,
    /// File system group id.
    pub(super) gid: u32,
    /// Effective capabilities.
    pub(super) capabilities: u64,
    /// Supplementary groups.
    pub(super) groups: &'c [u32],
    /// Thread group id.
    pub(super) pid: u32,
    /// umask(2).
    pub(super) umask: u32,
    /// The request.
    pub(super) call: CallId,
}

impl<'c> Subject<'c> {
    pub(super) fn new(credentials: &'c Credentials, request: &Request<'_>, call: CallId) -> Self {
        Subject {
            uid: credentials.fsuid(),
            gid: credentials.fsgid(),
            capabilities: credentials.capabilities,
            groups: &credentials.groups,
            pid: request.pid,
            umask: request.umask.into(),
            call,
        }
    }

    /// Whom the file system sees.
    pub(super) fn caller(&self) -> Caller {
        Caller {
            uid: self.uid,
            gid: self.gid,
            pid: self.pid,
            call: self.call,
        }
    }

    /// capable(): whether a capability is effective.
    pub(super) fn can(&self, capability: u32) -> bool {
        self.capabilities >> capability & 1 == 1
    }

    /// in_group_p().
    pub(super) fn in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }

    /// inode_owner_or_capable().
    pub(super) fn owns(&self, owner: u32) -> bool {
        self.uid == owner || self.can(CAP_FOWNER)
    }

    /// in_group_or_capable(), which lets a setgid bit stand.
    pub(super) fn keeps_setgid(&self, gid: u32) -> bool {
        self.in_group(gid) || self.can(CAP_FSETID)
    }
}
