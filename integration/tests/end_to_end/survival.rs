//! Nothing is lost: signals by the thousand, kills at random moments, file systems that come back or do not
//! answer.
//!
//! `FINESSE_STORM` (default 3000) asks for more names in a storm of signals, `FINESSE_KILLS` (default 12) for
//! more kills, `FINESSE_KILLS_SEED` for other moments, and `FINESSE_SLOW_SECONDS` (default 0) for a file system
//! that keeps silent longer.

mod log;
mod newcomers;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use finesse_integration::mount::{FileSystem, MountRequest, Mounted, is_fuse_mount};
use finesse_integration::programs;
use nix::sys::signal::{SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGUSR1, SIGUSR2, Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::environment::number;
use crate::guest::{self, Kind};
use crate::processes::{self, Supervisor, is_stopped};
use crate::report::Report;
use crate::timed::{self, Done, Running};
use crate::twins;
use log::Log;

const LIMIT: Duration = Duration::from_secs(60);
/// Nothing hangs for longer than 1 s; a loaded machine may add as much again, twice.
const HANGS: Duration = Duration::from_secs(3);
const THREADS: usize = 2;

/// A pass-through mount that can be killed and mounted again.
struct Place {
    mounted: Option<Mounted>,
    source: PathBuf,
    mountpoint: PathBuf,
    policy: PathBuf,
    /// All that ever served it.
    servers: Vec<u32>,
    // Last: the mount goes before the directory.
    dir: TempDir,
}

impl Place {
    fn mount() -> Option<Place> {
        Place::mount_on(|dir| dir.join("source"))
    }

    fn mount_on(source: impl FnOnce(&Path) -> PathBuf) -> Option<Place> {
        if !twins::have_fuse() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let inside = |name: &str| dir.path().join(name);
        let source = source(dir.path());
        for directory in [source.join("work"), inside("at")] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write(inside("policy.toml"), twins::BYPASS_ALL).unwrap();
        let mut place = Place {
            mounted: None,
            source,
            mountpoint: inside("at"),
            policy: inside("policy.toml"),
            servers: Vec::new(),
            dir,
        };
        place.mount_again();
        Some(place)
    }

    fn mount_again(&mut self) {
        // What is still mounted goes first.
        self.mounted = None;
        let program = programs::mount().unwrap();
        let request = MountRequest::new(&program, FileSystem::Passthrough(&self.source));
        let mounted = request.start(&self.mountpoint).unwrap();
        self.servers.extend(mounted.pid());
        self.mounted = Some(mounted);
    }

    fn server(&self) -> Pid {
        let pid = self.mounted.as_ref().and_then(Mounted::pid).unwrap();
        Pid::from_raw(pid.try_into().unwrap())
    }

    fn work(&self) -> PathBuf {
        self.mountpoint.join("work")
    }

    fn finesse_run(&self, program: &Path) -> Command {
        let mut command = timed::command(&[programs::run().unwrap()]);
        command
            .arg("--policy")
            .arg(&self.policy)
            .arg("--report-json");
        command.arg(self.report()).arg("--").arg(program);
        command
    }

    /// Without a report the program is the process that was started.
    fn finesse_run_alone(&self, program: &Path) -> Command {
        let mut command = timed::command(&[programs::run().unwrap()]);
        command
            .arg("--policy")
            .arg(&self.policy)
            .arg("--")
            .arg(program);
        command
    }

    fn report(&self) -> PathBuf {
        self.dir.path().join("report.json")
    }

    /// Waits until no process of the supervisors is left.
    fn wait_for_supervisors(&self) {
        timed::until("no supervisor is left", LIMIT, || {
            supervisors(&self.policy).is_empty()
        });
    }

    /// Waits until the file system's process has let go of every session: its memory, its threads.
    fn wait_for_sessions(&self) {
        let pid = self.server();
        let of_sessions = || {
            let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
            let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
            let names =
                threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")));
            let mut names = names.map(Result::unwrap_or_default);
            maps.contains("finesse-channel")
                || names.any(|name| ["finesse-serve\n", "finesse-session\n"].contains(&&*name))
        };
        timed::until("no session is left", LIMIT, || !of_sessions());
    }

    /// Unmounts, and sees that nothing stays behind.
    fn leave(mut self) {
        self.wait_for_supervisors();
        self.wait_for_sessions();
        self.mounted.take().unwrap().unmount().unwrap();
        assert!(!is_fuse_mount(&self.mountpoint).unwrap());
        let sockets = fs::read_to_string("/proc/net/unix").unwrap();
        for pid in &self.servers {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            assert!(!line.contains(self.mountpoint.to_str().unwrap()), "{line}");
            // Another process may have its number by now, and a door of its own.
            if line.is_empty() {
                assert!(!sockets.contains(&format!("@finesse-{pid}-")), "{sockets}");
            }
        }
    }
}

/// All processes whose command line names `policy`; those of `finesse-run` keep theirs when they fork.
fn supervisors(policy: &Path) -> Vec<i32> {
    let names_it = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(policy.to_str().unwrap())
    };
    let processes = fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(names_it).collect()
}

