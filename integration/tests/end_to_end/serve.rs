//! `finesse-serve`: daemons of others with the bypass door.
//!
//! `FINESSE_SERVE_ROUNDS` (default 60) asks for more rounds of the races, `make soak-serve` for 100,000.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use finesse_integration::mount::{End, FileSystem, MountRequest, Mounted};
use finesse_integration::programs;
use nix::sys::signal::{SIGTERM, kill};

use crate::environment::number;
use crate::foreign::{Foreign, examples};
use crate::guest::{self, Kind};
use crate::report::Report;
use crate::timed::{self, Done, Running};
use crate::twins::{Setting, Twins, have_fuse};

const LIMIT: Duration = Duration::from_secs(60);

/// The reserved name in the root.
const DOOR: &str = ".finesse-door";

const fn of(foreign: Foreign, ttl: f64) -> Setting {
    Setting {
        foreign: Some(foreign),
        ttl,
        ..Setting::PASSTHROUGH
    }
}

/// Two programs through the bypass door and one through the kernel's, all in one directory.
fn race(foreign: Foreign, ttl: f64, share: u64) {
    race_of_visits(foreign, ttl, share, 1);
}

/// The same, where the two do their rounds in so many visits each, with nobody at the door between.
fn race_of_visits(foreign: Foreign, ttl: f64, share: u64, visits: u64) {
    let Some(twins) = Twins::mount(of(foreign, ttl), "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "rounds.c", twins.dir.path()) else {
        return;
    };
    let dir = twins.bypass.path().join("dir");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("anchor"), "").unwrap();
    let rounds = number("FINESSE_SERVE_ROUNDS", 60) / share;
    let limit = LIMIT + Duration::from_millis(100) * rounds.try_into().unwrap();
    let arguments = |id: &str, rounds: u64| -> Vec<OsString> {
        let rounds = rounds.to_string();
        let words = [
            program.as_os_str(),
            dir.as_os_str(),
            id.as_ref(),
            rounds.as_ref(),
        ];
        words.map(OsString::from).into()
    };
    let report = |id: &str| twins.dir.path().join(format!("report-{id}.json"));
    let visit = |id: &str| {
        let mut words = vec!["--report-json".into(), report(id).into(), "--".into()];
        words.extend(arguments(id, rounds / visits));
        timed::run(&mut twins.finesse_run(&words), limit)
    };
    let bypass = |id: &str| Vec::from_iter((0..visits).map(|_| visit(id)));
    let kernel = timed::start(&mut timed::command(&arguments("0", rounds)));
    let mut done = std::thread::scope(|scope| {
        let one = scope.spawn(|| bypass("1"));
        let mut both = bypass("2");
        both.extend(one.join().unwrap());
        both
    });
    done.push(kernel.finish(limit));
    let mut sums = [0_i64; 4];
    for done in &done {
        assert!(done.status.success(), "{}: {done:?}", foreign.program);
        let counts = done
            .out
            .split_whitespace()
            .map(|count| count.parse::<i64>().unwrap());
        sums.iter_mut()
            .zip(counts)
            .for_each(|(sum, count)| *sum += count);
    }
    // What was made and not removed is there, and nothing else.
    for (name, left) in [("common", sums[0] - sums[1]), ("both", sums[2] - sums[3])] {
        let there = i64::from(dir.join(name).exists());
        assert_eq!(left, there, "{}: {name}: {sums:?}", foreign.program);
    }
    // libfuse gives a file another name that is removed while it is open; it goes when its last
    // descriptor is released, which the kernel does not wait for. Before 3.15 some stay, on plain
    // mounts too (libfuse issue 746).
    let known = ["anchor", "common", "both"];
    let is_hidden = |name: &OsString| name.as_bytes().starts_with(b".fuse_hidden");
    let rest = || {
        let names = fs::read_dir(&dir).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| known.iter().all(|known| name != known) && !is_hidden(name))
            .count()
    };
    timed::until("nothing else is left there", LIMIT, || rest() == 0);
    for id in ["1", "2"] {
        Report::read(&report(id)).assert_bypassed(&["mkdir", "rename", "unlink", "rmdir"]);
    }
    println!(
        "{}: {rounds} rounds of each of three; of common names made and removed: {sums:?}",
        foreign.program
    );
}

#[test]
fn a_race_on_bindfs() {
    race(Foreign::BINDFS, 1.0, 1);
}

#[test]
fn a_race_of_visits() {
    let visits = number("FINESSE_SERVE_ROUNDS", 60) / 3;
    race_of_visits(Foreign::BINDFS, 1.0, 1, visits);
    race_of_visits(Foreign::PASSTHROUGH_LL, 1000.0, 1, visits);
}

