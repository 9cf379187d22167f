//! Says of a path whether its mount is served, and if not, why: for `finesse-doctor`.
//!
//! The mount table is read here once more, for what the forwarding way need not know: the
//! type of the file system, and which option or which mount below is in the way.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use procfs::process::MountInfo;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use thiserror::Error;

use crate::discovery::{NotServed, ask};
use crate::mounts::{Mounts, table};

/// How long a mount may take over each of the two questions put to it.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is known of the mount that a path is on.
#[derive(Debug)]
pub struct Inspection {
    /// Where it is mounted, in this process's terms.
    pub mountpoint: PathBuf,
    /// Type of the file system, such as `ext4` or `fuse.sshfs`.
    pub fs_type: String,
    /// What is mounted, if the table says.
    pub source: Option<String>,
    /// Whether changes are refused (`EROFS`): the kernel answers them.
    pub read_only: bool,
    /// Why calls below it stay with the kernel; none when Finesse serves them.
    pub obstacle: Option<Obstacle>,
}

/// Why a mount is left to the kernel.
#[derive(Debug, Error)]
pub enum Obstacle {
    /// It is no FUSE mount.
    #[error("it is not a FUSE file system")]
    NotFuse,
    /// It shows a part of its file system only: the runtime knows the whole.
    #[error("it is a bind mount of the file system's directory {0}")]
    Part(String),
    /// Under this option only the kernel gives the right answers.
    #[error("its mount option {0} is one that only the kernel observes")]
    Option(&'static str),
    /// Other mounts lie inside it, and the runtime does not know them.
    #[error("another file system is mounted inside it, on {}", .0.display())]
    MountBelow(PathBuf),
    /// It did not answer in time.
    #[error("its file system did not answer within {} s", PATIENCE.as_secs())]
    Hung,
    /// It was asked, and there was no way in.
    #[error(transparent)]
    NotServed(#[from] NotServed),
}

/// Why nothing is known of a path's mount.
#[derive(Debug, Error)]
pub enum InspectError {
    /// The path does not lead anywhere, or may not be followed.
    #[error("cannot follow the path: {0}")]
    Path(io::Error),
    /// The mount table cannot be read.
    #[error("cannot read the mount table: {0}")]
    Table(io::Error),
    /// The path's mount is not in the table.
    #[error("its mount is not in this process's mount table")]
    Unlisted,
}

/// Looks at the mount that `path` is on, and asks it whether Finesse serves it.
///
/// Takes some seconds at most: when the file system does not answer, a thread is left
/// behind that waits for it, possibly in a state that not even a signal ends. The process
/// can then end in full only once the file system answers or is aborted.
///
/// # Errors
/// [`InspectError`] when the path's mount cannot be told at all.
pub fn inspect(path: &Path) -> Result<Inspection, InspectError> {
    let path = std::path::absolute(path).map_err(InspectError::Path)?;
    let table = table::read().map_err(InspectError::Table)?;
    let followed = path.clone();
    let Some(id) = within(PATIENCE, move || mount_id(&followed)) else {
        // The way to the path asks a hung file system: most likely the one that the
        // path's text leads to.
        let info = lexically(&table, &path).ok_or(InspectError::Unlisted)?;
        return Ok(Inspection::new(info, Some(Obstacle::Hung)));
    };
    let id = match id {
        Ok(id) => id,
        Err(error) => return refused(&table, &path, error),
    };
    let info = by_id(&table, id).ok_or(InspectError::Unlisted)?;
    let obstacle = standing_obstacle(info, &table).or_else(|| ask_in_time(id));
    Ok(Inspection::new(info, obstacle))
}

/// A FUSE mount of somebody else's, or one whose process has ended, does not let us reach
/// even its root.
fn refused(table: &[MountInfo], path: &Path, error: io::Error) -> Result<Inspection, InspectError> {
    let by_mount = matches!(
        error.raw_os_error(),
        Some(libc::EACCES | libc::ENOTCONN | libc::ECONNABORTED)
    );
    match lexically(table, path) {
        Some(info) if by_mount && table::is_fuse(info) => {
            let obstacle = Obstacle::NotServed(NotServed::Io(error));
            Ok(Inspection::new(info, Some(obstacle)))
        }
        _ => Err(InspectError::Path(error)),
    }
}

impl Inspection {
    fn new(info: &MountInfo, obstacle: Option<Obstacle>) -> Self {
        let read_only = |options: &std::collections::HashMap<_, _>| options.contains_key("ro");
        Inspection {
            mountpoint: info.mount_point.clone(),
            fs_type: info.fs_type.clone(),
            source: info.mount_source.clone(),
            read_only: read_only(&info.mount_options) || read_only(&info.super_options),
            obstacle,
        }
    }
}

/// The id of the mount that a path leads to.
fn mount_id(path: &Path) -> io::Result<u64> {
    let at = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let found = statx(CWD, path, at, StatxFlags::MNT_ID)?;
    Ok(found.stx_mnt_id)
}

fn by_id(table: &[MountInfo], id: u64) -> Option<&MountInfo> {
    table
        .iter()
        .find(|info| u64::try_from(info.mnt_id).is_ok_and(|known| known == id))
}

/// The mount with the longest mountpoint above `path`; of several there, the last.
fn lexically<'t>(table: &'t [MountInfo], path: &Path) -> Option<&'t MountInfo> {
    table
        .iter()
        .filter(|info| path.starts_with(&info.mount_point))
        .max_by_key(|info| info.mount_point.components().count())
}

