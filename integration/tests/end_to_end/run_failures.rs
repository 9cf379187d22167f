//! Any process may be killed at any time: the program goes on as it can, and never hangs. And while nothing
//! happens, nothing is used.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{SIGKILL, kill};
use nix::unistd::Pid;

use crate::guest::{self, Kind};
use crate::processes::{self, Process};
use crate::timed;
use crate::twins::{Setting, Twin, Twins};

const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);
const ROUNDS: usize = 3000;

fn steady(twins: &Twins) -> Option<timed::Running> {
    let program = guest::build(Kind::GlibcStatic, "steady.c", twins.dir.path())?;
    let mut command = twins.finesse_run(&["--"]);
    command
        .arg(program)
        .arg(twins.bypass.path())
        .arg(ROUNDS.to_string());
    let running = timed::start(&mut command);
    timed::until("the guest is at work", SOON, || {
        running.written().lines().count() >= 3
    });
    Some(running)
}

fn directories(twin: &Twin) -> usize {
    fs::read_dir(&twin.source).unwrap().count()
}

#[test]
fn workers_killed_in_the_middle() {
    for _ in 0..3 {
        let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
            return;
        };
        let Some(running) = steady(&twins) else {
            return;
        };
        let supervisor = processes::supervisor(&twins.policy).expect("a supervisor");
        kill(supervisor.workers.expect("workers").pid(), SIGKILL).unwrap();
        let done = running.finish(LIMIT);
        assert!(done.status.success(), "{done:?}");
        // The call that was on its way got its result.
        let last = done.out.lines().last().unwrap_or_default();
        assert_eq!(last, "done, unsure of 0", "{done:?}");
        assert!(
            done.err.contains("without bypass") && done.err.lines().count() == 1,
            "{done:?}"
        );
        assert_eq!(directories(&twins.bypass), ROUNDS / 10);
    }
}

#[test]
fn file_system_killed_in_the_middle() {
    for _ in 0..3 {
        let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
            return;
        };
        let Some(running) = steady(&twins) else {
            return;
        };
        let pid = i32::try_from(twins.bypass.mounted.pid().unwrap()).unwrap();
        kill(Pid::from_raw(pid), SIGKILL).unwrap();
        let done = running.finish(LIMIT);
        assert_eq!(done.status.code(), Some(1), "{done:?}");
        let last = done.out.lines().last().unwrap_or_default();
        let errno = last.rsplit(' ').next().unwrap_or_default();
        assert!(["ENOTCONN", "ECONNABORTED"].contains(&errno), "{done:?}");
    }
}

#[test]
fn nothing_happens_and_nothing_is_used() {
    const RESIDENT_AT_MOST: u64 = 20 << 10;
    let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
        return;
    };
    let script = "mkdir \"$0/a\" \"$0/b\" && rmdir \"$0/a\" && echo asleep && exec sleep 100";
    let mut command = twins.finesse_run(&["--", "/bin/sh", "-c", script]);
    let running = timed::start(command.arg(twins.bypass.path()));
    timed::until("the program sleeps", SOON, || {
        running.written() == "asleep\n"
    });
    // Whoever watches for more does so for a bounded while.
    sleep(Duration::from_millis(300));
    let file_system = i32::try_from(twins.bypass.mounted.pid().unwrap()).unwrap();
    let now = || {
        let supervisor = processes::supervisor(&twins.policy).unwrap();
        let workers = supervisor.workers.unwrap();
        [
            supervisor.keeper.unwrap(),
            supervisor.guardian,
            workers,
            Process::of(file_system).unwrap(),
        ]
    };
    let before = now();
    sleep(Duration::from_secs(1));
    let after = now();
    assert_eq!(
        before.each_ref().map(|it| it.ticks),
        after.each_ref().map(|it| it.ticks),
        "{after:?}"
    );
    let resident: u64 = after[..3].iter().map(Process::resident).sum();
    assert!(
        resident > 100 && resident < RESIDENT_AT_MOST,
        "the supervisor holds {resident} KiB"
    );
}

#[test]
fn the_supervisor_ends_with_the_last_of_the_program() {
    let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
        return;
    };
    // A process that outlives the program keeps its supervisor.
    let script = "(sleep 1; mkdir \"$0/late\") & mkdir \"$0/early\"";
    let mut command = twins.finesse_run(&["--", "/bin/sh", "-c", script]);
    let done = timed::run(command.arg(twins.bypass.path()), LIMIT);
    assert!(done.status.success(), "{done:?}");
    assert!(processes::supervisor(&twins.policy).is_some());
    let late = twins.bypass.path().join("late");
    timed::until("the late directory is made", SOON, || late.is_dir());
    timed::until("the supervisor is gone", SOON, || {
        processes::supervisor(&twins.policy).is_none()
    });
}
