//! The kernel door on a real mount, through the public API alone. Skipped without
//! /dev/fuse.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use finesse_fuse::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation,
    INodeNo, InitFlags, KernelConfig, ReplyAttr, ReplyDirectory, ReplyEmpty, ReplyEntry, Request,
    spawn_mount,
};

const TTL: Duration = Duration::from_secs(3600);
const DOOR: &str = ".finesse-door";

/// Directories in the root, and names that behave in a special way.
#[derive(Default)]
struct Directories {
    names: Mutex<BTreeSet<OsString>>,
    destroyed: Arc<AtomicBool>,
    wanted: Option<InitFlags>,
}

fn directory(ino: u64) -> FileAttr {
    FileAttr {
        ino: INodeNo(ino),
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: FileType::Directory,
        perm: 0o755,
        nlink: 2,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 512,
        flags: 0,
    }
}

fn node_of(name: &OsStr) -> u64 {
    1_000 + name.len() as u64
}

impl Directories {
    fn names(&self) -> std::sync::MutexGuard<'_, BTreeSet<OsString>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filesystem for Directories {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        config
            .add_capabilities(self.wanted.unwrap_or(InitFlags::empty()))
            .map_err(|missing| io::Error::other(format!("{missing:?}")))
    }

    fn destroy(&mut self) {
        self.destroyed.store(true, Ordering::SeqCst);
    }

    fn lookup(&self, _req: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match name.to_str() {
            Some("unanswered") => drop(reply),
            Some("late") => {
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(20));
                    reply.entry(&TTL, &directory(77), Generation(0));
                });
            }
            _ if self.names().contains(name) => {
                reply.entry(&TTL, &directory(node_of(name)), Generation(0));
            }
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &directory(ino.0));
    }

    fn mkdir(
        &self,
        _req: &Request,
        _parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        self.names().insert(name.to_owned());
        reply.entry(&TTL, &directory(node_of(name)), Generation(0));
    }

    fn rmdir(&self, _req: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        if self.names().remove(name) {
            reply.ok();
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn readdir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let names = self.names();
        for (at, name) in (1_u64..)
            .zip(names.iter())
            .skip_while(|(at, _)| *at <= offset)
        {
            if reply.add(INodeNo(node_of(name)), at, FileType::Directory, name) {
                break;
            }
        }
        reply.ok();
    }
}

/// Mounts in a fresh directory, unless there is no FUSE here.
fn mount(fs: Directories) -> Option<(tempfile::TempDir, BackgroundSession)> {
    if !Path::new("/dev/fuse").exists() {
        eprintln!("skipped: no /dev/fuse");
        return None;
    }
    let at = tempfile::tempdir().unwrap();
    let session = spawn_mount(fs, at.path(), &Config::default()).unwrap();
    Some((at, session))
}

#[test]
fn the_door_is_a_link_that_nothing_changes_and_no_listing_shows() {
    let destroyed = Arc::new(AtomicBool::new(false));
    let Some((at, session)) = mount(Directories {
        destroyed: Arc::clone(&destroyed),
        ..Directories::default()
    }) else {
        return;
    };
    let door = at.path().join(DOOR);

    let target = fs::read_link(&door).unwrap();
    let door_text = target.to_str().unwrap();
    door_text.parse::<finesse_wire::Door>().unwrap();
    let shown = fs::symlink_metadata(&door).unwrap();
    assert!(shown.file_type().is_symlink());
    assert_eq!(shown.len(), door_text.len() as u64);

    let code = |result: io::Result<()>| result.unwrap_err().raw_os_error();
    assert_eq!(code(fs::remove_file(&door)), Some(libc::EPERM));
    assert_eq!(code(fs::remove_dir(&door)), Some(libc::ENOTDIR));
    assert_eq!(code(fs::create_dir(&door)), Some(libc::EEXIST));
    fs::create_dir(at.path().join("d")).unwrap();
    let other = at.path().join("d");
    assert_eq!(
        code(fs::rename(&door, at.path().join("x"))),
        Some(libc::EPERM)
    );
    assert_eq!(
        code(fs::hard_link(&door, at.path().join("x"))),
        Some(libc::EPERM)
    );
    assert_eq!(
        code(std::os::unix::fs::symlink("t", &door)),
        Some(libc::EEXIST)
    );
    // In another directory the name is the file system's.
    let elsewhere = fs::symlink_metadata(other.join(DOOR)).unwrap_err();
    assert_eq!(elsewhere.raw_os_error(), Some(libc::ENOENT));

    let listed: Vec<_> = fs::read_dir(at.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(listed, ["d"]);

    session.umount_and_join().unwrap();
    assert!(destroyed.load(Ordering::SeqCst));
    assert!(fs::read_link(&door).is_err());
}

#[test]
fn replies_may_come_late_or_never() {
    let Some((at, session)) = mount(Directories::default()) else {
        return;
    };
    let late = fs::symlink_metadata(at.path().join("late")).unwrap();
    assert!(late.is_dir());
    let never = fs::symlink_metadata(at.path().join("unanswered")).unwrap_err();
    assert_eq!(never.raw_os_error(), Some(libc::EIO));
    // The gates of both look-ups were left.
    fs::create_dir(at.path().join("made")).unwrap();
    fs::remove_dir(at.path().join("made")).unwrap();
    session.umount_and_join().unwrap();
}

#[test]
fn with_write_back_caching_the_kernel_door_is_the_only_one() {
    let Some((at, session)) = mount(Directories {
        wanted: Some(InitFlags::FUSE_WRITEBACK_CACHE),
        ..Directories::default()
    }) else {
        return;
    };
    let door = fs::symlink_metadata(at.path().join(DOOR)).unwrap_err();
    assert_eq!(door.raw_os_error(), Some(libc::ENOENT));
    session.umount_and_join().unwrap();
}

#[test]
fn a_dropped_session_is_unmounted() {
    let destroyed = Arc::new(AtomicBool::new(false));
    let Some((at, session)) = mount(Directories {
        destroyed: Arc::clone(&destroyed),
        ..Directories::default()
    }) else {
        return;
    };
    fs::create_dir(at.path().join("d")).unwrap();
    drop(session);
    for _ in 0..500 {
        if destroyed.load(Ordering::SeqCst) {
            assert_eq!(fs::read_dir(at.path()).unwrap().count(), 0);
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the file system was not destroyed");
}
