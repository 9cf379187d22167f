//! Tells when a path to a mountpoint may lead elsewhere, or be closed to somebody: when
//! one of the directories above it was renamed or removed, or changed its permissions.
//! What comes over or under a directory as a mount, the mount table tells.
//!
//! The kernel queues an event before the call that caused it returns (`vfs_rename`,
//! `notify_change`), so who sees no event knows that the paths were good a moment ago, as
//! if they had been looked up. That holds where every change passes this kernel's own
//! inodes: not on network file systems, nor on FUSE.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{FsWord, statfs};
use rustix::io::Errno;

/// Magic numbers of statfs(2): ext2 to ext4, XFS, Btrfs, tmpfs, overlay, F2FS, ramfs.
const LOCAL: [FsWord; 7] = [
    0xEF53,
    0x5846_5342,
    0x9123_683E,
    0x0102_1994,
    0x794C_7630,
    0xF2F5_2010,
    0x8584_58F6,
];

/// Watches the directories above some mountpoints: inotify(7).
#[derive(Debug)]
pub(super) struct PathWatch {
    inotify: OwnedFd,
    /// Whether one of them changed.
    changed: Mutex<bool>,
    /// Set before events are taken out of the queue, so that one of queue and flag always
    /// shows that there were some; cleared when they turned out to be harmless.
    suspect: AtomicBool,
}

impl PathWatch {
    /// None where no (further) watch is to be had.
    pub(super) fn new() -> Option<PathWatch> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        Some(PathWatch {
            inotify,
            changed: Mutex::new(false),
            suspect: AtomicBool::new(false),
        })
    }

    /// Watches a directory from now on. False when its changes would not be seen.
    pub(super) fn watch(&self, directory: &Path) -> bool {
        let flags = WatchFlags::MOVE_SELF
            | WatchFlags::DELETE_SELF
            | WatchFlags::ATTRIB
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        statfs(directory).is_ok_and(|fs| LOCAL.contains(&fs.f_type))
            && inotify::add_watch(&self.inotify, directory, flags).is_ok()
    }

    /// Whether a path may have changed; `is_readable` is what a poll of the descriptor has
    /// just said. Once true, it stays true: the paths must be looked up again.
    pub(super) fn has_changed(&self, is_readable: bool) -> bool {
        if !is_readable && !self.suspect.load(Ordering::SeqCst) {
            return false;
        }
        let mut changed = self.changed.lock();
        self.suspect.store(true, Ordering::SeqCst);
        *changed |= self.read();
        self.suspect.store(*changed, Ordering::SeqCst);
        *changed
    }

    /// Empties the queue; true when there was something about a watched directory itself.
    fn read(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut alarmed = false;
        loop {
            match reader.next() {
                // What has a name happened to something inside the directory.
                Ok(event) => {
                    alarmed |= event.file_name().is_none()
                        || event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                }
                Err(Errno::AGAIN) => return alarmed,
                Err(Errno::INTR) => {}
                Err(_) => return true,
            }
        }
    }
}

impl AsFd for PathWatch {
    /// Polls as readable after a change.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    struct Watched {
        directory: tempfile::TempDir,
        watch: PathWatch,
    }

    impl Watched {
        fn new() -> Watched {
            let directory = tempfile::tempdir().unwrap();
            fs::create_dir(directory.path().join("above")).unwrap();
            let watch = PathWatch::new().unwrap();
            assert!(watch.watch(&directory.path().join("above")));
            Watched { directory, watch }
        }

        fn has_changed(&self) -> bool {
            let now = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let mut fds = [PollFd::new(&self.watch, PollFlags::IN)];
            let readable = poll(&mut fds, Some(&now)).unwrap() > 0;
            self.watch.has_changed(readable)
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.directory.path().join(name)
        }
    }

    #[test]
    fn a_renamed_directory_is_seen_for_good() {
        let watched = Watched::new();
        assert!(!watched.has_changed());
        fs::rename(watched.path("above"), watched.path("elsewhere")).unwrap();
        assert!(watched.has_changed());
        assert!(watched.has_changed());
    }

    #[test]
    fn closed_and_removed_directories_are_seen() {
        let watched = Watched::new();
        fs::set_permissions(watched.path("above"), Permissions::from_mode(0o700)).unwrap();
        assert!(watched.has_changed());
        let watched = Watched::new();
        fs::remove_dir(watched.path("above")).unwrap();
        assert!(watched.has_changed());
    }

    #[test]
    fn what_happens_inside_is_harmless() {
        let watched = Watched::new();
        fs::create_dir(watched.path("above/inside")).unwrap();
        fs::set_permissions(watched.path("above/inside"), Permissions::from_mode(0o700)).unwrap();
        fs::rename(watched.path("above/inside"), watched.path("above/other")).unwrap();
        fs::remove_dir(watched.path("above/other")).unwrap();
        assert!(!watched.has_changed());
        assert!(!watched.watch.suspect.load(Ordering::SeqCst));
    }

    #[test]
    fn file_systems_that_change_elsewhere_are_not_watched() {
        assert!(!PathWatch::new().unwrap().watch(Path::new("/proc")));
    }
}
