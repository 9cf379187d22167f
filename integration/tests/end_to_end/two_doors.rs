//! What is changed through one door shows at once through the other, whatever the kernel has cached.
//!
//! Two guests work on one tree in turns: one changes, one observes, as `two_doors/steps.txt` says. The oracle is
//! the same on a plain FUSE mount; there both come through the kernel. Time-outs are 1000 s, so nothing that
//! is old goes by itself.

mod notifications;
mod party;
mod under_load;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;

use crate::guest::{self, Kind};
use crate::lines::assert_same;
use crate::report::Report;
use crate::timed;
use crate::twins::{Setting, Twin, Twins};
use party::Party;

const STEPS: &str = include_str!("two_doors/steps.txt");

const PASSTHROUGH: Setting = Setting {
    ttl: 1000.0,
    options: &["--default-permissions", "--allow-other"],
    ..Setting::PASSTHROUGH
};
const MEMORY: Setting = Setting {
    memory: true,
    ..PASSTHROUGH
};

/// Who comes through the bypass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bypassed {
    Changer,
    Observer,
    Both,
}

/// What the changer's report must show: each of these was bypassed at least once.
const CHANGES: [&str; 12] = [
    "mkdirat",
    "mknodat",
    "symlinkat",
    "linkat",
    "unlinkat",
    "renameat2",
    "fchmodat",
    "fchownat",
    "truncate",
    "utimensat",
    "setxattr",
    "removexattr",
];
const LOOKS: [&str; 6] = [
    "newfstatat",
    "readlinkat",
    "getxattr",
    "listxattr",
    "faccessat2",
    "statfs",
];

/// One line of the steps.
enum Step<'a> {
    Case(&'a str),
    /// Who, what, and what plain FUSE answers, where the step says it.
    Command(char, &'a str, Option<&'a str>),
}

fn steps() -> impl Iterator<Item = Step<'static>> {
    let wanted = |line: &&str| !line.is_empty() && !line.starts_with('#');
    STEPS.lines().filter(wanted).map(|line| {
        if let Some(name) = line.strip_prefix("case ") {
            return Step::Case(name);
        }
        let (who, rest) = line.split_once(' ').unwrap();
        let who = who.parse().unwrap();
        match rest.split_once(" = ") {
            Some((command, answer)) => Step::Command(who, command, Some(answer)),
            None => Step::Command(who, rest, None),
        }
    })
}

/// Goes through the steps; one line a step, with its answer.
fn play(
    changer: &mut Party,
    observer: &mut Party,
    mut heard: impl FnMut(&str, Option<&str>, &str),
) {
    let mut cases = 0;
    for step in steps() {
        match step {
            Step::Case(name) => {
                cases += 1;
                for party in [&mut *changer, &mut *observer] {
                    assert_eq!(
                        (party.ask("user 0"), party.ask("cd /")),
                        ("done".into(), "done".into())
                    );
                }
                let dir = format!("case-{cases}");
                assert_eq!(observer.ask(&format!("mkdir {dir} 755")), "done");
                for party in [&mut *changer, &mut *observer] {
                    assert_eq!(party.ask(&format!("cd {dir}")), "done");
                }
                heard(&format!("case {name}"), None, "");
            }
            Step::Command(who, command, expected) => {
                let party = if who == '<' {
                    &mut *changer
                } else {
                    &mut *observer
                };
                heard(&format!("{who} {command}"), expected, &party.ask(command));
            }
        }
    }
}

/// The transcript on the plain mount, which also says what the steps expect of it.
fn on_plain_fuse(twins: &Twins, program: &Path) -> String {
    let start = || Party::start(timed::command(&[program, twins.plain.path()]));
    let (mut changer, mut observer) = (start(), start());
    let (mut text, mut case) = (String::new(), String::new());
    let mut others = Vec::new();
    play(&mut changer, &mut observer, |line, expected, answer| {
        if line.starts_with("case ") {
            line.clone_into(&mut case);
        }
        if expected.is_some_and(|expected| expected != answer) {
            others.push(format!(
                "{case}: {line} = {answer}, not {}",
                expected.unwrap()
            ));
        }
        text += &format!("{line} = {answer}\n");
    });
    assert!(others.is_empty(), "plain FUSE: {others:#?}");
    text
}

