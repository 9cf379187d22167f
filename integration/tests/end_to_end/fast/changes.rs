//! What changes while programs post themselves: the mounts, the ways to them, and the door.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use finesse_wire::DOOR_NAME;

use super::{FAST, LIMIT, do_all};
use crate::doors::{device_of, put_door};
use crate::guest::{self, Kind};
use crate::peer::FakeRuntime;
use crate::processes;
use crate::report::Report;
use crate::timed;
use crate::twins::{Setting, Twins};

/// After what others did, the supervisor's thread has told the programs by then.
const TOLD: Duration = Duration::from_millis(200);

/// A directory above the mount gives its name away to another one. Before that something happens inside of it,
/// which is no news of the mount, and must not be the last that is heard.
#[test]
fn a_mount_that_was_moved_away_is_not_posted_to() {
    let Some(twins) = Twins::mount(FAST, "up/mnt") else {
        return;
    };
    let dir = twins.dir.path();
    let Some(program) = guest::build(Kind::GlibcStatic, "moved.c", dir) else {
        return;
    };
    let report = dir.join("report.json");
    let mount = twins.bypass.path().to_owned();
    let mut command = twins.finesse_run(&["--report-json".as_ref(), report.as_os_str()]);
    command.arg("--").arg(program).arg(&mount).arg(dir);
    let running = timed::start(&mut command);
    let says = |word: &str| timed::until(word, LIMIT, || running.written().contains(word));
    let sign = |number: &str| fs::write(dir.join(number), "").unwrap();
    says("ready");
    let above = mount.parent().unwrap();
    let beside = above.join("beside");
    fs::write(&beside, "").unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).unwrap();
    thread::sleep(TOLD);
    sign("1");
    says("again");
    let moved = above.with_file_name("moved");
    fs::rename(above, &moved).unwrap();
    fs::create_dir_all(&mount).unwrap();
    thread::sleep(TOLD);
    sign("2");
    let done = running.finish(LIMIT);
    let last = "last";
    let places = [mount.join(last), twins.bypass.source.join(last)].map(|it| it.exists());
    fs::remove_dir_all(above).unwrap();
    fs::rename(&moved, above).unwrap();
    assert!(done.out.ends_with("failed 0\n"), "{done:?}");
    assert_eq!(places, [true, false], "beside and in the file system");
    let untrapped = Report::read(&report).untrapped();
    assert!(untrapped > 100, "{untrapped} calls without a trap");
}

/// How often the thread of this name has gone to sleep.
fn sleeps(process: i32, name: &str) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let status = tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok())
        .find(|status| status.lines().next() == Some(&format!("Name:\t{name}")))
        .unwrap_or_else(|| panic!("no thread {name}"));
    let line = status
        .lines()
        .find(|line| line.starts_with("voluntary_ctxt_switches:"));
    let count = line.and_then(|line| line.split_whitespace().nth(1));
    count.unwrap().parse().unwrap()
}

#[test]
fn nobody_looks_again_and_again_after_a_mount() {
    /// While nothing happens.
    const WHILE: Duration = Duration::from_millis(500);
    let Some(twins) = Twins::mount(FAST, "") else {
        return;
    };
    let running = timed::start(&mut twins.finesse_run(&["--", "sleep", "60"]));
    let workers = || processes::supervisor(&twins.policy).and_then(|it| it.workers);
    timed::until("there are workers", LIMIT, || {
        workers().is_some_and(|it| {
            let tasks = fs::read_dir(format!("/proc/{}/task", it.pid)).unwrap();
            tasks.count() > 3
        })
    });
    let workers = workers().unwrap();
    let before = sleeps(workers.pid, "mounts");
    drop(Twins::mount(Setting::MEMORY, ""));
    thread::sleep(TOLD);
    let told = sleeps(workers.pid, "mounts");
    assert!(told > before, "the thread heard of no mount");
    let looks = || {
        let before = sleeps(workers.pid, "mounts");
        thread::sleep(WHILE);
        sleeps(workers.pid, "mounts") - before
    };
    // Other tests mount at the same time, but not all the time; a look every 10 ms is 50.
    let fewest = (0..8).map(|_| looks()).find(|looks| *looks < 25);
    assert!(fewest.is_some(), "more than 25 times in each {WHILE:?}");
    drop(running);
}

/// A program that is to post itself gets a session where the first one was found. The mount might not answer.
#[test]
fn the_mount_is_asked_for_its_door_once() {
    let setting = Setting {
        fast: true,
        ..Setting::PASSTHROUGH
    };
    let Some(twins) = Twins::mount(setting, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "pairs.c", twins.dir.path()) else {
        return;
    };
    let link = twins.plain.source.join(Path::new(DOOR_NAME));
    let device = device_of(twins.plain.path());
    let came = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&came);
    let fake = FakeRuntime::start(nix::unistd::geteuid().as_raw(), move |socket| {
        // The door is gone once somebody has come through it.
        do_all(
            socket,
            device,
            &noted,
            || {},
            || {
                let _ = fs::remove_file(&link);
            },
        );
    });
    put_door(&twins.plain, &fake.door().to_string());
    let mut command = twins.finesse_run(&["--".as_ref(), program.as_os_str()]);
    let done = timed::run(command.arg(twins.plain.path()), LIMIT);
    assert_eq!(done.out, "failed 0\n", "{done:?}");
    assert!(!twins.plain.source.join(DOOR_NAME).is_symlink());
    assert!(came.load(Ordering::SeqCst), "no session of its own");
}
