//! One of the two guests.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::timed::{self, Running};

const LIMIT: Duration = Duration::from_secs(20);

/// A guest that does what it is told, `integration/guests/doors.c`.
#[derive(Debug)]
pub(super) struct Party {
    socket: BufReader<UnixStream>,
    running: Running,
}

impl Party {
    /// Starts it with its socket as standard input.
    pub(super) fn start(mut command: Command) -> Party {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(LIMIT)).unwrap();
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        let running = timed::start(&mut command);
        Party {
            socket: BufReader::new(ours),
            running,
        }
    }

    /// Its answer to a command; one that does not come fails the test.
    pub(super) fn ask(&mut self, command: &str) -> String {
        writeln!(self.socket.get_mut(), "{command}").unwrap();
        let mut answer = String::new();
        let got = self.socket.read_line(&mut answer);
        let written = || self.running.written();
        assert!(
            got.is_ok() && answer.ends_with('\n'),
            "{command}: {got:?} {answer:?} {}",
            written()
        );
        answer.pop();
        answer
    }

    /// It ends when it is asked nothing more.
    pub(super) fn leave(self) {
        drop(self.socket);
        let done = self.running.finish(LIMIT);
        assert!(done.status.success() && done.err.is_empty(), "{done:?}");
    }
}
