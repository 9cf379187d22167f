//! Seccomp user notification, tried for real: a thread of a process of its own is put
//! under a filter, traps, and is answered.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use finesse_notify::{Filter, InstallError, Ledger, Listener, Support, Trap};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use procfs::process::Process;
use serde::{Deserialize, Serialize};

use super::privileges;
use crate::check::Check;
use crate::probe::{self, ProbeError, Question};

const LIMIT: Duration = Duration::from_secs(10);
/// How long the trap may take to arrive.
const TRAP_MILLISECONDS: u16 = 2000;
/// What the trapped getppid(2) is told: no process id.
const MARK: i32 = -4242;

/// What a process found out about itself.
#[derive(Debug, Deserialize, Serialize)]
struct Findings {
    listener: bool,
    killable_wait: bool,
    install: Install,
    sync_wake_up: bool,
    /// Whether a trapped call got the answer given to it.
    answered: bool,
    /// Whether its process got a descriptor with that.
    adds_descriptors: bool,
}

/// What became of a filter.
#[derive(Debug, Deserialize, Serialize)]
enum Install {
    Done,
    SecondListener,
    Unsupported,
    Refused(String),
}

pub(super) fn checks() -> Vec<Check> {
    let mut checks = vec![filters_here()];
    match ask() {
        Ok(findings) => checks.extend(judge(&findings)),
        Err(error) => checks.push(Check::missing(
            "seccomp",
            format!("a process that tried seccomp(2) gave no result: {error}"),
            "allow seccomp(2) in the filter that is active here (container or service settings)",
        )),
    }
    checks
}

fn ask() -> Result<Findings, ProbeError> {
    let answer = probe::ask::<&str>(Question::Seccomp, &[], LIMIT)?;
    serde_json::from_str(&answer.text).map_err(|_| ProbeError::Silent)
}

/// Filters that this process inherited.
fn filters_here() -> Check {
    let mode = Process::myself()
        .and_then(|me| me.status())
        .ok()
        .and_then(|status| status.seccomp);
    let name = "seccomp filters here";
    match mode {
        Some(0) => Check::ok(name, "none"),
        Some(_) => Check::ok(
            name,
            "some are active already, and programs under finesse-run keep them; whether one more is allowed, the next lines tell",
        ),
        None => Check::missing(
            name,
            "the kernel says nothing of seccomp (or /proc is not mounted)",
            "mount /proc; run a kernel with CONFIG_SECCOMP_FILTER",
        ),
    }
}

fn judge(found: &Findings) -> Vec<Check> {
    vec![
        judge_listener(found.listener),
        judge_killable_wait(found.killable_wait),
        judge_install(&found.install, found.answered),
        judge_sync_wake_up(found),
        judge_descriptors(found),
    ]
}

fn judge_listener(known: bool) -> Check {
    let name = "user notification";
    if known {
        Check::ok(name, "a supervisor can receive a program's calls")
    } else {
        Check::missing(
            name,
            "no supervisor can receive a program's calls (SECCOMP_FILTER_FLAG_NEW_LISTENER)",
            "run Linux 5.0 or newer with CONFIG_SECCOMP_FILTER, or allow seccomp(2) in the filter of this container",
        )
    }
}

fn judge_killable_wait(known: bool) -> Check {
    let name = "killable waits";
    if known {
        Check::ok(name, "a signal cannot make a trapped call run twice")
    } else {
        Check::missing(
            name,
            "a signal could make a trapped call run twice, so finesse-run bypasses nothing (WAIT_KILLABLE_RECV)",
            "run Linux 5.19 or newer",
        )
    }
}

fn judge_install(install: &Install, answered: bool) -> Check {
    let name = "trap and answer";
    match install {
        Install::Done if answered => Check::ok(name, "a call was trapped and answered"),
        Install::Done => Check::missing(
            name,
            "a filter was taken, but the call under it was not trapped or not answered",
            "look for another seccomp filter or a tracer above this process",
        ),
        Install::SecondListener => Check::missing(
            name,
            "a supervisor listens to this process already, and the kernel allows one listener only (EBUSY)",
            "start outside the other finesse-run, or outside the container engine that uses notification",
        ),
        Install::Unsupported => Check::missing(
            name,
            "the kernel does not take the filter",
            "see the lines above",
        ),
        Install::Refused(error) => Check::missing(
            name,
            error.as_str(),
            "allow seccomp(2) in the settings of this container or service",
        ),
    }
}

fn judge_sync_wake_up(found: &Findings) -> Check {
    judge_on_listener(
        "synchronous wake-up",
        found,
        found.sync_wake_up,
        "a trap costs a switch on one CPU, not a wake-up of another",
        (
            "each trap costs a wake-up of another CPU (SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)",
            "run Linux 6.6 or newer",
        ),
    )
}