fn storm(how: &str) {
    let Some(place) = Place::mount() else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "storm.c", place.dir.path()) else {
        return;
    };
    let names = number("FINESSE_STORM", 3000);
    let limit = LIMIT + Duration::from_millis(5) * u32::try_from(names).unwrap();
    let arguments = [
        place.work().into_os_string(),
        names.to_string().into(),
        how.into(),
    ];
    let plain = timed::run(timed::command(&[&program]).args(&arguments), limit);
    let bypass = timed::run(place.finesse_run(&program).args(&arguments), limit);
    for (door, done) in [("FUSE", &plain), ("bypass", &bypass)] {
        println!(
            "{how}, {names} names, {door}: {}",
            done.out.replace('\n', " ")
        );
        assert!(done.status.success(), "{door}: {done:?}");
        assert!(counted(done, "signals") > 10, "{door}: no storm: {done:?}");
        if how == "restart" {
            assert_eq!(counted(done, "interrupted"), 0, "{door}: {done:?}");
        }
    }
    assert_eq!(counted(&plain, "interrupted"), 0, "{plain:?}");
    assert_eq!(fs::read_dir(place.source.join("work")).unwrap().count(), 0);
    let report = Report::read(&place.report());
    let bypassed = report.bypassed("mkdir") + report.bypassed("mknodat");
    assert!(bypassed > names * 9 / 10, "{report:#?}");
    place.leave();
}

fn counted(done: &Done, what: &str) -> u64 {
    let mut lines = done.out.lines().filter_map(|line| line.split_once(' '));
    let (_, count) = lines.find(|(name, _)| *name == what).unwrap();
    count.parse().unwrap()
}

#[test]
fn a_storm_of_signals_that_restart() {
    storm("restart");
}

#[test]
fn a_storm_of_signals_that_interrupt() {
    storm("interrupt");
}

/// Whom to kill.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Workers,
    Guardian,
    /// Guardian and workers at once.
    Both,
    Keeper,
    FileSystem,
    Target,
}

/// Moments that look random and can be had again.
struct Moments(u64);

impl Moments {
    fn next(&mut self, range: Range<u64>) -> Duration {
        // xorshift64 (Marsaglia 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_micros(range.start + self.0 % (range.end - range.start))
    }
}

/// A survivor at work, and its log.
struct Survivor {
    running: Running,
    log: PathBuf,
}

