//! The FUSE mounts at one moment.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use procfs::process::MountInfo;
use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, statx};

use super::path_watch::PathWatch;
use super::{table, unique};
use crate::answer::MountFacts;
use crate::discovery::Door;

/// One FUSE mount.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) id: u64,
    /// A number that no later mount has, if known.
    pub(super) unique: Option<u64>,
    pub(crate) mountpoint: PathBuf,
    /// Components of the mountpoint.
    pub(super) components: Vec<Vec<u8>>,
    /// Served by Finesse? Shared by all mounts of one file system.
    pub(crate) door: Arc<Door>,
    /// Whether the mount shows the file system's root.
    pub(super) whole: bool,
    pub(super) read_only: bool,
    /// Options under which only the kernel gives the right answers.
    pub(super) kernel_only: bool,
    pub(super) mounts_below: bool,
    /// Its path leads to it, and the snapshot's watch tells when that changes.
    pub(super) is_steady: bool,
    /// Device number, major and minor.
    pub(crate) device: (u32, u32),
    /// `f_flags` of statfs(2).
    pub(crate) statfs_flags: i64,
}

/// The FUSE mounts at one moment, and the directories above them.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(super) mounts: Vec<Arc<Mount>>,
    /// Directories above mountpoints by (mount id, inode): the mounts below each, and how
    /// many of the mountpoint's components lead to the directory.
    pub(super) above: HashMap<DirectoryId, Vec<(Arc<Mount>, usize)>>,
    /// Watches those directories.
    pub(super) paths: Option<PathWatch>,
}

/// Mount id and inode number of a directory.
type DirectoryId = (u64, u64);

impl Mount {
    /// What the kernel adds to a file system's answers.
    pub(crate) fn facts(&self) -> MountFacts {
        MountFacts {
            device: self.device,
            mount_id: self.id,
            statfs_flags: self.statfs_flags,
        }
    }

    /// Whether nothing can be changed through it.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether its path leads to its root, and a watch tells when that changes.
    pub(crate) fn is_found_by_path(&self) -> bool {
        self.is_steady && self.whole
    }
}

impl Snapshot {
    /// Reads the mount table; file systems known from `old` stay connected.
    pub(super) fn read(old: &Snapshot) -> io::Result<Snapshot> {
        let infos = table::read()?;
        let fuse: Vec<_> = infos
            .iter()
            .filter(|info| table::is_fuse(info))
            .map(|info| unique::number(info, old))
            .collect();
        let mut doors = old.doors(&fuse);
        let mut snapshot = Snapshot {
            paths: PathWatch::new(),
            ..Snapshot::default()
        };
        for (info, unique) in fuse {
            let door = doors
                .entry(info.majmin.clone())
                .or_insert_with(|| Arc::new(Door::new(info.majmin.clone(), false)));
            let mut mount = Mount::new(info, &infos, Arc::clone(door));
            mount.unique = unique;
            let above = mount.directories_above();
            mount.is_steady = snapshot.watch(&mount, &above);
            let mount = Arc::new(mount);
            snapshot.note(&mount, &above);
            snapshot.mounts.push(mount);
        }
        Ok(snapshot)
    }

    /// The doors by device. Device numbers come again: what is over, and what came in between,
    /// is asked anew.
    fn doors(&self, now: &[unique::Numbered<'_>]) -> HashMap<String, Arc<Door>> {
        let door = |mount: &Arc<Mount>| {
            let device = mount.door.device().to_owned();
            let is_over = mount.door.is_over();
            let door = if is_over || !unique::was_there(&device, now, self) {
                Arc::new(Door::new(device.clone(), is_over))
            } else {
                Arc::clone(&mount.door)
            };
            (device, door)
        };
        self.mounts.iter().map(door).collect()
    }

    /// Polls as readable when a path to a mount may have changed; none when nothing is
    /// watched.
    pub(crate) fn path_watch(&self) -> Option<BorrowedFd<'_>> {
        self.paths.as_ref().map(AsFd::as_fd)
    }

    /// Whether a path to a mount may have changed; `is_readable` is what a poll of
    /// [`Snapshot::path_watch`] has just said.
    pub(crate) fn paths_have_changed(&self, is_readable: bool) -> bool {
        self.paths
            .as_ref()
            .is_some_and(|paths| paths.has_changed(is_readable))
    }

