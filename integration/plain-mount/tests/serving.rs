//! Beginning and end: exit codes, signals, unmounting.

#![allow(missing_docs)]

mod support;

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use support::{BINARY, Kind, Mount, can_mount};

fn exit_code(arguments: &[&str]) -> Option<i32> {
    let server = Command::new(BINARY)
        .args(arguments)
        .stderr(Stdio::null())
        .status();
    server.expect("server").code()
}

#[test]
fn wrong_calls_have_their_own_exit_codes() {
    if !can_mount() {
        return;
    }
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = |name: &str| {
        directory
            .path()
            .join(name)
            .to_str()
            .expect("plain path")
            .to_owned()
    };
    fs::create_dir(path("dir")).expect("mkdir");
    fs::create_dir_all(path("source/inside")).expect("mkdir");
    fs::write(path("file"), "").expect("write");
    assert_eq!(exit_code(&[]), Some(2));
    assert_eq!(exit_code(&["memory", &path("missing")]), Some(3));
    assert_eq!(exit_code(&["memory", &path("file")]), Some(4));
    assert_eq!(
        exit_code(&["passthrough", &path("missing"), &path("dir")]),
        Some(6)
    );
    assert_eq!(
        exit_code(&["passthrough", &path("source"), &path("source/inside")]),
        Some(9)
    );
    assert_eq!(
        exit_code(&["memory", &path("dir"), "--size", "1X"]),
        Some(2)
    );
    let mount = Mount::start(Command::new(BINARY), Kind::Memory, &[]);
    assert_eq!(
        exit_code(&["memory", mount.path("").to_str().expect("plain path")]),
        Some(5)
    );
}

#[test]
fn signals_unmount() {
    if !can_mount() {
        return;
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut mount = Mount::start(Command::new(BINARY), Kind::Passthrough, &[]);
        assert!(mount.is_mounted());
        mount.signal(signal);
        assert_eq!(mount.wait().code(), Some(0), "{signal}");
        assert!(!mount.is_mounted());
    }
}

#[test]
fn a_busy_mount_is_detached_and_served_to_its_last_user() {
    if !can_mount() {
        return;
    }
    let mut mount = Mount::start(Command::new(BINARY), Kind::Memory, &[]);
    fs::write(mount.path("file"), "still here").expect("write");
    let file = fs::File::open(mount.path("file")).expect("open");
    mount.signal(Signal::SIGTERM);
    while mount.is_mounted() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(std::io::read_to_string(&file).expect("read"), "still here");
    drop(file);
    assert_eq!(mount.wait().code(), Some(0));
}

#[test]
fn somebody_else_may_unmount() {
    if !can_mount() {
        return;
    }
    let mut mount = Mount::start(Command::new(BINARY), Kind::Passthrough, &[]);
    let unmounted = Command::new("fusermount3")
        .arg("-u")
        .arg(mount.path(""))
        .status()
        .expect("fusermount3");
    assert!(unmounted.success());
    assert_eq!(mount.wait().code(), Some(0));
}

#[test]
fn read_only_refuses_changes() {
    if !can_mount() {
        return;
    }
    let mount = Mount::start(Command::new(BINARY), Kind::Memory, &["--read-only"]);
    let error = fs::write(mount.path("file"), "").expect_err("refused");
    assert_eq!(error.raw_os_error(), Some(libc::EROFS));
}