#[test]
fn a_race_on_an_example_of_libfuse() {
    race(Foreign::PASSTHROUGH_LL, 1.0, 1);
}

#[test]
fn a_race_on_fuser() {
    race(Foreign::FUSER, 1.0, 1);
}

#[test]
fn a_race_on_mergerfs() {
    race(Foreign::MERGERFS, 1.0, 1);
}

#[test]
fn a_race_on_unionfs() {
    race(Foreign::UNIONFS, 1.0, 1);
}

#[test]
fn a_race_on_overlay() {
    race(Foreign::OVERLAY, 1.0, 1);
}

#[test]
fn a_race_on_disorderfs() {
    race(Foreign::DISORDERFS, 1.0, 1);
}

#[test]
fn a_race_on_another_example_of_libfuse() {
    race(Foreign::PASSTHROUGH_FH, 1.0, 1);
}

/// Each call is a round trip to another process.
#[test]
fn a_race_on_sshfs() {
    race(Foreign::SSHFS, 1.0, 4);
}

/// The kernel asks to remove what a bypassed removal has taken away meanwhile, which it never does alone, and
/// unionfs-fuse has no good errno for it. Here the name is taken away below the daemon.
#[test]
fn a_removal_that_was_overtaken_finds_nothing() {
    let Some(twins) = Twins::mount(of(Foreign::UNIONFS, 1000.0), "") else {
        return;
    };
    let (root, source) = (twins.bypass.path(), &twins.bypass.source);
    let sides = [root, twins.plain.path()];
    for side in sides {
        for name in ["unlinked", "renamed", "kept"] {
            fs::write(side.join(name), "").unwrap();
        }
        fs::create_dir_all(side.join("removed/below")).unwrap();
    }
    let shown = root.display().to_string();
    let script = format!("mkdir {shown}/a && echo made && sleep 30");
    let words: Vec<OsString> = ["--", "sh", "-c", &script].map(OsString::from).into();
    let running = timed::start(&mut twins.finesse_run(&words));
    timed::until("a supervisor is there", LIMIT, || {
        running.written() == "made\n"
    });
    let errno = |result: std::io::Result<()>| result.unwrap_err().raw_os_error().unwrap();
    let removed = root.join("removed");
    assert_eq!(errno(fs::remove_dir(&removed)), libc::ENOTEMPTY);
    for source in [source, &twins.plain.source] {
        fs::remove_file(source.join("unlinked")).unwrap();
        fs::remove_file(source.join("renamed")).unwrap();
        fs::remove_dir_all(source.join("removed")).unwrap();
    }
    let plain = errno(fs::remove_file(twins.plain.path().join("unlinked")));
    assert_eq!(plain, libc::ERANGE, "it has no bad errno any more");
    assert_eq!(errno(fs::remove_file(root.join("unlinked"))), libc::ENOENT);
    assert_eq!(errno(fs::remove_dir(&removed)), libc::ENOENT);
    let renamed = fs::rename(root.join("renamed"), root.join("new"));
    assert_eq!(errno(renamed), libc::ENOENT);
    fs::remove_file(root.join("kept")).unwrap();
}

