//! What both file systems promise alike.

#![allow(missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;

use nix::fcntl::{FcntlArg, RenameFlags, fcntl, renameat2};
use rustix::fs::{AtFlags, CWD, FallocateFlags, FileType, Mode, SeekFrom, XattrFlags};
use rustix::io::Errno;
use support::on_each;

fn rename_with(from: &Path, to: &Path, flags: RenameFlags) -> nix::Result<()> {
    renameat2(nix::fcntl::AT_FDCWD, from, nix::fcntl::AT_FDCWD, to, flags)
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).expect("directory");
    entries
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .into_string()
                .expect("name")
        })
        .collect()
}

#[test]
fn hard_links_are_one_inode() {
    on_each(|mount| {
        let (a, b) = (mount.path("a"), mount.path("b"));
        fs::write(&a, "one").expect("write");
        fs::hard_link(&a, &b).expect("link");
        let (first, second) = (fs::metadata(&a).expect("a"), fs::metadata(&b).expect("b"));
        assert_eq!(first.ino(), second.ino());
        assert_eq!(second.nlink(), 2);
        fs::remove_file(&a).expect("unlink");
        fs::set_permissions(&b, Permissions::from_mode(0o640))
            .expect("chmod by the name that is left");
        assert_eq!(fs::read_to_string(&b).expect("read"), "one");
        assert_eq!(fs::metadata(&b).expect("b").nlink(), 1);
    });
}

#[test]
fn children_survive_the_renaming_of_their_directory() {
    on_each(|mount| {
        fs::create_dir_all(mount.path("old/deep/er")).expect("mkdir");
        fs::write(mount.path("old/deep/er/file"), "here").expect("write");
        let inside = File::open(mount.path("old/deep/er/file")).expect("open");
        let ino = inside.metadata().expect("stat").ino();
        fs::create_dir(mount.path("other")).expect("mkdir");
        fs::rename(mount.path("old/deep"), mount.path("other/new")).expect("rename");
        let moved = mount.path("other/new/er/file");
        assert_eq!(fs::read_to_string(&moved).expect("read"), "here");
        assert_eq!(fs::metadata(&moved).expect("stat").ino(), ino);
        fs::set_permissions(&moved, Permissions::from_mode(0o600)).expect("chmod");
        assert!(!mount.path("old/deep").exists());
    });
}

#[test]
fn an_open_file_outlives_its_name() {
    on_each(|mount| {
        let path = mount.path("gone");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .expect("create");
        file.write_all(b"before").expect("write");
        fs::remove_file(&path).expect("unlink");
        file.write_all(b" after").expect("write");
        file.set_len(20).expect("truncate");
        file.set_permissions(Permissions::from_mode(0o600))
            .expect("chmod");
        let stat = file.metadata().expect("fstat");
        assert_eq!((stat.nlink(), stat.len()), (0, 20));
        fs::write(&path, "another").expect("the name is free");
        let mut text = [0; 12];
        file.read_exact_at(&mut text, 0).expect("read");
        assert_eq!(&text, b"before after");
        assert_ne!(fs::metadata(&path).expect("stat").ino(), stat.ino());
    });
}

#[test]
fn attributes_are_kept_on_files_directories_and_links() {
    on_each(|mount| {
        let (file, directory, link) = (mount.path("file"), mount.path("dir"), mount.path("link"));
        fs::write(&file, "").expect("write");
        fs::create_dir(&directory).expect("mkdir");
        symlink("nowhere", &link).expect("symlink");
        let mut value = [0; 16];
        for path in [&file, &directory] {
            rustix::fs::lsetxattr(path, "user.key", b"value", XattrFlags::CREATE).expect("set");
            let again = rustix::fs::lsetxattr(path, "user.key", b"value", XattrFlags::CREATE);
            assert_eq!(again, Err(Errno::EXIST));
            assert_eq!(
                rustix::fs::lgetxattr(path, "user.key", &mut value[..]),
                Ok(5)
            );
            assert_eq!(&value[..5], b"value");
            assert_eq!(rustix::fs::lgetxattr_query(path, "user.key"), Ok(5));
            assert_eq!(
                rustix::fs::lgetxattr(path, "user.key", &mut value[..2]),
                Err(Errno::RANGE)
            );
            assert_eq!(rustix::fs::llistxattr(path, &mut value[..]), Ok(9));
            assert_eq!(&value[..9], b"user.key\0");
            rustix::fs::lremovexattr(path, "user.key").expect("remove");
            assert_eq!(
                rustix::fs::lgetxattr(path, "user.key", &mut value[..]),
                Err(Errno::NODATA)
            );
        }
        // Symbolic links have attributes for the superuser only.
        if rustix::process::geteuid().is_root() {
            rustix::fs::lsetxattr(&link, "trusted.key", b"v", XattrFlags::empty()).expect("set");
            assert_eq!(
                rustix::fs::lgetxattr(&link, "trusted.key", &mut value[..]),
                Ok(1)
            );
        }
    });
}