fn judge_descriptors(found: &Findings) -> Check {
    judge_on_listener(
        "descriptors for programs",
        found,
        found.adds_descriptors,
        "a trapped program was given one: with --fast, it gets its agent so",
        (
            "a trapped program cannot be given one (SECCOMP_IOCTL_NOTIF_ADDFD), so with --fast programs stay on traps",
            "run Linux 5.9 or newer",
        ),
    )
}

/// What shows on a listener only; `lacking` is what it means without, and the remedy.
fn judge_on_listener(
    name: &'static str,
    found: &Findings,
    has: bool,
    having: &str,
    lacking: (&str, &str),
) -> Check {
    match found.install {
        Install::Done if has => Check::ok(name, having),
        Install::Done => Check::limited(name, lacking.0, lacking.1),
        _ => Check::limited(
            name,
            "unknown: it shows on a listener only, and there was none",
            "see the lines above",
        ),
    }
}

/// Tries all of it in this process, which ends afterwards.
pub(super) fn probe() -> Option<String> {
    let support = Support::probe();
    let mut findings = Findings {
        listener: support.listener,
        killable_wait: support.killable_wait,
        install: Install::Done,
        sync_wake_up: false,
        answered: false,
        adds_descriptors: false,
    };
    findings.install = match trap_a_thread(&mut findings) {
        Ok(()) => Install::Done,
        Err(InstallError::SecondListener) => Install::SecondListener,
        Err(InstallError::Unsupported) => Install::Unsupported,
        Err(error) => Install::Refused(error.to_string()),
    };
    serde_json::to_string(&findings).ok()
}

/// A filter belongs to a thread; this one hands its listener out and then traps.
fn trap_a_thread(findings: &mut Findings) -> Result<(), InstallError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let target = std::thread::spawn(move || {
        let installed = install();
        let trapping = installed.is_ok();
        let _ = sender.send(installed);
        // The answer is no process id, so it cannot be the kernel's.
        trapping.then(nix::unistd::getppid)
    });
    let fd = receiver
        .recv()
        .map_err(|error| InstallError::Other(io::Error::other(error)))??;
    let ledger = Ledger::new().map_err(InstallError::Other)?;
    let listener = Arc::new(Listener::new(fd, Arc::new(ledger)));
    findings.sync_wake_up = listener.set_sync_wake_up().is_ok();
    findings.adds_descriptors = answer_one(&listener);
    // Without a listener, a thread that still waits gets ENOSYS.
    drop(listener);
    let told = target.join().ok().flatten();
    findings.answered = told.is_some_and(|pid| pid.as_raw() == MARK);
    Ok(())
}

fn install() -> Result<OwnedFd, InstallError> {
    let getppid = Trap {
        number: i32::try_from(libc::SYS_getppid).unwrap_or(i32::MAX),
        when: None,
    };
    let filter = Filter::build(&[getppid], &[])
        .map_err(|error| InstallError::Other(io::Error::other(error)))?;
    if !privileges::has(privileges::CAP_SYS_ADMIN) {
        nix::sys::prctl::set_no_new_privs().map_err(|errno| InstallError::Other(errno.into()))?;
    }
    filter.install()
}

/// Answers the one call. Whether its process, this one, was given a descriptor before.
fn answer_one(listener: &Arc<Listener>) -> bool {
    let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    if poll(&mut fds, PollTimeout::from(TRAP_MILLISECONDS)) == Ok(1)
        && let Ok(notification) = listener.receive()
    {
        let added = notification.add_descriptor(listener.as_fd());
        notification.succeed(MARK.into());
        return added.is_ok();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    fn states(install: Install, answered: bool, sync_wake_up: bool) -> Vec<State> {
        let found = Findings {
            listener: true,
            killable_wait: true,
            install,
            sync_wake_up,
            answered,
            adds_descriptors: answered,
        };
        judge(&found).iter().map(|check| check.state).collect()
    }

    #[test]
    fn findings_are_judged() {
        use State::{Limited, Missing, Ok};
        assert_eq!(states(Install::Done, true, true), [Ok, Ok, Ok, Ok, Ok]);
        assert_eq!(
            states(Install::Done, true, false),
            [Ok, Ok, Ok, Limited, Ok]
        );
        assert_eq!(
            states(Install::Done, false, true),
            [Ok, Ok, Missing, Ok, Limited]
        );
        let refused = Install::SecondListener;
        assert_eq!(
            states(refused, false, false),
            [Ok, Ok, Missing, Limited, Limited]
        );
    }

    #[test]
    fn a_kernel_without_the_flags_is_missing_them() {
        assert_eq!(judge_listener(false).state, State::Missing);
        assert_eq!(judge_killable_wait(false).state, State::Missing);
    }
}