/// While nobody comes through the bypass door, the requests of the kernel pass it by. What it was given by them
/// it must not show when a bypassed call has changed that, and what they have changed the next bypassed call must see.
fn nobody_there_before(foreign: Foreign) {
    let Some(twins) = Twins::mount(of(foreign, 1000.0), "") else {
        return;
    };
    let root = twins.bypass.path();
    let report = twins.dir.path().join("report.json");
    let run = |script: &str, bypassed: &[&str]| {
        let script = format!("cd {} && {script}", root.display());
        let words = ["--report-json".into(), report.clone().into(), "--".into()];
        let words = words
            .into_iter()
            .chain(["sh", "-c", &script].map(OsString::from));
        let done = timed::run(&mut twins.finesse_run(&Vec::from_iter(words)), LIMIT);
        assert!(done.status.success(), "{}: {done:?}", foreign.program);
        Report::read(&report).assert_bypassed(bypassed);
    };
    let look = |name: &str| root.join(name).symlink_metadata();
    for name in ["found", "named", "listed", "kept"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    for name in ["found/old", "named/old"] {
        fs::write(root.join(name), "").unwrap();
    }
    fs::write(twins.bypass.source.join("listed/old"), "").unwrap();
    fs::rename(root.join("named/old"), root.join("named/new")).unwrap();
    fs::create_dir(root.join("kept/below")).unwrap();
    // Each in another way, and for a thousand seconds.
    look("found/old").unwrap();
    look("found/missing").unwrap_err();
    for entry in fs::read_dir(root.join("listed")).unwrap() {
        entry.unwrap().metadata().unwrap();
    }
    run(
        "rm found/old named/new listed/old && mkdir found/missing kept/below/made && cd kept && mkdir made",
        &["unlinkat", "mkdir"],
    );
    for gone in ["found/old", "named/new", "listed/old"] {
        assert!(look(gone).is_err(), "{}: {gone}", foreign.program);
    }
    for made in ["found/missing", "kept/made", "kept/below/made"] {
        assert!(look(made).unwrap().is_dir(), "{}: {made}", foreign.program);
    }
    // The walk to `below` is remembered for a thousand seconds, too.
    let daemon = twins.bypass.mounted.pid().unwrap();
    timed::until("nobody is there", LIMIT, || {
        !has_thread(daemon, "finesse-session")
    });
    // What is asked first may wake a thread that still looks for both doors.
    look("missing").unwrap_err();
    fs::rename(root.join("kept"), root.join("moved")).unwrap();
    fs::create_dir_all(root.join("kept/below")).unwrap();
    run("mkdir kept/below/last", &["mkdir"]);
    let places = ["kept/below/last", "moved/below/last"].map(|name| look(name).is_ok());
    assert_eq!(places, [true, false], "{}", foreign.program);
}

#[test]
fn nobody_was_there_before_on_bindfs() {
    nobody_there_before(Foreign::BINDFS);
}

#[test]
fn nobody_was_there_before_on_an_example_of_libfuse() {
    nobody_there_before(Foreign::PASSTHROUGH_LL);
}

/// Mounts as `finesse-serve` does it and shows what became of it: whether the door is there, and what was said.
fn look_at(daemon: &str, arguments: &[OsString], dir: &Path) -> (bool, String) {
    let mountpoint = dir.join("at");
    fs::create_dir_all(&mountpoint).unwrap();
    let mut words: Vec<OsString> = vec!["--".into(), daemon.into()];
    words.extend_from_slice(arguments);
    let serve = programs::serve().unwrap();
    let request = MountRequest::new(&serve, FileSystem::Daemon(&words));
    let mounted = request.start(&mountpoint).unwrap();
    fs::create_dir(mountpoint.join("made")).unwrap();
    let door = fs::read_link(mountpoint.join(DOOR)).is_ok();
    let words = mounted.words().unwrap();
    drop(mounted);
    (door, std::io::read_to_string(rewound(words)).unwrap())
}

fn rewound(mut file: fs::File) -> fs::File {
    use std::io::Seek;
    file.rewind().unwrap();
    file
}

fn bindfs(dir: &Path) -> Vec<OsString> {
    let source = dir.join("source");
    fs::create_dir_all(&source).unwrap();
    ["-f".into(), source.into()].into()
}

#[test]
fn a_daemon_that_agrees_on_more_is_served_as_before() {
    if !have_fuse() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (door, words) = look_at("bindfs", &bindfs(dir.path()), dir.path());
    assert!(door && words.is_empty(), "{words}");
    // Write-back caching and access control lists are its defaults.
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| {
        let made = dir.path().join(name);
        fs::create_dir(&made).unwrap();
        made.display().to_string()
    });
    let layers = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    let arguments = ["-f", "-o", &layers].map(OsString::from);
    let (door, words) = look_at("fuse-overlayfs", &arguments, dir.path());
    let warnings = words
        .lines()
        .filter(|line| line.starts_with("finesse-serve:"));
    assert!(!door, "{words}");
    assert_eq!(warnings.count(), 1, "{words}");
}

#[test]
fn the_link_to_the_door_is_nobodys_to_change() {
    let Some(twins) = Twins::mount(of(Foreign::BINDFS, 1.0), "") else {
        return;
    };
    let root = twins.bypass.path();
    let link = root.join(DOOR);
    let errno = |result: std::io::Result<()>| result.unwrap_err().raw_os_error().unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert!(
        !fs::read_dir(root)
            .unwrap()
            .any(|entry| entry.unwrap().file_name() == DOOR)
    );
    assert_eq!(errno(fs::remove_file(&link)), libc::EPERM);
    assert_eq!(errno(fs::rename(&link, root.join("x"))), libc::EPERM);
    assert_eq!(errno(fs::create_dir(&link)), libc::EEXIST);
    assert_eq!(errno(symlink("x", &link)), libc::EEXIST);
    fs::write(root.join("f"), "").unwrap();
    assert_eq!(errno(fs::hard_link(root.join("f"), &link)), libc::EEXIST);
    assert_eq!(errno(fs::rename(root.join("f"), &link)), libc::EPERM);
    assert!(!twins.plain.path().join(DOOR).exists());
}

/// Runs `finesse-serve` with a program that mounts nothing.
fn serve(words: &[&str]) -> Done {
    let mut command = timed::command(&[programs::serve().unwrap()]);
    timed::run(command.args(words), LIMIT)
}

