//! Running one program to its end, for its words, with an eye on Ctrl-C.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::interrupt::Interrupt;

/// Far beyond the slowest measurement: whoever takes longer hangs.
const LIMIT: Duration = Duration::from_secs(600);
/// How often a waiting comparison looks for Ctrl-C: rarely enough not to disturb what it times.
const LOOK_EVERY: u16 = 200;

/// Runs `command` to its end and returns its standard output.
///
/// It gets a process group of its own, so that Ctrl-C reaches it through us, and everything it started
/// goes with it.
///
/// # Errors
/// It cannot be started, fails, takes too long, or the user interrupts.
pub fn run(mut command: Command, interrupt: &Interrupt) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut errors = tempfile::tempfile().context("cannot keep a program's messages")?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors.try_clone()?)
        .process_group(0);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let mut pipe = child.stdout.take().context("a piped output is there")?;
    let said = match read_to_end(&mut pipe, interrupt) {
        Ok(said) => said,
        Err(error) => {
            kill_group(&mut child);
            return Err(error.context(format!("{name} was stopped")));
        }
    };
    let status = child
        .wait()
        .with_context(|| format!("cannot wait for {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status}): {}", last_words(&mut errors));
    }
    Ok(said)
}

/// The time per operation in µs that the driver's line states.
///
/// # Errors
/// There is no such line.
pub fn micros_per_op(said: &str) -> Result<f64> {
    let line = said
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("finesse-driver "));
    let line = line.with_context(|| format!("the driver printed no figures but {said:?}"))?;
    let field = |name: &str| -> Result<f64> {
        let mut fields = line.split(' ').filter_map(|field| field.split_once('='));
        let value = fields.find_map(|(key, value)| (key == name).then_some(value));
        let value = value.with_context(|| format!("no {name} in {line:?}"))?;
        value
            .parse()
            .with_context(|| format!("{name} is no number in {line:?}"))
    };
    let (total, ops) = (field("total_ns")?, field("ops")?);
    if ops < 1.0 {
        bail!("no operations in {line:?}");
    }
    Ok(total / ops / 1000.0)
}

fn read_to_end(pipe: &mut ChildStdout, interrupt: &Interrupt) -> Result<String> {
    let deadline = Instant::now() + LIMIT;
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    loop {
        interrupt.check()?;
        if Instant::now() > deadline {
            bail!("no end after {LIMIT:?}");
        }
        let mut waiting = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::from(LOOK_EVERY)) {
            Ok(0) | Err(Errno::EINTR) => continue,
            other => other.context("cannot wait for a program's output")?,
        };
        match pipe
            .read(&mut piece)
            .context("cannot read a program's output")?
        {
            0 => return Ok(String::from_utf8_lossy(&said).into_owned()),
            length => said.extend_from_slice(&piece[..length]),
        }
    }
}

fn kill_group(child: &mut Child) {
    // Not yet waited for: the number is still this child's, and its group's.
    let group = Pid::from_raw(child.id().try_into().expect("a process id is positive"));
    let _ = killpg(group, Signal::SIGKILL);
    let _ = child.wait();
}

fn last_words(errors: &mut File) -> String {
    let mut words = String::new();
    let _ = errors
        .rewind()
        .and_then(|()| errors.take(4096).read_to_string(&mut words));
    words.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_s_line_is_found_among_others() {
        let said = "warning\nfinesse-driver workload=unlink ops=2000 threads=1 total_ns=4000000 p50_ns=1\n";
        assert!((micros_per_op(said).unwrap() - 2.0).abs() < 1e-9);
        assert!(micros_per_op("finesse-driver ops=0 total_ns=1").is_err());
        assert!(
            micros_per_op("finesse-driver ops=5")
                .unwrap_err()
                .to_string()
                .contains("total_ns")
        );
        assert!(micros_per_op("").is_err());
    }

    #[test]
    fn a_failing_program_is_quoted() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo broken >&2; exit 3"]);
        let error = run(command, &Interrupt::default()).unwrap_err();
        assert!(error.to_string().contains("broken"), "{error}");
    }
}
