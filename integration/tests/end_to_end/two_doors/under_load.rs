//! Both doors at once, at random, in the same directories; afterwards both show what there is.
//!
//! `FINESSE_DOORS_SECONDS` (default 2, for each file system) asks for more.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};

use super::{MEMORY, PASSTHROUGH};
use crate::environment::number;
use crate::guest::{self, Kind};
use crate::lines::assert_same;
use crate::report::Report;
use crate::timed::{self, Done};
use crate::twins::{Setting, Twins};

/// The guest itself fails when one of its threads does nothing for 10 s.
const LIMIT: Duration = Duration::from_secs(40);
/// Less than [`LIMIT`], and more than all that a guest waits for.
const ABORT_AFTER: Duration = Duration::from_secs(30);
const ROUND: Duration = Duration::from_millis(700);
const THREADS: u32 = 3;

/// What both programs that are bypassed do often.
const CALLS: [&str; 6] = ["mkdir", "mknodat", "link", "unlink", "rmdir", "rename"];

struct Load<'a> {
    twins: &'a Twins,
    program: PathBuf,
    /// Changes are bypassed, look-ups are the kernel's, so one thread sees both doors.
    default_policy: PathBuf,
    steps: u64,
    /// How many of each of [`CALLS`].
    bypassed: [u64; CALLS.len()],
    rounds: u64,
}

impl Load<'_> {
    /// Two programs through the kernel and two through the bypass; then everybody's view.
    fn round(&mut self) {
        self.rounds += 1;
        let _end = Abort::start(self.twins.bypass.path());
        let reports = ["all", "changes"].map(|name| self.twins.dir.path().join(name));
        let arguments = |number: u64| -> Vec<OsString> {
            let mut arguments: Vec<OsString> =
                vec![self.program.clone().into(), self.twins.bypass.path().into()];
            let numbers = [
                u64::from(THREADS),
                ROUND.as_millis().try_into().unwrap(),
                self.rounds * 4 + number,
            ];
            arguments.extend(numbers.map(|number| number.to_string().into()));
            arguments
        };
        let mut all = self.twins.finesse_run::<&str>(&[]);
        all.arg("--report-json")
            .arg(&reports[0])
            .arg("--")
            .args(arguments(0));
        let mut changes = timed::command(&[finesse_integration::programs::run().unwrap()]);
        changes.arg("--policy").arg(&self.default_policy);
        changes
            .arg("--report-json")
            .arg(&reports[1])
            .arg("--")
            .args(arguments(1));
        let commands = [
            all,
            changes,
            timed::command(&arguments(2)),
            timed::command(&arguments(3)),
        ];
        let running = commands.map(|mut command| timed::start(&mut command));
        self.steps += running
            .into_iter()
            .map(|one| steps(&one.finish(LIMIT)))
            .sum::<u64>();
        for report in &reports {
            let report = Report::read(report);
            for (call, count) in CALLS.iter().zip(&mut self.bypassed) {
                *count += report.bypassed(call);
            }
        }
        self.compare();
    }

    fn compare(&self) {
        let mount = self.twins.bypass.path();
        let probe = |command: &mut std::process::Command| {
            let done = timed::run(command, LIMIT);
            assert!(done.status.success(), "{done:?}");
            done.out
        };
        let probing = |dir: &Path| timed::command(&[&self.program, dir, "probe".as_ref()]);
        let kernel = probe(&mut probing(mount));
        let arguments = [
            "--".as_ref(),
            self.program.as_path(),
            mount,
            "probe".as_ref(),
        ];
        let bypass = probe(&mut self.twins.finesse_run(&arguments));
        let what = format!("after round {}", self.rounds);
        assert_same(&what, ("bypass", &bypass), ("kernel", &kernel));
        let source = &self.twins.bypass.source;
        if fs::read_dir(source).unwrap().next().is_some() {
            let truth = probe(&mut probing(source));
            assert_same(&what, ("what there is", &truth), ("kernel", &kernel));
        }
        // Through the kernel: everything that it lists is there to be removed, and then nothing is left.
        for shared in fs::read_dir(mount).unwrap() {
            fs::remove_dir_all(shared.unwrap().path()).unwrap();
        }
        assert_eq!(fs::read_dir(source).unwrap().count(), 0);
    }
}

/// Aborts the mount unless dropped in time: threads that wait in the kernel for a lock that nobody gives back end
/// by nothing else, and the test would wait for them and not say what is wrong.
struct Abort {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Abort {
    fn start(mountpoint: &Path) -> Abort {
        let mountpoint = mountpoint.to_owned();
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            if stopped.recv_timeout(ABORT_AFTER) == Err(RecvTimeoutError::Timeout) {
                println!("HUNG: aborting {}", mountpoint.display());
                umount2(&mountpoint, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH).unwrap();
            }
        });
        Abort {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// What the guest counted.
fn steps(done: &Done) -> u64 {
    let steps = done
        .out
        .strip_prefix("steps ")
        .and_then(|rest| rest.trim().parse().ok());
    steps
        .filter(|_| done.status.success())
        .unwrap_or_else(|| panic!("{done:?}"))
}

fn soak(name: &str, setting: Setting) {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can do all that the guest does");
        return;
    }
    let Some(twins) = Twins::mount(setting, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "crowd.c", twins.dir.path()) else {
        return;
    };
    let default_policy = twins.dir.path().join("default.toml");
    fs::write(&default_policy, "version = 1\n").unwrap();
    let mut load = Load {
        twins: &twins,
        program,
        default_policy,
        steps: 0,
        bypassed: [0; CALLS.len()],
        rounds: 0,
    };
    let end = Instant::now() + Duration::from_secs(number("FINESSE_DOORS_SECONDS", 2));
    // On a busy machine a round may be short of some call.
    while Instant::now() < end || load.bypassed.contains(&0) && load.rounds < 10 {
        load.round();
    }
    let Load {
        steps,
        bypassed,
        rounds,
        ..
    } = load;
    let never: Vec<_> = CALLS
        .iter()
        .zip(bypassed)
        .filter(|(_, count)| *count == 0)
        .collect();
    assert!(never.is_empty(), "never bypassed: {never:?}");
    let bypassed: u64 = bypassed.iter().sum();
    println!("{name}: {rounds} rounds, {steps} steps, {bypassed} changes bypassed, no difference");
}

#[test]
fn two_doors_under_load_of_passthrough() {
    soak("passthrough", PASSTHROUGH);
}

#[test]
fn two_doors_under_load_of_memory() {
    soak("memory", MEMORY);
}