impl Survivor {
    fn start(place: &Place, program: &Path, victim: Victim) -> Survivor {
        let log = place.dir.path().join("log");
        let mut command = match victim {
            Victim::Guardian | Victim::Keeper | Victim::FileSystem => place.finesse_run(program),
            Victim::Workers | Victim::Both | Victim::Target => place.finesse_run_alone(program),
        };
        command.arg(place.work()).arg(&log).arg(THREADS.to_string());
        let survivor = Survivor {
            running: timed::start(&mut command),
            log,
        };
        survivor.wait_for("the guest is at work", 0, LIMIT, |done, _| done >= 20);
        survivor
    }

    fn text_from(&self, offset: usize) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let after = bytes.get(offset..).unwrap_or_default();
        String::from_utf8_lossy(after).into_owned()
    }

    fn logged(&self) -> usize {
        self.text_from(0).len()
    }

    /// Until for each thread `enough` of its calls since `offset` have succeeded, or found the mount dead.
    fn wait_for(
        &self,
        what: &str,
        offset: usize,
        limit: Duration,
        enough: fn(usize, usize) -> bool,
    ) {
        timed::until(what, limit, || {
            let progress = log::progress(&self.text_from(offset), THREADS);
            progress.iter().all(|&(done, dead)| enough(done, dead))
        });
    }

    fn signal(&self, signal: Signal) {
        kill(self.running.pid(), signal).unwrap();
    }

    /// The guest itself, where `finesse-run` stayed as its parent.
    fn child(&self) -> Pid {
        let pid = self.running.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        Pid::from_raw(children.trim().parse().unwrap())
    }

    /// From now on it makes other variants of its calls.
    fn turn_to_variants(&self) {
        let offset = self.logged();
        self.signal(SIGUSR2);
        timed::until("the guest has the signal", LIMIT, || {
            self.text_from(offset).contains("variants\n")
        });
    }

    fn goes_on(&self) {
        // Whether a call hung meanwhile its own log tells.
        self.wait_for("the guest goes on", self.logged(), LIMIT, |done, _| {
            done >= 20
        });
    }
}

/// The keeper is started last, when the program may already be at work.
fn whole_supervisor(place: &Place) -> Supervisor {
    let mut found = None;
    timed::until("all of the supervisor runs", LIMIT, || {
        found = processes::supervisor(&place.policy);
        found
            .as_ref()
            .is_some_and(|it| it.keeper.is_some() && it.workers.is_some())
    });
    found.unwrap()
}

fn kill_one(place: &mut Place, program: &Path, victim: Victim, moment: Duration) -> Log {
    let survivor = Survivor::start(place, program, victim);
    let supervisor = whole_supervisor(place);
    sleep(moment);
    match victim {
        Victim::Workers | Victim::Both => {
            kill_both(&supervisor, victim);
            survivor.goes_on();
        }
        Victim::Guardian | Victim::Keeper => {
            let pid = match victim {
                Victim::Keeper => supervisor.keeper.expect("a keeper").pid(),
                _ => supervisor.guardian.pid(),
            };
            kill(pid, SIGKILL).unwrap();
            survivor.goes_on();
            survivor.turn_to_variants();
            survivor.goes_on();
        }
        Victim::FileSystem => {
            let offset = survivor.logged();
            kill(place.server(), SIGKILL).unwrap();
            survivor.wait_for(
                "the guest finds the mount dead",
                offset,
                LIMIT,
                |_, dead| dead > 0,
            );
            place.mounted = None;
            let offset = survivor.logged();
            survivor.wait_for("the guest finds no mount", offset, LIMIT, |_, dead| {
                dead > 0
            });
            place.mount_again();
            survivor.goes_on();
            survivor.turn_to_variants();
            // The mount is asked for its door meanwhile.
            survivor.wait_for("the guest works", survivor.logged(), LIMIT, |done, _| {
                done > 500
            });
        }
        Victim::Target => survivor.signal(SIGKILL),
    }
    if !matches!(victim, Victim::Target) {
        survivor.signal(SIGUSR1);
    }
    let Survivor { running, log } = survivor;
    let done = running.finish(LIMIT);
    place.wait_for_supervisors();
    place.wait_for_sessions();
    check_end(place, victim, &done);
    Log::read(&fs::read_to_string(log).unwrap()).unwrap_or_else(|e| panic!("{victim:?}: {e}"))
}

