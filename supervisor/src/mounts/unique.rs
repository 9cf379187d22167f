//! Whether a file system is still the one that was known by its device number: numbers of
//! devices and of mounts come again, and the process behind the last one may hang and so
//! never say that it is over.

use std::path::Path;

use procfs::process::MountInfo;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, openat, statx};

use super::snapshot::Snapshot;

/// `STATX_MNT_ID_UNIQUE` (linux/stat.h, Linux 6.8): a number that never comes again.
const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// A line of the mount table, and the number of its mount that never comes again, if that
/// is to be had: not of a mount that another one covers, nor on an older kernel.
pub(super) type Numbered<'t> = (&'t MountInfo, Option<u64>);

/// The line, numbered: by a look at the mount, or as in `old`.
pub(super) fn number<'t>(info: &'t MountInfo, old: &Snapshot) -> Numbered<'t> {
    let id = u64::try_from(info.mnt_id).unwrap_or(u64::MAX);
    let before = || {
        let mount = old.by_id(id)?;
        (mount.door.device() == info.majmin).then_some(mount.unique)?
    };
    (info, look_at(&info.mount_point, id).or_else(before))
}

/// Both numbers of one mount; opening it does not ask the file system.
fn look_at(mountpoint: &Path, id: u64) -> Option<u64> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, mountpoint, flags, Mode::empty()).ok()?;
    let number = |wanted: StatxFlags| {
        let at = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let found = statx(&root, "", at, wanted).ok()?;
        (found.stx_mask & wanted.bits() != 0).then_some(found.stx_mnt_id)
    };
    (number(StatxFlags::MNT_ID)? == id).then_some(())?;
    number(UNIQUE)
}

/// Whether a mount of `device` was there before; where that cannot be told, yes.
pub(super) fn was_there(device: &str, now: &[Numbered<'_>], old: &Snapshot) -> bool {
    let before = || old.mounts.iter().filter(|it| it.door.device() == device);
    now.iter()
        .filter(|(info, _)| info.majmin == device)
        .any(|(_, unique)| {
            unique.is_none() || before().any(|it| it.unique.is_none() || it.unique == *unique)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_mount_itself_is_numbered() {
        let id = super::super::snapshot::look("/").unwrap().stx_mnt_id;
        assert_eq!(look_at(Path::new("/"), id + 1), None);
        assert_eq!(look_at(Path::new("/"), id), look_at(Path::new("/"), id));
    }
}
