//! Runs the doctor, also on real mounts where a `finesse-mount` was built beside it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

fn doctor(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_finesse-doctor"))
        .args(arguments)
        .output()
        .unwrap()
}

fn diagnose(path: &Path) -> (Value, Option<i32>) {
    let output = doctor(&["--json", path.to_str().unwrap()]);
    let json = serde_json::from_slice(&output.stdout).unwrap();
    (json, output.status.code())
}

/// What is said of the one path.
fn verdict(path: &Path) -> (String, String) {
    let (json, code) = diagnose(path);
    assert_eq!(json["ok"], code == Some(0), "{json:#}");
    let text = |key: &str| json["paths"][0][key].as_str().unwrap().to_owned();
    (text("state"), text("meaning"))
}

/// A memory file system, unmounted when dropped.
struct Mounted {
    server: Child,
    directory: TempDir,
}

impl Mounted {
    /// None, with the reason printed, where mounting is not possible.
    fn new(options: &[&str]) -> Option<Mounted> {
        let program =
            PathBuf::from(env!("CARGO_BIN_EXE_finesse-doctor")).with_file_name("finesse-mount");
        if !program.exists() {
            eprintln!("skipped: {} is not built", program.display());
            return None;
        }
        if let Err(error) = File::options().read(true).write(true).open("/dev/fuse") {
            eprintln!("skipped: /dev/fuse: {error}");
            return None;
        }
        let directory = TempDir::new().unwrap();
        let mut server = Command::new(program)
            .args(["memory", "--ready-fd", "1"])
            .args(options)
            .arg(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0];
        let mut output = server.stdout.take().unwrap();
        output.read_exact(&mut ready).expect("finesse-mount mounts");
        Some(Mounted { server, directory })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.server.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Ok(None) = self.server.try_wait() {
            self.signal("CONT");
            self.signal("TERM");
            let _ = self.server.wait();
        } else {
            let _ = Command::new("fusermount3")
                .arg("-uz")
                .arg(self.path())
                .status();
        }
    }
}

#[test]
fn every_check_has_a_state_and_a_meaning() {
    let output = doctor(&["--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = json["checks"].as_array().unwrap();
    let find = |name: &str| {
        let found = checks.iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("no check {name}"))
    };
    for name in [
        "kernel version",
        "user notification",
        "killable waits",
        "trap and answer",
        "descriptors for programs",
        "text of programs",
        "low addresses",
        "programs' relatives",
    ] {
        find(name);
    }
    for name in [
        "ptrace_scope",
        "memory of programs",
        "/dev/fuse",
        "fusermount3",
        "CPUs",
    ] {
        find(name);
    }
    for check in checks {
        assert!(!check["meaning"].as_str().unwrap().is_empty());
        assert_eq!(check["remedy"].is_null(), check["state"] == "ok", "{check}");
    }
    let missing = checks.iter().any(|check| check["state"] == "missing");
    assert_eq!(output.status.code(), Some(i32::from(missing)));
}

#[test]
fn text_is_plain_off_a_terminal() {
    let output = doctor(&["/proc"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\x1b'));
    let column = text.lines().next().unwrap().find("kernel version");
    assert!(
        text.lines().any(|line| line.find("/proc ") == column),
        "{text}"
    );
}

#[test]
fn other_file_systems_and_missing_paths_are_told_apart() {
    let (state, meaning) = verdict(Path::new("/proc/self"));
    assert_eq!(state, "missing");
    assert!(
        meaning.contains("not a FUSE file system: proc mount /proc"),
        "{meaning}"
    );
    let (state, meaning) = verdict(Path::new("/proc/nothing"));
    assert_eq!(state, "missing");
    assert!(meaning.contains("cannot follow the path"), "{meaning}");
}

#[test]
fn wrong_usage_is_an_exit_code_of_its_own() {
    assert_eq!(doctor(&["--nonsense"]).status.code(), Some(2));
}

#[test]
fn a_mount_of_ours_is_served() {
    let Some(mount) = Mounted::new(&[]) else {
        return;
    };
    std::fs::create_dir(mount.path().join("sub")).unwrap();
    for path in [mount.path().to_owned(), mount.path().join("sub")] {
        let (state, meaning) = verdict(&path);
        assert_eq!(state, "ok", "{meaning}");
        assert!(
            meaning.contains(mount.path().to_str().unwrap()),
            "{meaning}"
        );
    }
}

#[test]
fn a_read_only_mount_is_limited() {
    let Some(mount) = Mounted::new(&["--read-only"]) else {
        return;
    };
    let (state, meaning) = verdict(mount.path());
    assert_eq!(state, "limited", "{meaning}");
    assert!(meaning.contains("read-only"), "{meaning}");
}

#[test]
fn a_hung_mount_does_not_hang_the_doctor() {
    let Some(mount) = Mounted::new(&["--entry-ttl", "0"]) else {
        return;
    };
    mount.signal("STOP");
    for path in [mount.path().to_owned(), mount.path().join("below")] {
        let start = Instant::now();
        let (state, meaning) = verdict(&path);
        assert_eq!(state, "missing", "{meaning}");
        assert!(meaning.contains("did not answer"), "{meaning}");
        assert!(start.elapsed() < Duration::from_secs(15));
    }
}

#[test]
fn a_dead_file_system_is_named() {
    let Some(mut mount) = Mounted::new(&[]) else {
        return;
    };
    mount.server.kill().unwrap();
    mount.server.wait().unwrap();
    let (state, meaning) = verdict(mount.path());
    assert_eq!(state, "missing", "{meaning}");
    assert!(meaning.contains("Transport endpoint"), "{meaning}");
}