#[test]
fn what_cannot_be_served_is_run_plain_and_told() {
    let done = serve(&["--", "busybox", "echo", "plain"]);
    assert_eq!(
        (done.out.as_str(), done.status.code()),
        ("plain\n", Some(0))
    );
    assert!(done.err.contains("linked statically"), "{}", done.err);
    let dir = tempfile::tempdir().unwrap();
    let Some(program) = guest::build(Kind::Go, "walk.go", dir.path()) else {
        return;
    };
    let checked = serve(&["--check", program.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(checked.out.contains("written in Go"), "{}", checked.out);
}

#[test]
fn the_programs_own_end_is_shown() {
    let done = serve(&["--", "sh", "-c", "exit 9"]);
    assert_eq!((done.status.code(), done.err.as_str()), (Some(9), ""));
    assert_eq!(serve(&["--", "no-such-daemon"]).status.code(), Some(127));
    let elsewhere = serve(&["--library", "/no/such/library", "--", "true"]);
    assert_eq!(elsewhere.status.code(), Some(125));
}

/// Ends by itself when it is unmounted, as a daemon does that nobody kills.
fn until_unmounted(program: &Path, arguments: &[OsString], mountpoint: &Path) -> Mounted {
    fs::create_dir_all(mountpoint).unwrap();
    let mut command = timed::command(&[program]);
    // Cargo's own way to libraries must not be theirs.
    command.env_remove("LD_LIBRARY_PATH");
    command.args(arguments).arg(mountpoint);
    Mounted::start(&mut command, mountpoint, End::Unmounted).unwrap()
}

/// A program that has made a directory at `root` through the bypass door, and goes on.
fn supervised(root: &Path, report: &Path) -> Running {
    let mut command = timed::command(&[programs::run().unwrap()]);
    let script = format!("mkdir {}/a && echo made && sleep 30", root.display());
    command.arg("--report-json").arg(report);
    let running = timed::start(command.args(["--", "sh", "-c", &script]));
    timed::until("the program made a directory", LIMIT, || {
        running.written() == "made\n"
    });
    running
}

/// Whether a process has a thread of that name.
fn has_thread(pid: u32, name: &str) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut names = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")));
    names.any(|found| found.is_ok_and(|found| found.trim_end() == name))
}

/// The daemon ends as ever, whatever a supervisor has open: with one thread, and with many, of which some sleep
/// until there is something to do.
#[test]
fn unmounting_waits_for_no_supervisor() {
    if !have_fuse() {
        return;
    }
    let serve = programs::serve().unwrap();
    for threads in [&["-s"][..], &[]] {
        let dir = tempfile::tempdir().unwrap();
        let mountpoint = dir.path().join("at");
        let mut words: Vec<OsString> = ["--", "bindfs"].map(OsString::from).into();
        words.extend(threads.iter().map(OsString::from));
        words.extend(bindfs(dir.path()));
        let mounted = until_unmounted(&serve, &words, &mountpoint);
        let running = supervised(&mountpoint, &dir.path().join("report"));
        assert!(has_thread(mounted.pid().unwrap(), "finesse-session"));
        mounted.unmount().unwrap();
        drop(running);
    }
}

/// "Simple recompilation": the library is linked, and nothing is preloaded.
#[test]
fn a_daemon_may_link_the_library_instead() {
    if !have_fuse() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let library = programs::serve().unwrap();
    let libdir = format!(
        "--define-variable=libdir={}",
        library.parent().unwrap().display()
    );
    let pc = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fs-runtime/serve/finesse-serve.pc");
    // Some compilers say so by themselves.
    let mut flags = vec!["-Wl,--as-needed".to_owned()];
    flags.extend(examples::pkg_config(&[
        "--libs",
        &libdir,
        pc.to_str().unwrap(),
    ]));
    // It calls nothing by itself that the library has, so the linker has no need of it.
    let program = examples::compile("hello", dir.path(), &flags);
    let (mountpoint, in_foreground) = (dir.path().join("at-hello"), ["-f".into()]);
    let mounted = until_unmounted(&program, &in_foreground, &mountpoint);
    assert!(fs::read_link(mountpoint.join(DOOR)).is_ok());
    mounted.unmount().unwrap();
    let program = examples::compile("passthrough", dir.path(), &flags);
    let (mountpoint, report) = (dir.path().join("at"), dir.path().join("report"));
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    let below = format!("modules=subdir,subdir={}", source.display());
    let arguments = ["-f", "-o", &below].map(OsString::from);
    let mounted = until_unmounted(&program, &arguments, &mountpoint);
    let running = supervised(&mountpoint, &report);
    kill(running.pid(), SIGTERM).unwrap();
    running.finish(LIMIT);
    Report::read(&report).assert_bypassed(&["mkdir"]);
    mounted.unmount().unwrap();
}