/// The workers, and for [`Victim::Both`] the guardian before or after them.
fn kill_both(supervisor: &Supervisor, victim: Victim) {
    let mut pids = vec![supervisor.workers.as_ref().expect("workers").pid()];
    if let Victim::Both = victim {
        pids.push(supervisor.guardian.pid());
        // Either first, by chance.
        let by_chance = usize::try_from(pids[0].as_raw()).unwrap() / 7 % 2;
        pids.rotate_left(by_chance);
    }
    for pid in pids {
        kill(pid, SIGKILL).unwrap();
    }
}

fn check_end(place: &Place, victim: Victim, done: &Done) {
    if let Victim::Target = victim {
        assert_eq!(done.status.signal(), Some(9), "{done:?}");
    } else {
        assert_eq!(done.status.code(), Some(0), "{done:?}");
    }
    match victim {
        // Made with the variants that were used only after the kill.
        Victim::Guardian | Victim::Keeper | Victim::FileSystem => {
            Report::read(&place.report()).assert_bypassed(&["mkdirat", "renameat", "unlinkat"]);
        }
        Victim::Workers | Victim::Both => {
            let lines = done.err.lines();
            assert!(
                lines.clone().all(|line| line.contains("without bypass")),
                "{done:?}"
            );
            // The guardian may have had the time to say so, too.
            let at_most = if let Victim::Both = victim { 2 } else { 1 };
            assert!((1..=at_most).contains(&lines.count()), "{done:?}");
        }
        Victim::Target => assert_eq!(done.err, ""),
    }
}

/// What is not known of a call is what a file system that died was executing: one call a thread, as on plain
/// FUSE. The kernel's door closes a moment after the bypass's, so a thread's next call may be one of the
/// kernel's.
fn check_unsure(unsure: &[String], victim: Victim, place: &Place) {
    if !matches!(victim, Victim::FileSystem) {
        assert!(unsure.is_empty(), "{victim:?}: unsure: {unsure:?}");
        return;
    }
    let report = Report::read(&place.report());
    assert!(report.failed() <= THREADS as u64, "{unsure:?} {report:#?}");
    for thread in 0..THREADS {
        let own = format!("{thread} ");
        let calls: Vec<_> = unsure
            .iter()
            .filter(|line| line.starts_with(&own))
            .collect();
        let is_one_each = match calls[..] {
            [] | [_] => true,
            // Nothing is executed any more: the last one begins a round.
            [_, last] => last.ends_with(" 1 ECONNABORTED"),
            _ => false,
        };
        assert!(is_one_each, "{unsure:?} {report:#?}");
    }
}

#[test]
fn kills_at_random_moments() {
    const VICTIMS: [Victim; 6] = [
        Victim::Workers,
        Victim::FileSystem,
        Victim::Guardian,
        Victim::Target,
        Victim::Both,
        Victim::Keeper,
    ];
    let Some(mut place) = Place::mount() else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "survivor.c", place.dir.path()) else {
        return;
    };
    let kills = number("FINESSE_KILLS", 12);
    let seed = number("FINESSE_KILLS_SEED", 0x5eed);
    let mut moments = Moments(seed | 1);
    let (mut calls, mut unsure) = (0, 0);
    let mut longest = BTreeMap::<_, u64>::new();
    for victim in VICTIMS.iter().cycle().take(usize::try_from(kills).unwrap()) {
        let log = kill_one(&mut place, &program, *victim, moments.next(0..30_000));
        log.check(&place.source.join("work"))
            .unwrap_or_else(|e| panic!("{victim:?}: {e}"));
        check_unsure(&log.unsure, *victim, &place);
        assert_eq!(log.longest.is_some(), !matches!(victim, Victim::Target));
        let hung = log.longest.unwrap_or(0);
        assert!(
            Duration::from_micros(hung) < HANGS,
            "{victim:?}: a call took {hung} µs"
        );
        (calls, unsure) = (calls + log.calls, unsure + log.unsure.len());
        let of_victim = longest.entry(format!("{victim:?}")).or_default();
        *of_victim = hung.max(*of_victim);
        fs::remove_file(place.dir.path().join("log")).unwrap();
        fs::remove_dir_all(place.source.join("work")).unwrap();
        fs::create_dir(place.source.join("work")).unwrap();
        place.mount_again();
    }
    println!(
        "seed {seed}: {kills} kills, {calls} calls, {unsure} unsure, the longest took, in µs: {longest:?}"
    );
    place.leave();
}

