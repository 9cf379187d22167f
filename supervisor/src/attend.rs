//! Staying as the program's parent, to see the report written: everything that a parent
//! in the middle could spoil is passed on.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask, raise, sigprocmask};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::fork;
use crate::launch::exit;

/// Runs `program` in a child, passes signals on, and ends as the child ends, once `done`
/// is closed by those who write the report.
pub(crate) fn attend(done: OwnedFd, program: impl FnOnce() -> u8) -> anyhow::Result<u8> {
    let all = SigSet::all();
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&all), Some(&mut before))?;
    let mut program = Some(program);
    let child = fork::child(|| {
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
        program
            .take()
            .map_or(exit::FAILED, |program| program())
            .into()
    })?;
    // The child's copies of the report's descriptors are what counts.
    drop(program);
    let end = pass_signals(child, &all)?;
    // Ends with an empty read once the report is written.
    let _ = File::from(done).read(&mut [0]);
    end_as(end, &before)
}

fn pass_signals(child: Pid, all: &SigSet) -> anyhow::Result<WaitStatus> {
    let signals = SignalFd::new(all)?;
    loop {
        let Some(info) = signals.read_signal()? else {
            continue;
        };
        let Ok(signal) = Signal::try_from(info.ssi_signo.cast_signed()) else {
            continue;
        };
        match signal {
            Signal::SIGCHLD => {
                match waitpid(child, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED))? {
                    end @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => return Ok(end),
                    // A stopped program stops its parent, which the shell watches.
                    WaitStatus::Stopped(..) => raise(Signal::SIGSTOP)?,
                    _ => {}
                }
            }
            // What the terminal sends, it sends to the whole process group.
            _ if info.ssi_code > 0 => {}
            _ => {
                let _ = kill(child, signal);
            }
        }
        if signal == Signal::SIGCONT {
            let _ = kill(child, Signal::SIGCONT);
        }
    }
}

fn end_as(end: WaitStatus, mask: &SigSet) -> anyhow::Result<u8> {
    match end {
        WaitStatus::Signaled(_, signal, _) => {
            // The child's core, if any, is the one that counts.
            let _ = nix::sys::prctl::set_dumpable(false);
            pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(mask), None)?;
            let mut only = SigSet::empty();
            only.add(signal);
            pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&only), None)?;
            crate::early::default_action(signal);
            raise(signal)?;
            Ok(exit::FAILED)
        }
        WaitStatus::Exited(_, code) => Ok(u8::try_from(code & 0xff).unwrap_or(exit::FAILED)),
        _ => Ok(exit::FAILED),
    }
}
