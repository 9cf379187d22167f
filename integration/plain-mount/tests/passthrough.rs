//! What the pass-through file system promises about the tree behind it.

#![allow(missing_docs)]

mod support;

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use support::{BINARY, Kind, Mount, can_mount, on};

const LONG: [&str; 4] = ["--entry-ttl", "3600", "--attr-ttl", "3600"];

#[test]
fn many_known_files_need_few_descriptors() {
    if !can_mount() {
        return;
    }
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 80; exec \"$@\"", "sh", BINARY]);
    let mount = Mount::start(command, Kind::Passthrough, &LONG);
    for directory in 0..200 {
        fs::create_dir_all(mount.backing(&format!("{directory}/in"))).expect("mkdir");
        for file in 0..50 {
            fs::write(mount.backing(&format!("{directory}/in/{file}")), "x").expect("write");
        }
    }
    let every =
        || (0..200).flat_map(|directory| (0..50).map(move |file| format!("{directory}/in/{file}")));
    for name in every() {
        fs::metadata(mount.path(&name)).expect("stat");
    }
    let open = fs::read_dir(format!("/proc/{}/fd", mount.pid()))
        .expect("fds")
        .count();
    assert!(open <= 60, "{open} descriptors are open");
    for name in every() {
        fs::set_permissions(mount.path(&name), Permissions::from_mode(0o600)).expect("chmod");
    }
    let files: Vec<_> = every()
        .take(50)
        .map(|name| File::open(mount.path(&name)).expect("room for files"))
        .collect();
    assert_eq!(files.len(), 50);
}

#[test]
fn a_name_that_another_file_took_is_not_followed() {
    on(Kind::Passthrough, &LONG, |mount| {
        fs::write(mount.backing("name"), "first").expect("write");
        let first = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH)
            .open(mount.path("name"))
            .expect("open");
        fs::rename(mount.backing("name"), mount.backing("elsewhere"))
            .expect("rename behind the mount");
        fs::write(mount.backing("name"), "second").expect("write");
        fs::set_permissions(mount.backing("name"), Permissions::from_mode(0o640)).expect("chmod");
        let by_descriptor = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&first));
        let refused = fs::set_permissions(by_descriptor, Permissions::from_mode(0o777));
        assert_eq!(
            refused.map_err(|error| error.raw_os_error()),
            Err(Some(libc::ESTALE))
        );
        assert_eq!(
            fs::metadata(mount.backing("name")).expect("stat").mode() & 0o777,
            0o640
        );
        // By path, the kernel looks the name up again.
        fs::set_permissions(mount.path("name"), Permissions::from_mode(0o600)).expect("chmod");
        assert_eq!(
            fs::metadata(mount.backing("name")).expect("stat").mode() & 0o777,
            0o600
        );
    });
}

#[test]
fn a_second_name_reaches_the_file_when_the_first_is_gone() {
    on(Kind::Passthrough, &LONG, |mount| {
        fs::write(mount.backing("a"), "x").expect("write");
        fs::hard_link(mount.backing("a"), mount.backing("b")).expect("link");
        let ino = fs::metadata(mount.path("b")).expect("stat").ino();
        assert_eq!(fs::metadata(mount.path("a")).expect("stat").ino(), ino);
        fs::remove_file(mount.path("a")).expect("unlink");
        fs::set_permissions(mount.path("b"), Permissions::from_mode(0o604)).expect("chmod");
        assert_eq!(
            fs::metadata(mount.backing("b")).expect("stat").mode() & 0o777,
            0o604
        );
    });
}

#[test]
fn what_a_caller_creates_belongs_to_the_caller() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can create on behalf of others");
        return;
    }
    on(Kind::Passthrough, &["--allow-other"], |mount| {
        fs::set_permissions(mount.directory(), Permissions::from_mode(0o755)).expect("chmod");
        fs::create_dir(mount.path("open")).expect("mkdir");
        fs::set_permissions(mount.path("open"), Permissions::from_mode(0o777)).expect("chmod");
        fs::create_dir(mount.path("grouped")).expect("mkdir");
        std::os::unix::fs::chown(mount.path("grouped"), None, Some(4321)).expect("chown");
        fs::set_permissions(mount.path("grouped"), Permissions::from_mode(0o2777)).expect("chmod");
        let script = "umask 027; for d in open grouped; do cd $d; : > f; mkdir d; ln -s x l; mkfifo p; cd ..; done; umask 0; : > open/wide";
        let done = Command::new("sh")
            .args(["-c", script])
            .current_dir(mount.path(""))
            .uid(1234)
            .gid(1235)
            .status()
            .expect("sh");
        assert!(done.success());
        for name in ["f", "d", "l", "p"] {
            let stat = fs::symlink_metadata(mount.backing(&format!("open/{name}"))).expect("stat");
            assert_eq!((stat.uid(), stat.gid()), (1234, 1235), "{name}");
            let stat =
                fs::symlink_metadata(mount.backing(&format!("grouped/{name}"))).expect("stat");
            assert_eq!((stat.uid(), stat.gid()), (1234, 4321), "{name}");
        }
        let mode = |name| fs::metadata(mount.backing(name)).expect("stat").mode() & 0o7777;
        assert_eq!(mode("open/f"), 0o640);
        assert_eq!(mode("open/wide"), 0o666);
        assert_eq!(mode("grouped/d"), 0o2750);
    });
}