#[test]
fn holes_stay_holes() {
    on_each(|mount| {
        let file = File::create_new(mount.path("sparse")).expect("create");
        file.write_all_at(b"x", 10 << 20).expect("write");
        let stat = file.metadata().expect("stat");
        assert_eq!(stat.len(), (10 << 20) + 1);
        assert!(stat.blocks() < 2048, "{} blocks", stat.blocks());
        assert_eq!(rustix::fs::seek(&file, SeekFrom::Data(0)), Ok(10 << 20));
        assert_eq!(rustix::fs::seek(&file, SeekFrom::Hole(0)), Ok(0));
        file.write_all_at(&[7; 64 << 10], 0).expect("write");
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&file, punch, 8 << 10, 16 << 10).expect("punch");
        let mut file = File::open(mount.path("sparse")).expect("open");
        let mut start = vec![0; 64 << 10];
        file.rewind().expect("rewind");
        file.read_exact(&mut start).expect("read");
        assert!(start[8 << 10..24 << 10].iter().all(|byte| *byte == 0));
        assert!(
            start[..8 << 10]
                .iter()
                .chain(&start[24 << 10..])
                .all(|byte| *byte == 7)
        );
    });
}

#[test]
fn special_files_modes_and_times() {
    on_each(|mount| {
        let fifo = mount.path("fifo");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o622), 0)
            .expect("mknod");
        assert!(fs::metadata(&fifo).expect("stat").file_type().is_fifo());
        let path = mount.path("file");
        fs::write(&path, "x").expect("write");
        fs::set_permissions(&path, Permissions::from_mode(0o4711)).expect("chmod");
        let times = rustix::fs::Timestamps {
            last_access: rustix::fs::Timespec {
                tv_sec: 1_000_000_000,
                tv_nsec: 123_456_789,
            },
            last_modification: rustix::fs::Timespec {
                tv_sec: 5,
                tv_nsec: 6,
            },
        };
        rustix::fs::utimensat(CWD, &path, &times, AtFlags::empty()).expect("utimensat");
        let stat = fs::metadata(&path).expect("stat");
        assert_eq!(stat.mode() & 0o7777, 0o4711);
        assert_eq!(
            (stat.atime(), stat.atime_nsec()),
            (1_000_000_000, 123_456_789)
        );
        assert_eq!((stat.mtime(), stat.mtime_nsec()), (5, 6));
        symlink("some/where", mount.path("link")).expect("symlink");
        assert_eq!(
            fs::read_link(mount.path("link")).expect("readlink"),
            Path::new("some/where")
        );
    });
}

#[test]
fn renames_replace_exchange_or_refuse() {
    on_each(|mount| {
        let (a, b, directory) = (mount.path("a"), mount.path("b"), mount.path("dir"));
        fs::write(&a, "a").expect("write");
        fs::write(&b, "b").expect("write");
        fs::create_dir_all(directory.join("child")).expect("mkdir");
        assert_eq!(
            rename_with(&a, &b, RenameFlags::RENAME_NOREPLACE),
            Err(nix::Error::EEXIST)
        );
        rename_with(&a, &b, RenameFlags::RENAME_EXCHANGE).expect("exchange");
        assert_eq!(fs::read_to_string(&a).expect("read"), "b");
        rename_with(&a, &directory, RenameFlags::RENAME_EXCHANGE)
            .expect("exchange with a directory");
        assert!(a.join("child").is_dir());
        assert_eq!(fs::read_to_string(&directory).expect("read"), "b");
        fs::rename(&directory, &b).expect("replace");
        assert_eq!(fs::read_to_string(&b).expect("read"), "b");
        assert_eq!(
            fs::remove_dir(&a).map_err(|error| error.kind()),
            Err(ErrorKind::DirectoryNotEmpty)
        );
        assert_eq!(
            fs::rename(&b, &a).map_err(|error| error.kind()),
            Err(ErrorKind::IsADirectory)
        );
        assert_eq!(
            names(&mount.path("")),
            BTreeSet::from(["a".to_owned(), "b".to_owned()])
        );
    });
}

