//! The supervisor's three processes: the workers, the guardian and the keeper.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use finesse_notify::{Ledger, Listener};
use finesse_policy::Policy;
use nix::sys::socket::{MsgFlags, send};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::confine::Writes;
use crate::fast::FastPath;
use crate::guardian::Guard;
use crate::heirs::{self, Heirs, Inbox};
use crate::mounts::Mounts;
use crate::report::Report;
use crate::targets::Targets;
use crate::worker::Shared;
use crate::{confine, fork, passed};

/// What ps(1) shows, in 15 bytes at the most. Whoever ends all processes of one name leaves
/// the program somebody.
mod name {
    use std::ffi::CStr;

    pub(super) const WORKERS: &CStr = c"finesse-workers";
    pub(super) const GUARDIAN: &CStr = c"finesse-guard";
    pub(super) const KEEPER: &CStr = c"finesse-keeper";
}

/// The byte by which a process says that nothing but the listener is missing.
pub(crate) const READY: u8 = b'+';

/// What the supervisor is told at its start.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) policy: Policy,
    pub(crate) no_bypass: bool,
    /// Where the agent is to lie in targets.
    pub(crate) fast: Option<u64>,
    /// `--report`: print a table when the program ends.
    pub(crate) print_report: bool,
    /// `--report-json`: write there when the program ends.
    pub(crate) report_json: Option<File>,
    /// Closed once the report is written.
    pub(crate) report_done: Option<OwnedFd>,
    /// Process id of the program.
    pub(crate) program: u32,
    /// Whether that process adopts the orphans among its descendants.
    pub(crate) adopts: bool,
    /// From the workers to the launcher: readiness goes there, the listener comes from there.
    pub(crate) socket: OwnedFd,
}

/// Starts the supervisor's processes; in a process between, with one thread. `socket` is the
/// guardian's to the launcher, as [`Setup::socket`] is the workers'.
pub(crate) fn supervise(setup: Setup, socket: OwnedFd) -> i32 {
    ended(start(setup, socket), "processes")
}

/// Nobody waits for the filter before it has to: the launcher is still building it.
fn start(setup: Setup, socket: OwnedFd) -> io::Result<()> {
    // Signals of the terminal and the end of its session are for the program.
    nix::unistd::setsid()?;
    leave_behind(&setup, &socket)?;
    let (null, fast) = (dev_null()?, setup.fast);
    let ledger = Arc::new(Ledger::new()?);
    let (inbox, to_guardian) = heirs::way()?;
    let (keepers, to_keeper) = heirs::way()?;
    let mut guardians = Some((inbox, keepers, socket));
    let heirs = Heirs::new(vec![to_guardian, to_keeper.try_clone()?]);
    let (ours, for_workers) = (&mut guardians, Arc::clone(&ledger));
    fork::child(move || {
        drop(ours.take());
        ended(work(setup, heirs, for_workers), "workers")
    })?;
    let (inbox, keepers, socket) = guardians.ok_or(io::ErrorKind::NotFound)?;
    fork::child(move || {
        let guardian = || {
            let Some(listener) = receive_listener(&socket, ledger)? else {
                return Ok(());
            };
            drop(socket);
            let guardian = Guard {
                listener: Arc::new(listener),
                wards: "workers have",
                inbox,
                heirs: Heirs::new(vec![to_keeper]),
                null,
                fast,
            };
            guard(guardian, keepers)
        };
        ended(guardian(), "guardian")
    })?;
    Ok(())
}

/// The guardian's process; it starts the keeper, for whom the program does not wait.
fn guard(guardian: Guard, keepers: Inbox) -> io::Result<()> {
    nix::unistd::setsid()?;
    nix::sys::prctl::set_name(name::GUARDIAN)?;
    let mut guardian = Some(guardian);
    let mut keepers = Some(keepers);
    let (guardians, inbox) = (&mut guardian, &mut keepers);
    fork::child(move || {
        let (guardian, inbox) = (guardians.take(), inbox.take());
        ended(keep(guardian, inbox), "keeper")
    })?;
    drop(keepers);
    stand(guardian.ok_or(io::ErrorKind::NotFound)?);
    Ok(())
}

/// The keeper's process: what the guardian's has, but for its inbox and its way here.
fn keep(guardian: Option<Guard>, inbox: Option<Inbox>) -> io::Result<()> {
    let (guardian, inbox) = guardian.zip(inbox).ok_or(io::ErrorKind::NotFound)?;
    nix::unistd::setsid()?;
    nix::sys::prctl::set_name(name::KEEPER)?;
    let Guard {
        listener,
        inbox: guardians,
        heirs,
        null,
        fast,
        ..
    } = guardian;
    // Or its end would never be heard of.
    drop((guardians, heirs));
    stand(Guard {
        listener,
        wards: "guardian has",
        inbox,
        heirs: Heirs::default(),
        null,
        fast,
    });
    Ok(())
}

fn stand(guard: Guard) {
    // The program waits for the workers to start, and there may be few CPUs.
    guard.inbox.wait(BUSY_START);
    // Many programs are over by then.
    if !guard.listener.has_ended() {
        confine(Writes::Nothing);
    }
    guard.stand();
}

