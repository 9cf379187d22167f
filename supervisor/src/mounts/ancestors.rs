//! May this caller search the directories above the mount? The kernel would ask that for
//! each path; here it is asked only where the answer is not known.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::snapshot::{Mount, look};
use crate::reason::Reason;
use crate::targets::Identity;

/// `CAP_DAC_OVERRIDE` and `CAP_DAC_READ_SEARCH` (capabilities(7)).
const SEARCH_CAPABILITIES: [u32; 2] = [1, 2];

impl Mount {
    /// Checks the directories from `start` down to the mountpoint, which lies
    /// `components[depth..]` below it.
    ///
    /// Who has the supervisor's credentials may search what the supervisor just has. For
    /// others the directories must be open to everybody.
    pub(super) fn check_ancestors(
        &self,
        identity: &Identity,
        start: &Path,
        depth: usize,
    ) -> Result<(), Reason> {
        let searches_all = SEARCH_CAPABILITIES
            .iter()
            .any(|cap| identity.credentials.has_capability(*cap));
        if identity.is_ours || searches_all {
            return Ok(());
        }
        let mut directory = start.to_owned();
        for component in &self.components[depth..] {
            if !open_to_all(&directory) {
                return Err(Reason::AncestorPermissions);
            }
            directory.push(std::ffi::OsStr::from_bytes(component));
        }
        Ok(())
    }
}

fn open_to_all(directory: &Path) -> bool {
    const SEARCH: u16 = 0o111;
    let mode = look(directory).map(|found| found.stx_mode);
    // An access list may deny a single user what the mode grants to all.
    let mut size = [0; 0];
    let no_acl = rustix::fs::getxattr(directory, "system.posix_acl_access", &mut size[..])
        .is_err_and(|e| e == rustix::io::Errno::NODATA || e == rustix::io::Errno::OPNOTSUPP);
    mode.is_ok_and(|mode| mode & SEARCH == SEARCH) && no_acl
}