    /// The mount with this id.
    pub(crate) fn by_id(&self, id: u64) -> Option<&Arc<Mount>> {
        self.mounts.iter().find(|mount| mount.id == id)
    }

    /// Watches the directories above a mount; true when that succeeds and they lead to it.
    fn watch(&self, mount: &Mount, above: &[PathBuf]) -> bool {
        let Some(paths) = &self.paths else {
            return false;
        };
        // Looked at afterwards: what changes from here on, the watch tells.
        above.iter().all(|directory| paths.watch(directory))
            && look(&mount.mountpoint).is_ok_and(|found| found.stx_mnt_id == mount.id)
    }

    fn note(&mut self, mount: &Arc<Mount>, above: &[PathBuf]) {
        for (depth, directory) in above.iter().enumerate() {
            if let Ok(found) = look(directory) {
                self.above
                    .entry((found.stx_mnt_id, found.stx_ino))
                    .or_default()
                    .push((Arc::clone(mount), depth));
            }
        }
    }
}

/// Mount id, inode, type and links of what a path names, from what the kernel has cached: no
/// file system is asked.
pub(super) fn look(path: impl rustix::path::Arg) -> rustix::io::Result<Statx> {
    look_from(CWD, path)
}

/// As [`look`], from a directory.
pub(super) fn look_from(
    directory: impl AsFd,
    path: impl rustix::path::Arg,
) -> rustix::io::Result<Statx> {
    statx(
        directory,
        path,
        AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT,
        StatxFlags::TYPE
            | StatxFlags::MODE
            | StatxFlags::NLINK
            | StatxFlags::INO
            | StatxFlags::MNT_ID,
    )
}

impl Mount {
    fn new(info: &MountInfo, all: &[MountInfo], door: Arc<Door>) -> Self {
        let mountpoint = info.mount_point.clone();
        let has = |option: &str| info.mount_options.contains_key(option);
        Mount {
            id: u64::try_from(info.mnt_id).unwrap_or(u64::MAX),
            unique: None,
            components: mountpoint
                .as_os_str()
                .as_bytes()
                .split(|byte| *byte == b'/')
                .filter(|component| !component.is_empty())
                .map(<[u8]>::to_vec)
                .collect(),
            mountpoint,
            door,
            whole: info.root == "/",
            read_only: has("ro") || info.super_options.contains_key("ro"),
            kernel_only: table::kernel_only(info).is_some(),
            mounts_below: table::mount_below(info, all).is_some(),
            is_steady: false,
            device: device_number(&info.majmin),
            statfs_flags: statfs_flags(info),
        }
    }

    /// From the root down to the mountpoint's parent.
    fn directories_above(&self) -> Vec<PathBuf> {
        let mut directory = PathBuf::from("/");
        let below = self.components.iter().map(|name| {
            let above = directory.clone();
            directory.push(std::ffi::OsStr::from_bytes(name));
            above
        });
        below.collect()
    }
}

/// `major:minor` of a line in the mount table.
fn device_number(text: &str) -> (u32, u32) {
    let number = |text: &str| text.parse().unwrap_or(0);
    text.split_once(':')
        .map_or((0, 0), |(major, minor)| (number(major), number(minor)))
}

/// `calculate_f_flags` (fs/statfs.c) from the options in the mount table.
fn statfs_flags(info: &MountInfo) -> i64 {
    const VALID: i64 = 0x20;
    [
        ("ro", 0x1),
        ("nosuid", 0x2),
        ("nodev", 0x4),
        ("noexec", 0x8),
        ("noatime", 0x400),
        ("nodiratime", 0x800),
        ("relatime", 0x1000),
        ("nosymfollow", 0x2000),
    ]
    .into_iter()
    .filter(|(option, _)| info.mount_options.contains_key(*option))
    .fold(VALID, |flags, (_, flag)| flags | flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_directory_is_found() {
        let root = look("/").unwrap();
        assert_ne!(root.stx_mnt_id, 0);
        assert!(Snapshot::read(&Snapshot::default()).is_ok());
    }
}
