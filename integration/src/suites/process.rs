//! Running one program to its end, whatever end that is.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::compare::interrupt::Interrupt;

const POLL: Duration = Duration::from_millis(5);

/// How a program ended and what it wrote.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs `command` in a process group of its own and waits at most `limit`.
///
/// # Errors
/// It cannot be started, takes too long, or the user interrupts: then its group is killed.
pub fn run(command: &mut Command, limit: Duration, interrupt: &Interrupt) -> Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    // Files, not pipes: nobody has to read along.
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(err.try_clone()?)
        .process_group(0);
    let started = command.spawn();
    let mut child = started.with_context(|| format!("cannot start {name}"))?;
    let status = match wait(&mut child, limit, interrupt) {
        Ok(status) => status,
        Err(error) => {
            kill_group(&mut child);
            let said = content(&mut err).unwrap_or_default();
            return Err(error.context(format!("{name} was stopped; it said {:?}", said.trim())));
        }
    };
    Ok(Finished {
        status,
        out: content(&mut out)?,
        err: content(&mut err)?,
    })
}

fn wait(child: &mut Child, limit: Duration, interrupt: &Interrupt) -> Result<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a program")? {
            return Ok(status);
        }
        interrupt.check()?;
        if Instant::now() > deadline {
            bail!("no end after {limit:?}");
        }
        sleep(POLL);
    }
}

fn kill_group(child: &mut Child) {
    // Not yet waited for: the number is still this child's, and its group's.
    let group = Pid::from_raw(child.id().try_into().expect("a process id is positive"));
    let _ = killpg(group, Signal::SIGKILL);
    let _ = child.wait();
}

fn content(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<Finished> {
        let mut command = Command::new("/bin/sh");
        run(command.args(["-c", script]), limit, &Interrupt::default())
    }

    #[test]
    fn a_failure_is_an_end_like_any_other() {
        let done = shell("echo out; echo err >&2; exit 3", Duration::from_secs(60)).unwrap();
        assert_eq!(done.status.code(), Some(3));
        assert_eq!((done.out.as_str(), done.err.as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn who_takes_too_long_is_stopped() {
        let error = shell("echo waiting >&2; sleep 60", Duration::from_millis(300)).unwrap_err();
        assert!(format!("{error:#}").contains("waiting"), "{error:#}");
    }
}
