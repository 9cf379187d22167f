//! Signals while a file system takes its time: it hears of them as it does on its own plain mount, and so does the
//! program what it makes of them. By a daemon of libfuse's, plain and under `finesse-serve`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::Duration;

use finesse_integration::mount::{FileSystem, MountRequest, Mounted};
use finesse_integration::programs;
use nix::sys::signal::Signal::{
    self, SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2,
};
use nix::sys::signal::kill;
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::guest::{self, Kind};
use crate::processes;
use crate::timed::{self, Done, Running};
use crate::twins::{BYPASS_ALL, have_fuse};

const LIMIT: Duration = Duration::from_secs(30);
/// Several times what the supervisor takes to notice a signal.
const A_WHILE: Duration = Duration::from_millis(500);

/// How the program reaches the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Kernel,
    Bypass,
    /// The same, with `--fast`.
    Fast,
}

/// A patient file system, on its own or with the bypass door, and a program that waits for it.
struct Place {
    mounted: Mounted,
    log: PathBuf,
    program: PathBuf,
    /// `finesse-run` and its policy.
    under: Vec<OsString>,
    is_fast: bool,
    // Last: the mount goes before the directory.
    dir: TempDir,
}

impl Place {
    /// `None`, with the reason printed, when it cannot be had.
    fn mount(daemon: &str, door: Door) -> Option<Place> {
        if !have_fuse() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let daemon = guest::build(Kind::Daemon, daemon, dir.path())?;
        let program = guest::build(Kind::GlibcStatic, "interrupted.c", dir.path())?;
        let [log, mountpoint, policy] = ["log", "at", "policy"].map(|name| dir.path().join(name));
        fs::create_dir(&mountpoint).unwrap();
        fs::write(&policy, BYPASS_ALL).unwrap();
        let mut words: Vec<OsString> = vec![log.clone().into()];
        let mut under = Vec::new();
        let mut starts = daemon.clone();
        if door != Door::Kernel {
            starts = programs::serve().unwrap();
            words.splice(0..0, ["--".into(), daemon.into()]);
            let run = programs::run().unwrap();
            under = vec![run.into(), "--policy".into(), policy.into()];
            under.extend((door == Door::Fast).then(|| "--fast=on".into()));
            under.push("--".into());
        }
        let request = MountRequest::new(&starts, FileSystem::Daemon(&words));
        let mounted = request.start(&mountpoint).unwrap();
        Some(Place {
            mounted,
            log,
            program,
            under,
            is_fast: door == Door::Fast,
            dir,
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn wait_for(&self, line: &str) {
        let is_there = || self.log().lines().any(|logged| logged == line);
        timed::until(&format!("the daemon says {line:?}"), LIMIT, is_there);
    }

    /// Starts the program, which makes the directory `name`.
    fn start(&self, how: &str, name: &str) -> Running {
        let path = self.mounted.path().join(name);
        self.run(&[self.program.as_os_str(), how.as_ref(), path.as_os_str()])
    }

    fn run(&self, words: &[&OsStr]) -> Running {
        let under = self.under.iter().map(OsString::as_os_str);
        let all: Vec<_> = under.chain(words.iter().copied()).collect();
        timed::start(&mut timed::command(&all))
    }

    /// Starts it and returns when the daemon says `line` and it waits: for the supervisor, if there is one.
    fn start_until(&self, how: &str, name: &str, line: &str) -> Running {
        let running = self.start(how, name);
        self.wait_for(line);
        let bypass = !self.under.is_empty();
        timed::until("the call is bypassed, or is not", LIMIT, || {
            waits_for_supervisor(running.pid()) == bypass
        });
        if self.is_fast {
            // The daemon was called before the trap: until that is received, signals are handled.
            std::thread::sleep(A_WHILE);
        }
        running
    }

    /// Lets all go on that waits.
    fn release(&self) {
        statvfs(self.mounted.path()).unwrap();
    }
}

/// What programs and the daemon do on the plain mount, which is the same as on the other ones; `None` when there
/// are no such mounts.
fn on_all(daemon: &str, steps: impl Fn(&Place) -> Done) -> Option<(Done, String)> {
    let mount = |door| Place::mount(daemon, door);
    let places = [
        mount(Door::Kernel)?,
        mount(Door::Bypass)?,
        mount(Door::Fast)?,
    ];
    let [plain, others @ ..] = places.map(|place| (steps(&place), place.log()));
    println!("{:?} {:?}; {}", plain.0.out, plain.0.status, plain.1);
    for other in others {
        assert_eq!(
            (&plain.0.out, plain.0.status),
            (&other.0.out, other.0.status)
        );
        assert_eq!(plain.1, other.1);
    }
    Some(plain)
}

/// Whether a thread's call was trapped and is not continued: wchan of proc_pid(5).
fn waits_for_supervisor(pid: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut wchans = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("wchan")));
    wchans.any(|wchan| wchan.unwrap().contains("seccomp"))
}

/// A program that makes the directory `name` of the patient file system, with `steps` while it waits.
fn patiently(how: &str, name: &str, steps: impl Fn(&Place, &Running)) -> Option<Done> {
    let first = if name.starts_with("twice") {
        "lookup"
    } else {
        "mkdir"
    };
    let both = on_all("patient.c", |place| {
        let running = place.start_until(how, name, &format!("{first} {name} waits"));
        steps(place, &running);
        running.finish(LIMIT)
    });
    both.map(|(done, _)| done)
}

fn send(running: &Running, signal: Signal) {
    kill(running.pid(), signal).unwrap();
}

/// Sends a signal, of which the daemon hears.
fn interrupt(place: &Place, running: &Running, signal: Signal, line: &str) {
    send(running, signal);
    place.wait_for(line);
}

/// Sends a signal, of which it does not.
fn in_vain(place: &Place, running: &Running, signal: Signal) {
    send(running, signal);
    std::thread::sleep(A_WHILE);
    assert!(!place.log().contains("interrupted"), "{}", place.log());
    place.release();
}

#[test]
fn a_handler_interrupts_with_sa_restart_or_without() {
    for how in ["handler", "restart"] {
        let Some(done) = patiently(how, "eintr", |place, running| {
            interrupt(place, running, SIGUSR1, "mkdir eintr interrupted");
        }) else {
            return;
        };
        assert_eq!(done.out, "EINTR after 1\n");
    }
}

#[test]
fn the_file_system_need_not_heed_it() {
    let Some(done) = patiently("handler", "goes-on", |place, running| {
        interrupt(place, running, SIGUSR1, "mkdir goes-on interrupted");
        // It was told once, whatever comes.
        send(running, SIGUSR1);
        std::thread::sleep(A_WHILE);
        place.release();
    }) else {
        return;
    };
    assert_eq!(done.out, "0 after 1\n");
}

/// The signal stays: the look-up ends, and so does what comes after.
#[test]
fn all_that_a_call_asks_is_interrupted() {
    let Some(done) = patiently("handler", "twice", |place, running| {
        interrupt(place, running, SIGUSR1, "lookup twice interrupted");
        place.wait_for("mkdir twice interrupted");
    }) else {
        return;
    };
    assert_eq!(done.out, "EINTR after 1\n");
}

#[test]
fn fatal_signals_end_program_and_call() {
    for signal in [SIGINT, SIGKILL] {
        let Some(done) = patiently("handler", "eintr", |place, running| {
            interrupt(place, running, signal, "mkdir eintr interrupted");
        }) else {
            return;
        };
        assert_eq!(done.status.signal(), Some(signal as i32));
    }
}

/// Others go on, and so does their supervisor.
#[test]
fn a_process_among_others_may_be_killed() {
    on_all("patient.c", |place| {
        let shown = [place.program.as_path(), place.mounted.path()].map(|path| path.display());
        let [program, root] = shown;
        let script = format!("{program} handler {root}/eintr & echo $!; wait $!; exec sleep 60");
        let running = place.run(&["sh", "-c", &script].map(OsStr::new));
        place.wait_for("mkdir eintr waits");
        // The shell says it meanwhile.
        let mut child = None;
        timed::until("the shell says the number", LIMIT, || {
            child = running.written().trim().parse().ok();
            child.is_some()
        });
        let child = child.unwrap();
        kill(Pid::from_raw(child), SIGKILL).unwrap();
        place.wait_for("mkdir eintr interrupted");
        // Whoever runs the tests may ignore SIGINT.
        send(&running, SIGTERM);
        let done = running.finish(LIMIT);
        // Its number is another one on each mount.
        Done {
            out: String::new(),
            ..done
        }
    });
}

#[test]
fn a_stop_interrupts_as_well() {
    let Some(done) = patiently("handler", "eintr", |place, running| {
        interrupt(place, running, SIGSTOP, "mkdir eintr interrupted");
        send(running, SIGCONT);
    }) else {
        return;
    };
    assert_eq!(done.out, "EINTR after 0\n");
}

#[test]
fn signals_that_are_blocked_or_ignored_do_not_interrupt() {
    for how in ["blocked", "ignored"] {
        let Some(done) = patiently(how, "eintr", |place, running| {
            in_vain(place, running, SIGUSR1);
        }) else {
            return;
        };
        assert_eq!(done.out, "0 after 0\n");
    }
}

/// One for the process is the first thread's; the other thread's call hears of its own.
#[test]
fn a_signal_interrupts_the_thread_that_it_is_for() {
    let Some(done) = patiently("thread", "eintr", |place, running| {
        send(running, SIGUSR1);
        timed::until("the first thread has it", LIMIT, || {
            running.written() == "first\n"
        });
        std::thread::sleep(A_WHILE);
        assert!(!place.log().contains("interrupted"), "{}", place.log());
        interrupt(place, running, SIGUSR2, "mkdir eintr interrupted");
    }) else {
        return;
    };
    assert_eq!(done.out, "first\nsecond\nEINTR after 2\n");
}

/// Nobody waits for the answer any more when the whole supervisor is killed.
#[test]
fn the_end_of_a_session_interrupts_what_it_has_in_hand() {
    let Some(place) = Place::mount("patient.c", Door::Bypass) else {
        return;
    };
    let running = place.start_until("handler", "eintr", "mkdir eintr waits");
    std::thread::sleep(A_WHILE);
    assert_eq!(place.log(), "mkdir eintr waits\n");
    let policy = place.dir.path().join("policy");
    let supervisor = processes::supervisor(&policy).unwrap();
    let [keeper, workers] = [supervisor.keeper, supervisor.workers].map(Option::unwrap);
    for process in [keeper, supervisor.guardian, workers] {
        kill(process.pid(), SIGKILL).unwrap();
    }
    place.wait_for("mkdir eintr interrupted");
    drop(running);
}

/// A program that a signal comes for once the blunt file system has it waiting.
fn signalled(place: &Place, name: &str, after: impl Fn()) -> Done {
    let running = place.start_until("handler", name, &format!("{name} waits"));
    send(&running, SIGUSR1);
    after();
    running.finish(LIMIT)
}

/// The messages are those that the kernel sends, and it is told the same of its answers to them.
#[test]
fn an_interrupt_is_answered_as_the_kernels() {
    for name in ["eintr", "again", "garbled"] {
        let Some((done, log)) = on_all("blunt.c", |place| {
            signalled(place, name, || place.wait_for("late: ENOENT"))
        }) else {
            return;
        };
        assert_eq!(done.out, "EINTR after 1\n");
        let times = if name == "again" { 3 } else { 1 };
        assert_eq!(log.matches(" interrupted\n").count(), times, "{log}");
        assert!(log.ends_with("late: ENOENT\n"), "{log}");
    }
}

/// Nor is a daemon sent another one that does not know what it is.
#[test]
fn who_does_not_know_interrupts_gets_one_only() {
    on_all("blunt.c", |place| {
        let first = signalled(place, "unknown", || {
            place.wait_for("unknown: 0");
            place.release();
        });
        assert_eq!(first.out, "0 after 1\n");
        signalled(place, "eintr", || {
            std::thread::sleep(A_WHILE);
            assert!(!place.log().contains("eintr interrupted"));
            place.release();
        })
    });
}
