//! What could come into the agent's way: unwinding, code that comes and goes, filters, and who looks on.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::fast::ways::Ways;
use crate::fast::{FAST, LIMIT, UNTRAPPED, same_and_posted};
use crate::guest::{self, Kind};
use crate::report::Report;
use crate::timed::{self, Done, Running};
use crate::twins::Twins;

fn unwinding(kind: Kind) {
    let Some(twins) = Twins::mount(FAST, "") else {
        return;
    };
    let Some(program) = guest::build(kind, "unwinding.cpp", twins.dir.path()) else {
        return;
    };
    same_and_posted(&twins, |dir| vec![program.clone().into(), dir.into()]);
}

#[test]
fn exceptions_and_cancellation_static() {
    unwinding(Kind::CppStatic);
}

#[test]
fn exceptions_and_cancellation_dynamic() {
    unwinding(Kind::CppDynamic);
}

#[test]
fn code_of_its_own_and_a_filter() {
    let Some(twins) = Twins::mount(FAST, "") else {
        return;
    };
    let build = |kind, source| guest::build(kind, source, twins.dir.path());
    let Some(program) = build(Kind::GlibcDynamic, "own_code.c") else {
        return;
    };
    // The numbers of mkdir and rmdir.
    let libraries = ["-DNUMBER=83", "-DNUMBER=84"]
        .map(|word| build(Kind::Library(word), "loaded.c").expect("the compiler is there"));
    same_and_posted(&twins, |dir| {
        let mut arguments: Vec<OsString> = vec![program.clone().into(), dir.into()];
        arguments.extend(libraries.clone().map(OsString::from));
        arguments
    });
}

/// A program that goes on until it is told to stop, watched by others.
struct Watched {
    twins: Twins,
    report: PathBuf,
    running: Running,
}

impl Watched {
    /// Started by `launcher`, which may be empty. None, with the reason printed, when something is missing.
    fn start(kind: Kind, launcher: &[&str]) -> Option<Watched> {
        let twins = Twins::mount(FAST, "")?;
        let program = guest::build(kind, "watched.c", twins.dir.path())?;
        let report = twins.dir.path().join("report.json");
        let run = twins.finesse_run(&[
            "--report-json".as_ref(),
            report.as_os_str(),
            "--".as_ref(),
            program.as_os_str(),
            twins.bypass.path().as_os_str(),
        ]);
        let mut words: Vec<OsString> = launcher.iter().map(OsString::from).collect();
        words.push(run.get_program().into());
        words.extend(run.get_args().map(OsString::from));
        let running = timed::start(&mut timed::command(&words));
        let watched = Watched {
            twins,
            report,
            running,
        };
        watched.make_rounds(1);
        Some(watched)
    }

    /// Its words: its process id, then a dot for some rounds each.
    fn words(&self) -> (String, usize) {
        let text = self.running.written();
        let (pid, dots) = text.split_once('\n').unwrap_or_default();
        (pid.to_owned(), dots.len())
    }

    /// Waits until it has made some more rounds.
    fn make_rounds(&self, more: usize) {
        let before = self.words().1;
        timed::until("it goes on", LIMIT, || self.words().1 >= before + more);
    }

    fn stop(self) -> Report {
        fs::write(self.twins.bypass.path().join("stop"), "").unwrap();
        let done = self.running.finish(LIMIT);
        assert!(done.status.success(), "{done:?}");
        assert!(done.out.ends_with(".\nwrong: 0\n"), "{done:?}");
        assert_eq!(done.err, "");
        let report = Report::read(&self.report);
        let untrapped = report.untrapped();
        assert!(untrapped > UNTRAPPED, "{untrapped} calls without a trap");
        report
    }
}

/// stat(2) is made where moves stand before the call.
#[test]
fn musl_posts_itself_from_its_own_sites() {
    if let Some(watched) = Watched::start(Kind::MuslStatic, &[]) {
        watched.make_rounds(2);
        let report = watched.stop();
        report.assert_untrapped(&["mkdir", "stat", "rmdir"]);
    }
}

/// The bootstrap lies there, in place of bytes that are mapped elsewhere, too.
#[test]
fn what_is_behind_a_text_may_be_another_segments() {
    if let Some(watched) = Watched::start(Kind::GlibcTight, &[]) {
        watched.make_rounds(2);
        watched.stop();
    }
}

fn have(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        println!("skipped: no {program}");
    }
    there
}

/// Each stops all threads at every call, the agent's included.
#[test]
fn traced_from_the_start() {
    if !have("strace") {
        return;
    }
    if let Some(watched) = Watched::start(
        Kind::GlibcStatic,
        &["strace", "-f", "-o", "/dev/null", "--"],
    ) {
        watched.make_rounds(3);
        watched.stop();
    }
}

/// Runs a tracer, in whose words PID stands for the program's; what comes and goes so stops it
/// anywhere, in the agent too.
fn attach(watched: &Watched, words: &[&str]) -> Done {
    let (pid, _) = watched.words();
    let named = |word: &&str| OsString::from(if *word == "PID" { &pid } else { *word });
    let words: Vec<OsString> = words.iter().map(named).collect();
    let done = timed::run(&mut timed::command(&words), LIMIT);
    watched.make_rounds(1);
    done
}

#[test]
fn traced_meanwhile() {
    if !have("strace") {
        return;
    }
    let Some(watched) = Watched::start(Kind::GlibcStatic, &[]) else {
        return;
    };
    let log = watched.twins.dir.path().join("log");
    for _ in 0..5 {
        let mut words = vec!["timeout", "-s", "INT", "0.2"];
        words.extend(["strace", "-f", "-o", log.to_str().unwrap(), "-p", "PID"]);
        let done = attach(&watched, &words);
        let calls = fs::read_to_string(&log).unwrap().lines().count();
        assert!(calls > 10, "{calls} calls seen; {done:?}");
    }
    watched.stop();
}

/// A debugger has its own instruction where a site begins, and puts the program's back later.
#[test]
fn debugged_from_the_start() {
    if !have("gdb") {
        return;
    }
    let Some(ways) = Ways::new(FAST) else {
        return;
    };
    let mut debugger = vec![];
    for command in ["break mkdir", "ignore 1 50", "run", "delete", "continue"] {
        debugger.extend(["-ex", command]);
    }
    let words = [&["gdb", "-q", "-nx", "-batch"], &debugger[..], &["--args"]].concat();
    let done = timed::run(&mut ways.command_by(&words, &[], "plain"), LIMIT);
    let (out, report) = (&done.out, ways.read_report());
    for said in ["Breakpoint 1, ", "failed 0\n", "exited normally"] {
        assert!(out.contains(said), "{said}: {done:?}");
    }
    let program = report.program(ways.program());
    assert_eq!(program.with_agent, 1, "{program:?}");
    assert_eq!(
        program.sites_left["unfamiliar instructions"], 1,
        "{program:?}"
    );
}

#[test]
fn debugged_meanwhile() {
    if !have("gdb") {
        return;
    }
    let Some(watched) = Watched::start(Kind::GlibcStatic, &[]) else {
        return;
    };
    for commands in [
        &["bt"][..],
        &["break rmdir", "continue", "finish", "delete"],
        &["stepi 2000", "info registers"],
    ] {
        let mut words = vec!["gdb", "-q", "-nx", "-batch", "-p", "PID"];
        for command in commands {
            words.extend(["-ex", command]);
        }
        words.extend(["-ex", "detach"]);
        let done = attach(&watched, &words);
        assert!(done.status.success(), "{done:?}");
    }
    watched.stop();
}