/// The program makes no call while the file system is away, and so does not see it go.
#[test]
fn a_file_system_comes_back_unseen() {
    let Some(mut place) = Place::mount() else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "survivor.c", place.dir.path()) else {
        return;
    };
    let survivor = Survivor::start(&place, &program, Victim::FileSystem);
    let guest = survivor.child();
    kill(guest, SIGSTOP).unwrap();
    // Who runs it stops with it, and passes signals on.
    let runner = survivor.running.pid();
    timed::until("the guest has stopped", LIMIT, || {
        is_stopped(guest) && is_stopped(runner)
    });
    place.mount_again();
    survivor.signal(SIGCONT);
    survivor.turn_to_variants();
    survivor.wait_for("the guest works", survivor.logged(), LIMIT, |done, _| {
        done > 500
    });
    survivor.signal(SIGUSR1);
    let done = survivor.running.finish(LIMIT);
    check_end(&place, Victim::FileSystem, &done);
    place.leave();
}

/// A file system that does not answer, until this is dropped.
pub(crate) struct Silent(pub(crate) Pid);

impl Silent {
    fn new(pid: Pid) -> Silent {
        kill(pid, SIGSTOP).unwrap();
        let silent = Silent(pid);
        timed::until("the file system has stopped", LIMIT, || is_stopped(pid));
        silent
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = kill(self.0, SIGCONT);
    }
}

/// Until a call waits for a file system that keeps silent, while others were answered by another one.
fn with_a_call_that_waits(end: impl FnOnce(Running, Silent)) {
    let (Some(slow), Some(fast)) = (Place::mount(), Place::mount()) else {
        return;
    };
    let Some((running, silent, _)) = waiting(&slow, &fast, 0, || Silent::new(slow.server())) else {
        return;
    };
    end(running, silent);
    for place in [slow, fast] {
        place.leave();
    }
}

/// A guest whose first thread waits for `slow`, which something in `silence` keeps from answering, and whose
/// second one has worked on `fast` meanwhile. `newcomers` are in the guest's words.
fn waiting(
    slow: &Place,
    fast: &Place,
    newcomers: u32,
    silence: impl FnOnce() -> Silent,
) -> Option<(Running, Silent, Supervisor)> {
    let program = guest::build(Kind::GlibcStatic, "waiting.c", slow.dir.path())?;
    let mut command = fast.finesse_run_alone(&program);
    command.arg(slow.work()).arg(fast.work());
    command.args((newcomers > 0).then(|| newcomers.to_string()));
    let running = timed::start(&mut command);
    timed::until("the guest is ready", LIMIT, || {
        running.written() == "ready\n"
    });
    let supervisor = processes::supervisor(&fast.policy).expect("a supervisor");
    let silent = silence();
    kill(running.pid(), SIGUSR1).unwrap();
    timed::until("the other thread has worked", LIMIT, || {
        running.written().contains("worked")
    });
    let written = running.written();
    let longest = written
        .lines()
        .find_map(|line| line.strip_prefix("worked "));
    let longest = Duration::from_micros(longest.expect(&written).parse().unwrap());
    println!("beside a call that waits the longest took {longest:?}");
    assert!(longest < HANGS, "{written}");
    Some((running, silent, supervisor))
}