fn on_bypass(
    twins: &Twins,
    program: &Path,
    bypassed: Bypassed,
) -> (String, BTreeMap<char, Report>) {
    let path = &twins.bypass.path().join(format!("{bypassed:?}"));
    fs::create_dir(path).unwrap();
    let report = |who| twins.dir.path().join(format!("{bypassed:?}-{who}.json"));
    let start = |who, through: bool| {
        if !through {
            return Party::start(timed::command(&[program, path]));
        }
        let report = report(who);
        Party::start(twins.finesse_run(&[
            "--report-json".as_ref(),
            report.as_path(),
            "--".as_ref(),
            program,
            path,
        ]))
    };
    let mut changer = start('<', bypassed != Bypassed::Observer);
    let mut observer = start('>', bypassed != Bypassed::Changer);
    let mut text = String::new();
    play(&mut changer, &mut observer, |line, _, answer| {
        text += &format!("{line} = {answer}\n");
    });
    changer.leave();
    observer.leave();
    let reports = ['<', '>']
        .into_iter()
        .filter(|who| report(*who).exists())
        .map(|who| (who, Report::read(&report(who))));
    (text, reports.collect())
}

fn same(name: &str, setting: Setting) {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can do all that the guest does");
        return;
    }
    let Some(twins) = Twins::mount(setting, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "doors.c", twins.dir.path()) else {
        return;
    };
    let (twins, program) = (&twins, &program);
    // They mostly wait for the clock; and so each has the others' changes beside it.
    let (plain, bypass) = thread::scope(|scope| {
        let bypass = [Bypassed::Changer, Bypassed::Observer, Bypassed::Both].map(|bypassed| {
            (
                bypassed,
                scope.spawn(move || on_bypass(twins, program, bypassed)),
            )
        });
        let plain = on_plain_fuse(twins, program);
        (
            plain,
            bypass.map(|(bypassed, run)| (bypassed, run.join().unwrap())),
        )
    });
    for (bypassed, (text, reports)) in bypass {
        let what = format!("{name}, bypassed: {bypassed:?}");
        assert_same(&what, ("FUSE", &plain), ("bypass", &text));
        for (who, report) in &reports {
            report.assert_bypassed(if *who == '<' { &CHANGES } else { &LOOKS });
        }
        assert_eq!(
            reports.len(),
            if bypassed == Bypassed::Both { 2 } else { 1 }
        );
    }
}

#[test]
fn each_change_shows_through_the_other_door_of_passthrough() {
    same("passthrough", PASSTHROUGH);
}

#[test]
fn each_change_shows_through_the_other_door_of_memory() {
    same("memory", MEMORY);
}

/// The one difference: renaming takes the kernel's entry away, where the kernel itself would have moved it.
#[test]
fn an_open_file_that_is_renamed_counts_as_deleted_in_proc() {
    let Some(twins) = Twins::mount(MEMORY, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "doors.c", twins.dir.path()) else {
        return;
    };
    let path = |twin: &Twin, mut changer: Party| {
        let mut observer = Party::start(timed::command(&[program.as_path(), twin.path()]));
        assert_eq!(changer.ask("mknod f"), "done");
        assert_eq!(observer.ask("open 0 f rw"), "done");
        assert_eq!(changer.ask("rename f g"), "done");
        assert_eq!(observer.ask("write 0 text"), "4 \"text\"");
        assert_eq!(observer.ask("stat f"), "ENOENT");
        assert!(observer.ask("stat g").contains("size 4"));
        observer.ask("path 0")
    };
    let plain = [program.as_path(), twins.plain.path()];
    let plain = path(&twins.plain, Party::start(timed::command(&plain)));
    let bypass = ["--".as_ref(), program.as_path(), twins.bypass.path()];
    let bypass = path(&twins.bypass, Party::start(twins.finesse_run(&bypass)));
    assert_eq!((plain.as_str(), bypass.as_str()), ("/g", "/f (deleted)"));
}