#[test]
fn a_listing_survives_removals() {
    on_each(|mount| {
        for index in 0..3000 {
            fs::write(mount.path(&format!("file-{index}")), "").expect("write");
        }
        let mut seen = BTreeSet::new();
        for entry in fs::read_dir(mount.path("")).expect("directory") {
            let entry = entry.expect("entry");
            assert!(
                seen.insert(entry.file_name()),
                "{:?} was listed twice",
                entry.file_name()
            );
            fs::remove_file(entry.path()).expect("unlink");
        }
        assert_eq!(seen.len(), 3000);
        assert!(names(&mount.path("")).is_empty());
    });
}

#[test]
fn threads_do_not_disturb_each_other() {
    on_each(|mount| {
        thread::scope(|scope| {
            for worker in 0..4 {
                scope.spawn(move || {
                    fs::create_dir_all(mount.path(&format!("own-{worker}"))).expect("mkdir");
                    for round in 0..150 {
                        let shared = mount.path(&format!("shared-{worker}-{round}"));
                        let moved = mount.path(&format!("own-{worker}/{round}"));
                        fs::write(&shared, round.to_string()).expect("write");
                        fs::rename(&shared, &moved).expect("rename");
                        assert_eq!(fs::read_to_string(&moved).expect("read"), round.to_string());
                        if round % 2 == 0 {
                            fs::remove_file(&moved).expect("unlink");
                        }
                    }
                });
            }
        });
        for worker in 0..4 {
            assert_eq!(names(&mount.path(&format!("own-{worker}"))).len(), 75);
        }
    });
}

const LOCKED: &str = "FINESSE_TEST_LOCKED_FILE";

/// Not a test of its own: the second process of `locks_hold_between_processes`.
#[test]
fn second_process() {
    let Some(path) = std::env::var_os(LOCKED) else {
        return;
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("open");
    let mut lock = whole_file(libc::F_WRLCK);
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).expect("getlk");
    let found = (i32::from(lock.l_type), lock.l_pid.cast_unsigned());
    assert_eq!(found, (libc::F_WRLCK, std::os::unix::process::parent_id()));
    assert_eq!(
        fcntl(&file, FcntlArg::F_SETLK(&whole_file(libc::F_WRLCK))),
        Err(nix::Error::EAGAIN)
    );
    println!("refused");
    fcntl(&file, FcntlArg::F_SETLKW(&whole_file(libc::F_WRLCK))).expect("granted in the end");
}

fn whole_file(kind: i32) -> libc::flock {
    let l_type = i16::try_from(kind).expect("small");
    libc::flock {
        l_type,
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[test]
fn locks_hold_between_processes() {
    use std::io::BufRead;
    on_each(|mount| {
        let path = mount.path("locked");
        fs::write(&path, "x").expect("write");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .expect("open");
        fcntl(&file, FcntlArg::F_SETLK(&whole_file(libc::F_WRLCK))).expect("lock");
        let mut second = Command::new(std::env::current_exe().expect("test binary"))
            .args(["--exact", "second_process", "--nocapture"])
            .env(LOCKED, &path)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("second process");
        let mut output = std::io::BufReader::new(second.stdout.take().expect("piped")).lines();
        let refused = output.any(|line| line.is_ok_and(|line| line.contains("refused")));
        assert!(refused, "the lock did not hold");
        // Closing any of the process's descriptors of the file drops its locks.
        drop(File::open(&path).expect("open"));
        assert_eq!(output.find_map(Result::err).map(|error| error.kind()), None);
        assert!(second.wait().expect("second process").success());
    });
}
