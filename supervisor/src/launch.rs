//! Becoming the program.
//!
//! `finesse-run` installs the filter on itself and executes the program in its own
//! process, so that process id, parent, exit status, signals, terminal and job control
//! are those of a plain run. The supervisor is nobody's child and in a session of its
//! own. Only when a report is wanted does `finesse-run` stay, as the program's parent.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use anyhow::Context;
use finesse_notify::{Filter, InstallError, Support};
use finesse_policy::Policy;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, setsockopt,
    socketpair, sockopt,
};

use crate::options::Options;
use crate::supervise::{READY, START_TIMEOUT, Setup, supervise};
use crate::{attend, calls, early, fast, fork};

/// Exit codes of `finesse-run` itself, as env(1) and nohup(1) have them.
pub(crate) mod exit {
    pub(crate) const FAILED: u8 = 125;
    pub(crate) const NOT_EXECUTABLE: u8 = 126;
    pub(crate) const NOT_FOUND: u8 = 127;
}

/// Runs the program, supervised if that is possible; returns only what went wrong.
pub(crate) fn run(options: &Options, policy: Policy) -> anyhow::Result<u8> {
    let report_json = options
        .report_json
        .as_ref()
        .map(|path| File::create(path).with_context(|| format!("cannot write {}", path.display())))
        .transpose()?;
    if !options.report && report_json.is_none() {
        return become_program(options, policy, None, None);
    }
    let (done, report_done) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    attend::attend(done, || {
        become_program(options, policy, report_json, Some(report_done)).unwrap_or_else(|error| {
            // Standard error may be full or closed.
            let _ = writeln!(io::stderr(), "finesse-run: {error:#}");
            exit::FAILED
        })
    })
}

fn become_program(
    options: &Options,
    policy: Policy,
    report_json: Option<File>,
    report_done: Option<OwnedFd>,
) -> anyhow::Result<u8> {
    if let Err(obstacle) = start(options, policy, report_json, report_done) {
        tracing::warn!("running without bypass: {obstacle:#}");
    }
    Ok(execute(options))
}

/// Starts the supervisor and puts this process under its filter.
fn start(
    options: &Options,
    policy: Policy,
    report_json: Option<File>,
    report_done: Option<OwnedFd>,
) -> anyhow::Result<()> {
    if !Support::probe().killable_wait {
        return Err(InstallError::Unsupported.into());
    }
    let wanted = policy.operations_maybe_not_kernel();
    let mut traps = calls::traps(|operation| wanted.contains(operation));
    anyhow::ensure!(
        !traps.is_empty(),
        "the policy leaves every operation to the kernel"
    );
    let fast = policy.maybe_fast().then(fast::choose_base).transpose()?;
    if fast.is_some() {
        traps.extend(calls::fast_traps());
    }
    let (workers, for_workers) = pair()?;
    let (guardian, for_guardian) = pair()?;
    let setup = Setup {
        policy,
        no_bypass: options.no_bypass,
        fast,
        print_report: options.report,
        report_json,
        report_done,
        program: std::process::id(),
        adopts: nix::sys::prctl::get_child_subreaper().unwrap_or(true),
        socket: for_workers,
    };
    let mut theirs = Some((setup, for_guardian));
    let start = || {
        let theirs = theirs.take();
        theirs.map_or(1, |(setup, for_guardian)| supervise(setup, for_guardian))
    };
    let between = fork::between(start)?;
    // The copies in this process would keep the report from ever being done.
    drop(theirs);
    // Meanwhile the supervisor starts, on another CPU.
    let filter = Filter::build(&traps, &calls::foreign_traps());
    between.wait()?;
    let mut filter = filter?;
    if let Some(base) = fast {
        filter = filter.with_resident(fast::area(base));
    }
    if !may_install_without_nnp() {
        nix::sys::prctl::set_no_new_privs()?;
    }
    let supervisor = [workers, guardian];
    // The filter cannot be taken off again, and whom this process starts then is under it as
    // well: whoever is to hold the listener must be there before.
    supervisor.iter().try_for_each(await_ready)?;
    hand_over(&supervisor, &filter.install()?)
}

fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let kind = SockType::SeqPacket;
    Ok(socketpair(
        AddressFamily::Unix,
        kind,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?)
}

/// Whether seccomp(2) takes a filter without no_new_privs: with `CAP_SYS_ADMIN`.
fn may_install_without_nnp() -> bool {
    const CAP_SYS_ADMIN: u64 = 21;
    procfs::process::Process::myself()
        .and_then(|me| me.status())
        .is_ok_and(|status| status.capeff >> CAP_SYS_ADMIN & 1 == 1)
}

/// Waits until a process of the supervisor only waits for the listener.
fn await_ready(socket: &OwnedFd) -> anyhow::Result<()> {
    let limit =
        nix::sys::time::TimeVal::new(i64::try_from(START_TIMEOUT.as_secs()).unwrap_or(10), 0);
    setsockopt(socket, sockopt::ReceiveTimeout, &limit)?;
    let mut byte = [0];
    let received = recv(socket.as_raw_fd(), &mut byte, MsgFlags::empty());
    match received.context("the supervisor does not start")? {
        1 if byte == [READY] => Ok(()),
        _ => anyhow::bail!("the supervisor did not start"),
    }
}

/// Gives the listener to the supervisor's processes. One is enough: it continues all calls.
fn hand_over(supervisor: &[OwnedFd], listener: &OwnedFd) -> anyhow::Result<()> {
    let fds = [listener.as_raw_fd()];
    let given = supervisor.iter().filter(|socket| {
        let sent = sendmsg::<()>(
            socket.as_raw_fd(),
            &[IoSlice::new(&[READY])],
            &[ControlMessage::ScmRights(&fds)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        sent.is_ok()
    });
    match given.count() {
        0 => anyhow::bail!("the supervisor was killed at its start"),
        _ => Ok(()),
    }
}

/// Executes the program; returns the exit code when that fails.
fn execute(options: &Options) -> u8 {
    let arguments: Result<Vec<CString>, _> = options
        .program
        .iter()
        .map(|a| CString::new(a.as_bytes()))
        .collect();
    let Ok(arguments) = arguments else {
        return exit::NOT_FOUND;
    };
    early::restore();
    let Err(errno) = nix::unistd::execvp(&arguments[0], &arguments);
    let _ = writeln!(
        io::stderr(),
        "finesse-run: cannot run {}: {}",
        arguments[0].to_string_lossy(),
        errno.desc()
    );
    match errno {
        nix::Error::ENOENT => exit::NOT_FOUND,
        _ => exit::NOT_EXECUTABLE,
    }
}
