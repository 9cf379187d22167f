//! Starting a file system's process, and unmounting whatever happens.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use thiserror::Error;

use crate::placement::Pinned;

const READY_WITHIN: Duration = Duration::from_secs(10);
const GONE_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(1);

/// Mounting or unmounting failed.
#[derive(Debug, Error)]
pub enum MountError {
    /// The program cannot be started.
    #[error("cannot start {}", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended before anything was mounted.
    #[error("{} ended before its mount was ready ({status}): {said}", .program.display())]
    Ended {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error.
        said: String,
    },
    /// It neither mounts nor ends.
    #[error("{} did not mount on {} within {READY_WITHIN:?}", .program.display(), .mountpoint.display())]
    NotReady {
        /// The program.
        program: PathBuf,
        /// Where it should have mounted.
        mountpoint: PathBuf,
    },
    /// It did not end when asked to; it was killed and its mount detached.
    #[error("the process that served {} did not end within {GONE_WITHIN:?}", .0.display())]
    Stubborn(PathBuf),
    /// It ended, but unhappily.
    #[error("the process that served {} ended with {status}", .mountpoint.display())]
    Unhappy {
        /// Its mountpoint.
        mountpoint: PathBuf,
        /// How it ended.
        status: ExitStatus,
    },
    /// Waiting or reading failed.
    #[error("cannot watch the process that serves {}", .mountpoint.display())]
    Watch {
        /// Its mountpoint.
        mountpoint: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The CPU asked for is not to be had.
    #[error("cannot pin the file system's process")]
    Pin(#[source] Errno),
}

/// Which file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem<'a> {
    /// The tree below a directory.
    Passthrough(&'a Path),
    /// An empty one in memory.
    Memory,
    /// Whatever the program makes of these arguments and a mountpoint at their end.
    Daemon(&'a [OsString]),
}

/// What to mount, and how.
#[derive(Debug, Clone)]
pub struct MountRequest<'a> {
    /// `finesse-mount`, `finesse-mount-plain`, or a daemon that stays in the foreground.
    pub program: &'a Path,
    /// Which file system.
    pub file_system: FileSystem<'a>,
    /// Time-out of names and attributes; `None` leaves the program's default.
    pub ttl: Option<Duration>,
    /// Serving threads; `None` leaves the program's default.
    pub threads: Option<usize>,
    /// CPU to pin the process to.
    pub cpu: Option<usize>,
    /// Further options, as they are.
    pub options: Vec<OsString>,
}

impl<'a> MountRequest<'a> {
    /// `file_system` served by `program`, all else left to it.
    #[must_use]
    pub fn new(program: &'a Path, file_system: FileSystem<'a>) -> Self {
        Self {
            program,
            file_system,
            ttl: None,
            threads: None,
            cpu: None,
            options: Vec::new(),
        }
    }

    /// Mounts on the directory `mountpoint` and returns once the mount is there.
    ///
    /// # Errors
    /// See [`MountError`]; nothing is left mounted or running then.
    pub fn start(&self, mountpoint: &Path) -> Result<Mounted, MountError> {
        let mountpoint = mountpoint
            .canonicalize()
            .unwrap_or_else(|_| mountpoint.to_owned());
        let pinned = self
            .cpu
            .map(Pinned::to)
            .transpose()
            .map_err(MountError::Pin)?;
        let end = match self.file_system {
            // sshfs outlives its mount, and says of a signal that it has failed.
            FileSystem::Daemon(_) => End::Killed,
            FileSystem::Passthrough(_) | FileSystem::Memory => End::Terminated,
        };
        let mounted = Mounted::spawn(&mut self.command(&mountpoint), mountpoint, end);
        drop(pinned);
        mounted?.when_ready()
    }

    fn command(&self, mountpoint: &Path) -> Command {
        let mut command = Command::new(self.program);
        match self.file_system {
            FileSystem::Passthrough(source) => command.arg("passthrough").arg(source),
            FileSystem::Memory => command.arg("memory"),
            FileSystem::Daemon(arguments) => command.args(arguments),
        };
        command.arg(mountpoint).args(&self.options);
        if let Some(ttl) = self.ttl {
            let seconds = ttl.as_secs_f64().to_string();
            command.args(["--entry-ttl", &seconds, "--attr-ttl", &seconds]);
        }
        if let Some(threads) = self.threads {
            command.args(["--threads", &threads.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

/// How a file system's process is brought to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It unmounts when it is told to terminate.
    Terminated,
    /// It ends when it is unmounted.
    Unmounted,
    /// It does not even then: it, and what it started, must be killed.
    Killed,
}

/// A mount and the process that serves it. Dropping it unmounts, by force if need be.
#[derive(Debug)]
pub struct Mounted {
    mountpoint: PathBuf,
    end: End,
    program: PathBuf,
    child: Option<Child>,
    /// What it writes to standard error.
    words: File,
}

impl Mounted {
    /// Starts `command`, which mounts on the directory `mountpoint`, and returns once the mount is there.
    ///
    /// # Errors
    /// See [`MountError`]; nothing is left mounted or running then.
    pub fn start(command: &mut Command, mountpoint: &Path, end: End) -> Result<Self, MountError> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self::spawn(command, mountpoint.to_owned(), end)?.when_ready()
    }

    fn spawn(command: &mut Command, mountpoint: PathBuf, end: End) -> Result<Self, MountError> {
        let program = PathBuf::from(command.get_program());
        let start = |source| MountError::Start {
            program: program.clone(),
            source,
        };
        // A file, not a pipe: nobody reads along, and a full pipe would stop the server.
        let words = tempfile::tempfile().map_err(start)?;
        command.stderr(words.try_clone().map_err(start)?);
        if end == End::Killed {
            command.process_group(0);
        }
        let child = command.spawn().map_err(start)?;
        Ok(Mounted {
            mountpoint,
            end,
            program,
            child: Some(child),
            words,
        })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mountpoint
    }

    /// The process that serves it.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The file to which the process writes its standard error; it may be read after the end, too.
    ///
    /// # Errors
    /// The descriptor cannot be duplicated.
    pub fn words(&self) -> io::Result<File> {
        self.words.try_clone()
    }

    /// Asks the process to unmount and waits for its end.
    ///
    /// # Errors
    /// It did not end, or ended unhappily; the mount is gone all the same.
    pub fn unmount(mut self) -> Result<(), MountError> {
        let status = self.stop()?;
        match status {
            Some(status) if !status.success() => Err(MountError::Unhappy {
                mountpoint: self.mountpoint.clone(),
                status,
            }),
            _ => Ok(()),
        }
    }

    fn when_ready(mut self) -> Result<Self, MountError> {
        self.wait_until_ready()?;
        Ok(self)
    }

    fn wait_until_ready(&mut self) -> Result<(), MountError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let watch = |source| MountError::Watch {
                mountpoint: self.mountpoint.clone(),
                source,
            };
            if is_fuse_mount(&self.mountpoint).map_err(watch)? {
                return Ok(());
            }
            let Some(child) = &mut self.child else {
                unreachable!("a mount that starts has a process")
            };
            if let Some(status) = child.try_wait().map_err(watch)? {
                let said = what_it_said(&mut self.words);
                return Err(MountError::Ended {
                    program: self.program.clone(),
                    status,
                    said,
                });
            }
            if Instant::now() > deadline {
                return Err(MountError::NotReady {
                    program: self.program.clone(),
                    mountpoint: self.mountpoint.clone(),
                });
            }
            sleep(POLL);
        }
    }

    fn stop(&mut self) -> Result<Option<ExitStatus>, MountError> {
        let Some(mut child) = self.child.take() else {
            return Ok(None);
        };
        // Not yet waited for: the number is still this child's.
        let pid = Pid::from_raw(child.id().try_into().expect("a process id is positive"));
        match self.end {
            End::Terminated => drop(kill(pid, Signal::SIGTERM)),
            End::Unmounted => take_off(&self.mountpoint),
            End::Killed => {
                take_off(&self.mountpoint);
                let _ = killpg(pid, Signal::SIGKILL);
                let _ = child.wait();
                detach(&self.mountpoint);
                return Ok(None);
            }
        }
        let status = wait_at_most(&mut child, GONE_WITHIN);
        let status = status.map_err(|source| MountError::Watch {
            mountpoint: self.mountpoint.clone(),
            source,
        })?;
        if status.is_none() {
            let _ = child.kill();
        }
        detach(&self.mountpoint);
        if status.is_none() {
            let _ = child.wait();
            return Err(MountError::Stubborn(self.mountpoint.clone()));
        }
        Ok(status)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("warning: {error}");
        }
    }
}

/// Whether mountinfo lists a FUSE mount at `path`, in the mount namespace of the calling thread; asks nobody
/// else, so that a hung mount hangs nothing.
///
/// # Errors
/// /proc/thread-self/mountinfo cannot be read.
pub fn is_fuse_mount(path: &Path) -> io::Result<bool> {
    let table = fs::read("/proc/thread-self/mountinfo")?;
    Ok(table
        .split(|&byte| byte == b'\n')
        .any(|line| lists_fuse_at(line, path)))
}

/// A mountinfo line is `id parent dev root MOUNTPOINT options [fields] - TYPE source options` (proc(5)).
fn lists_fuse_at(line: &[u8], path: &Path) -> bool {
    let mut fields = line.split(|&byte| byte == b' ');
    let here = fields
        .nth(4)
        .is_some_and(|field| unescape(field) == path.as_os_str().as_bytes());
    let kind = fields.skip_while(|field| *field != b"-").nth(1);
    here && kind.is_some_and(|kind| kind == b"fuse" || kind.starts_with(b"fuse."))
}

/// Undoes mountinfo's `\040` for blank, tab, newline and backslash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let digits = if *first == b'\\' { tail.get(..3) } else { None };
        let code =
            digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        plain.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    plain
}

/// Unmounts `path` as soon as nobody uses it any more; gives up after a while.
fn take_off(path: &Path) {
    let deadline = Instant::now() + GONE_WITHIN;
    while !unmount_at(path, MntFlags::empty(), &["-u", "-q", "--"]) && Instant::now() < deadline {
        sleep(POLL);
    }
}

/// Takes away what is still mounted at `path`, without asking its server.
fn detach(path: &Path) {
    while is_fuse_mount(path).unwrap_or(false) {
        if !unmount_at(path, MntFlags::MNT_DETACH, &["-u", "-z", "-q", "--"]) {
            eprintln!("warning: {} is still mounted", path.display());
            return;
        }
    }
}

/// By the system call, or for users who may not, by fusermount3 with `options`.
fn unmount_at(path: &Path, flags: MntFlags, options: &[&str]) -> bool {
    umount2(path, flags).is_ok()
        || Command::new("fusermount3")
            .args(options)
            .arg(path)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

/// What a process wrote to standard error before it ended.
fn what_it_said(words: &mut File) -> String {
    let mut said = Vec::new();
    let _ = words
        .rewind()
        .and_then(|()| words.take(4096).read_to_end(&mut said));
    String::from_utf8_lossy(&said).trim().to_owned()
}

fn wait_at_most(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        let status = child.try_wait()?;
        if status.is_some() || Instant::now() > deadline {
            return Ok(status);
        }
        sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fuse_line_is_told_from_others() {
        let line = b"80 30 0:60 / /tmp/a\\040b rw,nosuid shared:1 master:2 - fuse.finesse memory rw,user_id=0";
        assert!(lists_fuse_at(line, Path::new("/tmp/a b")));
        assert!(!lists_fuse_at(line, Path::new("/tmp/a")));
        assert!(!lists_fuse_at(
            b"80 30 0:60 / /tmp rw - fusectl none rw",
            Path::new("/tmp")
        ));
        assert!(!lists_fuse_at(b"", Path::new("/tmp")));
    }

    #[test]
    fn a_program_that_mounts_nothing_is_reported_with_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let request = MountRequest::new(Path::new("/bin/cat"), FileSystem::Memory);
        let error = request.start(dir.path()).unwrap_err();
        assert!(
            matches!(&error, MountError::Ended { said, .. } if said.contains("memory")),
            "{error}"
        );
    }
}