/// Who dies while a call is in service.
#[derive(Debug, Clone, Copy)]
enum Dead {
    Workers,
    Both,
    /// The guardian when it has taken over.
    OneAfterTheOther,
}

impl Dead {
    fn kill(self, supervisor: &Supervisor) {
        match self {
            Dead::Workers => kill_both(supervisor, Victim::Workers),
            Dead::Both => kill_both(supervisor, Victim::Both),
            Dead::OneAfterTheOther => {
                kill_both(supervisor, Victim::Workers);
                sleep(Duration::from_millis(100));
                kill(supervisor.guardian.pid(), SIGKILL).unwrap();
            }
        }
    }
}

/// The call is in the file system's hands when those die who would have answered it. Its file system waits for
/// another one, which keeps silent.
fn with_a_call_in_service(dead: Dead, end: impl FnOnce(Running, Silent, &mut Place)) {
    let (Some(below), Some(fast)) = (Place::mount(), Place::mount()) else {
        return;
    };
    let Some(mut slow) = Place::mount_on(|_| below.work()) else {
        return;
    };
    let silence = || Silent::new(below.server());
    let Some((running, silent, supervisor)) = waiting(&slow, &fast, 0, silence) else {
        return;
    };
    dead.kill(&supervisor);
    sleep(Duration::from_millis(100));
    let written = running.written();
    assert!(!written.contains("answered"), "{written}");
    end(running, silent, &mut slow);
    for place in [slow, fast, below] {
        place.leave();
    }
}

#[test]
fn a_call_in_service_gets_its_result_when_the_supervisor_dies() {
    for dead in [Dead::Workers, Dead::Both, Dead::OneAfterTheOther] {
        with_a_call_in_service(dead, |running, silent, slow| {
            drop(silent);
            let done = running.finish(LIMIT);
            assert!(done.out.ends_with("answered 0\n"), "{dead:?}: {done:?}");
            assert!(slow.source.join("work/slow").is_dir());
        });
    }
}

#[test]
fn a_call_in_service_fails_when_its_file_system_dies_too() {
    for dead in [Dead::Workers, Dead::Both, Dead::OneAfterTheOther] {
        with_a_call_in_service(dead, |running, silent, slow| {
            let before = Instant::now();
            kill(slow.server(), SIGKILL).unwrap();
            let done = running.finish(LIMIT);
            assert!(before.elapsed() < HANGS, "{:?}", before.elapsed());
            assert!(
                done.out.ends_with("answered ECONNABORTED\n"),
                "{dead:?}: {done:?}"
            );
            drop(silent);
            slow.mount_again();
        });
    }
}

#[test]
fn a_slow_call_holds_up_no_other_and_is_answered() {
    with_a_call_that_waits(|running, silent| {
        sleep(Duration::from_secs(number("FINESSE_SLOW_SECONDS", 0)));
        assert!(
            !running.written().contains("answered"),
            "{}",
            running.written()
        );
        drop(silent);
        let done = running.finish(LIMIT);
        assert!(
            done.status.success() && done.out.ends_with("answered 0\n"),
            "{done:?}"
        );
    });
}

#[test]
fn who_waits_for_a_slow_call_can_be_interrupted() {
    for signal in [SIGINT, SIGKILL] {
        with_a_call_that_waits(|running, silent| {
            let before = Instant::now();
            kill(running.pid(), signal).unwrap();
            let done = running.finish(LIMIT);
            assert!(
                before.elapsed() < HANGS,
                "{signal} took {:?}",
                before.elapsed()
            );
            assert_eq!(done.status.signal(), Some(signal as i32), "{done:?}");
            assert!(!done.out.contains("answered"), "{done:?}");
            drop(silent);
        });
    }
}
