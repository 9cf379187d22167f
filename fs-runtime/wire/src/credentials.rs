//! Who makes a call.

use crate::bytes::{DecodeError, Reader, Writer};

/// Most supplementary groups that travel; `NGROUPS_MAX` is 65,536 (limits.h), callers
/// with more stay with the kernel.
pub const MAX_GROUPS: usize = 1024;

/// The credentials of one thread, as credentials(7) names them.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Credentials {
    /// Real, effective, saved and file system user id.
    pub uids: [u32; 4],
    /// Real, effective, saved and file system group id.
    pub gids: [u32; 4],
    /// Effective capabilities, bit `n` for capability number `n` (capabilities(7)).
    pub capabilities: u64,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Credentials {
    /// The user id that file access is checked with.
    pub fn fsuid(&self) -> u32 {
        self.uids[3]
    }

    /// The group id that file access is checked with.
    pub fn fsgid(&self) -> u32 {
        self.gids[3]
    }

    /// Whether capability number `capability` is effective.
    pub fn has_capability(&self, capability: u32) -> bool {
        capability < 64 && self.capabilities >> capability & 1 == 1
    }

    /// Whether `gid` is the file system group or a supplementary one.
    pub fn in_group(&self, gid: u32) -> bool {
        self.fsgid() == gid || self.groups.contains(&gid)
    }

    pub(crate) fn encode(&self, out: &mut Writer<'_>) {
        for id in self.uids.iter().chain(&self.gids) {
            out.u32(*id);
        }
        out.u64(self.capabilities);
        out.u32(u32::try_from(self.groups.len()).unwrap_or(u32::MAX));
        for gid in &self.groups {
            out.u32(*gid);
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut ids = [0; 8];
        for id in &mut ids {
            *id = from.u32("ids")?;
        }
        let capabilities = from.u64("capabilities")?;
        let count = from.u32("groups")? as usize;
        if count > MAX_GROUPS {
            return Err(DecodeError::TooLong {
                field: "groups",
                len: count,
                max: MAX_GROUPS,
            });
        }
        let groups = (0..count)
            .map(|_| from.u32("groups"))
            .collect::<Result<_, _>>()?;
        let [r, e, s, f, rg, eg, sg, fg] = ids;
        Ok(Credentials {
            uids: [r, e, s, f],
            gids: [rg, eg, sg, fg],
            capabilities,
            groups,
        })
    }
}
