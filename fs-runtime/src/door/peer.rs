//! Who is at the other end of a session's socket, and for whom it may speak.

use std::io;
use std::os::fd::AsFd;

use finesse_wire::Credentials;
use fuser::SessionACL;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::MountFacts;
use super::peer_groups::peer_groups;
use crate::vfs::Bases;

/// A peer, as the kernel attests it.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl Peer {
    /// The peer of a connected socket, as it was when it connected.
    pub(super) fn of(socket: &impl AsFd) -> io::Result<Self> {
        let credentials = getsockopt(socket, PeerCredentials)?;
        Ok(Peer {
            uid: credentials.uid(),
            gid: credentials.gid(),
            groups: peer_groups(socket.as_fd())?,
        })
    }

    /// Whether the mount may be used by this peer at all.
    pub(super) fn may_connect(&self, mount: &MountFacts) -> bool {
        mount.allow == SessionACL::All || self.is_trusted(mount)
    }

    /// Which nodes its requests may start from.
    pub(super) fn bases(&self, mount: &MountFacts) -> Bases {
        if self.is_trusted(mount) {
            Bases::Any
        } else {
            Bases::Root
        }
    }

    /// Whether it may register a caller with these credentials. Root may speak for
    /// everybody, all others for themselves.
    pub(super) fn speaks_for(&self, who: &Credentials) -> bool {
        self.uid == 0
            || who.uids == [self.uid; 4]
                && who.gids.iter().all(|gid| self.has_group(*gid))
                && who.groups.iter().all(|gid| self.has_group(*gid))
                && who.capabilities == 0
    }

    fn is_trusted(&self, mount: &MountFacts) -> bool {
        self.uid == 0 || self.uid == mount.owner_uid
    }

    fn has_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

#[cfg(test)]
impl Peer {
    pub(super) fn fake(uid: u32, gid: u32, groups: &[u32]) -> Self {
        Peer {
            uid,
            gid,
            groups: groups.to_vec(),
        }
    }
}
