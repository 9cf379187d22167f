//! Questions that a short-lived process answers: it may be killed by a seccomp filter, be
//! left with a filter of its own, or hang on a mount, and the doctor is none the worse.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use clap::ValueEnum;
use thiserror::Error;

/// What a process is started for; each answers with one line on standard output.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Question {
    /// Which parts of seccomp user notification work?
    Seccomp,
    /// At which address do you hold a known text? Lives on until its input closes.
    Target,
    /// Can you read that text in the process PID at ADDRESS?
    Reader,
    /// Can you write over that text, though it is not writable?
    Writer,
    /// How does it stand with PATH?
    Path,
}

/// Why a process gave no answer.
#[derive(Debug, Error)]
pub(crate) enum ProbeError {
    #[error("cannot start a process: {0}")]
    Start(#[from] io::Error),
    #[error("it did not end in time")]
    TimedOut,
    #[error("it was killed by signal {0}")]
    Killed(i32),
    #[error("it ended without an answer")]
    Silent,
}

/// The process that answered, ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Answer {
    child: Child,
    pub(crate) text: String,
}

impl Answer {
    /// Id of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a process without waiting for it: on a hung mount it may not even be killed.
fn end(child: &mut Child) {
    // It may have ended already.
    let _ = child.kill();
    let _ = child.try_wait();
}

/// Puts a question to a new process and waits for its line.
pub(crate) fn ask<A: AsRef<OsStr>>(
    question: Question,
    arguments: &[A],
    limit: Duration,
) -> Result<Answer, ProbeError> {
    let name = question.to_possible_value();
    let name = name.as_ref().map_or("", |value| value.get_name());
    let mut child = Command::new("/proc/self/exe")
        .args(["--probe", name, "--"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    match first_line(&mut child, limit) {
        Ok(text) if !text.is_empty() => Ok(Answer { child, text }),
        // Its output is closed: it has ended.
        Ok(_) => Err(child
            .wait()?
            .signal()
            .map_or(ProbeError::Silent, ProbeError::Killed)),
        Err(error) => {
            end(&mut child);
            Err(error)
        }
    }
}

/// The first line that a process writes; empty when it writes none.
fn first_line(child: &mut Child, limit: Duration) -> Result<String, ProbeError> {
    let output = child.stdout.take().ok_or(ProbeError::Silent)?;
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        sender.send(read.map(|_| line.trim_end().to_owned()))
    });
    match receiver.recv_timeout(limit) {
        Ok(line) => Ok(line?),
        Err(_) => Err(ProbeError::TimedOut),
    }
}