/// The exit code of a process that has done its work, or could not start.
fn ended(result: io::Result<()>, who: &str) -> i32 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("the supervisor's {who} cannot start: {error}");
            1
        }
    }
}

fn dev_null() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/null")
}

/// A supervisor that cannot be confined is no worse than any program of its user.
fn confine(writes: Writes) {
    if let Err(error) = confine::confine(writes) {
        tracing::debug!("the supervisor runs unconfined: {error}");
    }
}

/// Lets go of what belongs to the program: its streams, descriptors, directory.
fn leave_behind(setup: &Setup, socket: &OwnedFd) -> io::Result<()> {
    let null = dev_null()?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    drop(null);
    let mut keep: Vec<RawFd> = vec![setup.socket.as_raw_fd(), socket.as_raw_fd()];
    keep.extend(setup.report_json.as_ref().map(AsRawFd::as_raw_fd));
    keep.extend(setup.report_done.as_ref().map(AsRawFd::as_raw_fd));
    fork::close_all_but(&mut keep);
    std::env::set_current_dir("/")
}

/// `None` when the launcher gave up: it has said why and runs the program without us.
fn receive_listener(socket: &OwnedFd, ledger: Arc<Ledger>) -> io::Result<Option<Listener>> {
    // Fails when the launcher is gone, which the end of the socket says next.
    let _ = send(socket.as_raw_fd(), &[READY], MsgFlags::MSG_NOSIGNAL);
    let (len, descriptors) = match passed::receive(socket, &mut [0]) {
        // It has not read that either.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        received => received?,
    };
    match descriptors.into_iter().next() {
        _ if len == 0 => Ok(None),
        Some(listener) => Ok(Some(Listener::new(listener, ledger))),
        None => Err(io::Error::other("the launcher sent no listener")),
    }
}

/// The workers' process.
fn work(setup: Setup, heirs: Heirs, ledger: Arc<Ledger>) -> io::Result<()> {
    nix::sys::prctl::set_name(name::WORKERS)?;
    let program = i32::try_from(setup.program).ok().and_then(Pid::from_raw);
    let program = pidfd_open(
        program.ok_or(io::ErrorKind::InvalidInput)?,
        PidfdFlags::empty(),
    )?;
    raise_descriptor_limit();
    let report = Arc::new(Report::new(
        setup.print_report || setup.report_json.is_some(),
    ));
    let fast = setup
        .fast
        .and_then(|base| without_it(FastPath::new(base, &setup.policy, Arc::clone(&report))));
    let null = dev_null()?;
    confine(if fast.is_some() {
        Writes::Text
    } else {
        Writes::Nothing
    });
    let targets = Targets::new(Arc::new(setup.policy))?;
    if setup.adopts {
        targets.note_foster(setup.program);
    }
    let mounts = Mounts::new();
    let Some(listener) = receive_listener(&setup.socket, ledger)? else {
        return Ok(());
    };
    drop(setup.socket);
    if let Err(error) = listener.set_sync_wake_up() {
        tracing::debug!("traps cost more on this kernel (no SYNC_WAKE_UP): {error}");
    }
    let listener = Arc::new(listener);
    let shared = Shared::new(
        Arc::clone(&listener),
        targets,
        mounts,
        Arc::clone(&report),
        heirs,
        setup.no_bypass,
        fast,
    );
    shared.start()?;

    wait_for(program.as_fd(), PollFlags::IN, Some(&listener))?;
    if setup.print_report {
        eprint!("{}", report.to_table());
    }
    if let Some(mut file) = setup.report_json {
        file.write_all(report.to_json().as_bytes())?;
    }
    drop(setup.report_done);
    // Whoever waits for the program's standard error to close shall not wait for the
    // processes that it left behind.
    let _ = nix::unistd::dup2_stderr(&null);
    shared.heirs.program_ended();
    wait_for(listener.as_fd(), PollFlags::empty(), None)
}

/// Programs that stay on traps are right as well.
fn without_it(fast: io::Result<FastPath>) -> Option<FastPath> {
    fast.inspect_err(|error| tracing::warn!("every program stays on traps: {error}"))
        .ok()
}

/// Waits until `fd` polls as `wanted`, or hangs up; or until `or_end_of` hangs up.
fn wait_for(
    fd: std::os::fd::BorrowedFd<'_>,
    wanted: PollFlags,
    or_end_of: Option<&Arc<Listener>>,
) -> io::Result<()> {
    loop {
        let mut fds = vec![PollFd::new(&fd, wanted)];
        fds.extend(or_end_of.map(|listener| PollFd::new(listener, PollFlags::empty())));
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if fds.iter().any(|fd| !fd.revents().is_empty()) {
            return Ok(());
        }
    }
}

/// Threads and processes of the program are held by descriptors.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// How long a guardian leaves the CPUs to the start of the workers and the program.
const BUSY_START: Duration = Duration::from_millis(100);

/// How long the launcher waits for the workers.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(10);