/// What the mount table alone says against bypassing, in the order in which calls meet it
/// (`mounts::resolve`).
fn standing_obstacle(info: &MountInfo, all: &[MountInfo]) -> Option<Obstacle> {
    if !table::is_fuse(info) {
        return Some(Obstacle::NotFuse);
    }
    if info.root != "/" {
        return Some(Obstacle::Part(info.root.clone()));
    }
    if let Some(option) = table::kernel_only(info) {
        return Some(Obstacle::Option(option));
    }
    table::mount_below(info, all).map(|below| Obstacle::MountBelow(below.mount_point.clone()))
}

/// Goes the supervisor's way to the runtime of the mount `id`, up to an open session.
fn ask_in_time(id: u64) -> Option<Obstacle> {
    let asking = move || {
        let snapshot = Mounts::new().current();
        let mount = snapshot.by_id(id).ok_or(NotServed::Moved)?;
        ask(id, &mount.mountpoint, mount.door.device()).map(drop)
    };
    match within(PATIENCE, asking) {
        None => Some(Obstacle::Hung),
        Some(answer) => answer.err().map(Obstacle::NotServed),
    }
}

/// The result of `work`, done by another thread; none when it takes longer than `limit`.
fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(limit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &[&str]) -> Vec<MountInfo> {
        let parse = |line: &&str| table::plain(MountInfo::from_line(line).unwrap());
        lines.iter().map(parse).collect()
    }

    #[test]
    fn the_longest_mountpoint_wins_and_of_two_the_later() {
        let table = table(&[
            "1 0 8:1 / / rw - ext4 /dev/a rw",
            "2 1 0:40 / /mnt/a rw - fuse one rw",
            "3 2 0:41 / /mnt/a rw - fuse two rw",
        ]);
        let id = |path| lexically(&table, Path::new(path)).unwrap().mnt_id;
        assert_eq!(id("/mnt/a/x"), 3);
        assert_eq!(id("/mnt/ab"), 1);
    }

    #[test]
    fn names_are_plain() {
        let table = table(&[r"1 0 8:1 / /mnt/a\040b\134040 rw - ext4 /dev/a rw"]);
        assert_eq!(table[0].mount_point, Path::new(r"/mnt/a b\040"));
    }

    #[test]
    fn the_table_names_what_is_in_the_way() {
        let table = table(&[
            "1 0 8:1 / / rw - ext4 /dev/a rw",
            "2 1 0:40 /sub /a rw - fuse.x s rw",
            "3 1 0:41 / /b rw,nosymfollow - fuse s rw",
            "4 1 0:42 / /c rw - fuse s rw",
            "5 4 0:43 / /c/below rw - tmpfs s rw",
            "6 1 0:44 / /d ro - fuse s rw",
        ]);
        let obstacle = |id| standing_obstacle(by_id(&table, id).unwrap(), &table);
        assert!(matches!(obstacle(1), Some(Obstacle::NotFuse)));
        assert!(matches!(obstacle(2), Some(Obstacle::Part(root)) if root == "/sub"));
        assert!(matches!(obstacle(3), Some(Obstacle::Option("nosymfollow"))));
        assert!(
            matches!(obstacle(4), Some(Obstacle::MountBelow(at)) if at == Path::new("/c/below"))
        );
        assert!(obstacle(6).is_none());
        assert!(Inspection::new(by_id(&table, 6).unwrap(), None).read_only);
    }

    #[test]
    fn a_closed_fuse_mount_is_still_named() {
        let table = table(&[
            "1 0 8:1 / / rw - ext4 /dev/a rw",
            "2 1 0:40 / /a rw - fuse s rw",
        ]);
        let refused = |path, errno| {
            let error = io::Error::from_raw_os_error(errno);
            super::refused(&table, Path::new(path), error)
        };
        let found = refused("/a/x", libc::EACCES).unwrap();
        assert_eq!(found.mountpoint, Path::new("/a"));
        assert!(refused("/a/x", libc::ENOENT).is_err());
        assert!(refused("/b", libc::EACCES).is_err());
    }

    #[test]
    fn proc_is_no_fuse_mount() {
        let inspection = inspect(Path::new("/proc/self")).unwrap();
        assert_eq!(inspection.fs_type, "proc");
        assert!(matches!(inspection.obstacle, Some(Obstacle::NotFuse)));
    }

    #[test]
    fn a_missing_path_is_an_error() {
        let error = inspect(Path::new("/proc/nothing-here")).unwrap_err();
        assert!(matches!(error, InspectError::Path(_)));
    }

    #[test]
    fn slow_work_is_given_up() {
        let slow = || std::thread::sleep(Duration::from_secs(5));
        assert_eq!(within(Duration::from_millis(20), slow), None);
        assert_eq!(within(Duration::from_secs(5), || 7), Some(7));
    }
}
