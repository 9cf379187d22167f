//! Running programs under a time limit, so that a hang is a failure with a name.

use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// What a program did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A program that is running in a process group of its own; dropping it kills the group.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    shown: String,
    out: std::fs::File,
    err: std::fs::File,
    ended: bool,
}

/// Runs to the end.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Done {
    start(command).finish(limit)
}

/// Starts with both outputs in files, so that nothing waits for a reader.
pub(crate) fn start(command: &mut Command) -> Running {
    let out = tempfile::tempfile().unwrap();
    let err = tempfile::tempfile().unwrap();
    command
        .stdout(out.try_clone().unwrap())
        .stderr(err.try_clone().unwrap())
        .process_group(0);
    let shown = format!("{command:?}");
    let child = command.spawn().unwrap_or_else(|e| panic!("{shown}: {e}"));
    Running {
        child,
        shown,
        out,
        err,
        ended: false,
    }
}

/// `program` with its arguments, reading nothing.
pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(&arguments[0]);
    command.args(&arguments[1..]).stdin(Stdio::null());
    command
}

impl Running {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// Waits for the end; one that does not come fails the test.
    pub(crate) fn finish(mut self, limit: Duration) -> Done {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "HUNG: no end after {limit:?}: {}\nit had written: {}\n{}",
                self.shown,
                text(&self.out),
                text(&self.err)
            );
            sleep(Duration::from_millis(2));
        };
        self.ended = true;
        Done {
            status,
            out: text(&self.out),
            err: text(&self.err),
        }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What it has written to standard output so far.
    pub(crate) fn written(&self) -> String {
        text(&self.out)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = killpg(self.pid(), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// Reads without moving the offset, which is the writer's too.
fn text(file: &std::fs::File) -> String {
    let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits until `true_now`; gives up loudly.
pub(crate) fn until(what: &str, limit: Duration, mut true_now: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !true_now() {
        assert!(
            Instant::now() < deadline,
            "waited {limit:?} in vain until {what}"
        );
        sleep(Duration::from_millis(2));
    }
}
