//! A mount for the time of one test.

#![allow(dead_code, missing_docs)]

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_finesse-mount-plain");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Passthrough,
    Memory,
}

pub(crate) struct Mount {
    server: Child,
    directory: TempDir,
}

/// Says why, when this machine cannot mount at all.
pub(crate) fn can_mount() -> bool {
    match OpenOptions::new().read(true).write(true).open("/dev/fuse") {
        Ok(_) => true,
        Err(error) => {
            eprintln!("skipped: /dev/fuse cannot be opened: {error}");
            false
        }
    }
}

/// Runs a test on a fresh mount of each kind.
pub(crate) fn on_each(test: impl Fn(&Mount)) {
    for kind in [Kind::Passthrough, Kind::Memory] {
        on(kind, &[], &test);
    }
}

pub(crate) fn on(kind: Kind, options: &[&str], test: impl FnOnce(&Mount)) {
    if can_mount() {
        test(&Mount::start(Command::new(BINARY), kind, options));
    }
}

impl Mount {
    /// Completes the command line with file system and directories, and waits until it serves.
    pub(crate) fn start(mut command: Command, kind: Kind, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let (source, mountpoint) = (
            directory.path().join("source"),
            directory.path().join("mount"),
        );
        fs::create_dir(&source).expect("source");
        fs::create_dir(&mountpoint).expect("mountpoint");
        match kind {
            Kind::Passthrough => command.arg("passthrough").arg(&source),
            Kind::Memory => command.arg("memory"),
        };
        command
            .arg(&mountpoint)
            .args(options)
            .args(["--ready-fd", "1"])
            .stdout(Stdio::piped());
        let mut server = command.spawn().expect("server");
        let ready = server.stdout.take().expect("piped").read(&mut [0]);
        assert_eq!(ready.ok(), Some(1), "{kind:?} did not become ready");
        Self { server, directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("mount").join(name)
    }

    pub(crate) fn backing(&self, name: &str) -> PathBuf {
        self.directory.path().join("source").join(name)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().cast_signed()), signal).expect("signal");
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.server.wait().expect("server's end")
    }

    pub(crate) fn is_mounted(&self) -> bool {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
        let path = self.path("");
        let path = path
            .to_str()
            .expect("plain path")
            .trim_end_matches('/')
            .to_owned();
        mounts
            .lines()
            .any(|line| line.split(' ').nth(1) == Some(&path))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let running = matches!(self.server.try_wait(), Ok(None));
        if running {
            self.signal(Signal::SIGTERM);
            let _ = self.server.wait();
        }
        if self.is_mounted() {
            let _ = nix::mount::umount2(&self.path(""), nix::mount::MntFlags::MNT_DETACH);
        }
    }
}
