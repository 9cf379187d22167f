//! A script on every side, and what must be the same.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use finesse_integration::programs;

use crate::environment::number;
use crate::foreign::Foreign;
use crate::guest;
use crate::lines::assert_same;
use crate::real_programs::Program;
use crate::real_programs::side::{self, Act, Scene};
use crate::report::Report;
use crate::twins::{Setting, Twins};

/// The script's path.
pub(crate) fn script(name: &str) -> PathBuf {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    programs.join(name).with_extension("sh")
}

pub(crate) fn same_everywhere(program: Program) {
    let scale = number("FINESSE_PROGRAMS", 1);
    if !program.needs.iter().all(|needed| side::have(needed)) {
        return;
    }
    same_on(program, Setting::PASSTHROUGH, scale);
    if scale > 1 || fast_runs() > 0 {
        same_on(program, Setting::MEMORY, scale);
    }
}

/// How often a script is run again where it posts its calls itself.
fn fast_runs() -> u64 {
    number("FINESSE_FAST_RUNS", 0)
}

/// On a daemon of others, and under `finesse-serve`; what has been made is mounted by `reader` then, for `look`.
pub(crate) fn same_on_daemon(
    program: Program,
    daemon: Foreign,
    reader: Option<(Foreign, Program)>,
) {
    if !program.needs.iter().all(|needed| side::have(needed)) {
        return;
    }
    let of = |daemon| Setting {
        foreign: Some(daemon),
        ..Setting::PASSTHROUGH
    };
    let Some(twins) = Twins::mount(of(daemon), "") else {
        return;
    };
    let scale = number("FINESSE_PROGRAMS", 1);
    same_on_twins(program, of(daemon), &twins, scale);
    if let Some((reader, look)) = reader {
        let twins = twins.mounted_again(of(reader));
        same_on_twins(look, of(reader), &twins, scale);
    }
}

fn same_on(program: Program, setting: Setting, scale: u64) {
    if let Some(twins) = Twins::mount(setting, "") {
        same_on_twins(program, setting, &twins, scale);
    }
}

fn same_on_twins(program: Program, setting: Setting, twins: &Twins, scale: u64) {
    let dir = twins.dir.path();
    let build = |(kind, source)| guest::build(kind, source, dir);
    let guest = program.guest.map(build);
    // There is a guest, and no compiler for it.
    if guest.as_ref().is_some_and(Option::is_none) {
        return;
    }
    let scene = Scene {
        dir,
        shell: program.shell,
        guest: guest.flatten(),
        scale,
    };
    let native = dir.join("n/at");
    fs::create_dir_all(&native).unwrap();
    // Paths are of one length: sizes of what holds a path are the same then.
    let sides = [
        Side::plain("native", native.join("work")),
        Side::plain("FUSE", twins.plain.path().join("work")),
        Side::bypass("bypass", twins, "work", &[]),
        Side::bypass(
            "bypass of all",
            twins,
            "more",
            &["--policy".into(), twins.policy.clone().into()],
        ),
        Side::fast(twins, "fast"),
    ];
    if !program.reads {
        for side in &sides {
            fs::create_dir(&side.at).unwrap();
        }
    }
    let script = script(program.script);
    let acts = sides
        .each_ref()
        .map(|side| scene.run(&side.launcher, &script, &side.at));
    say_how_long(program, setting, &acts);
    for (side, act) in sides.iter().zip(&acts).skip(1) {
        same_act(program, (&sides[0], &acts[0]), (side, act));
    }
    let tree = |at: &Path| scene.tree(at, program);
    let expected = tree(&sides[0].at);
    assert!(!expected.is_empty(), "{}: nothing is left", program.script);
    let same_tree = |side: &Side| {
        let what = format!("{}: tree", program.script);
        assert_same(&what, ("native", &expected), (side.name, &tree(&side.at)));
        // What the kernel's caches say is what lies below, where there is nothing else.
        if !setting.memory && setting.foreign.is_none_or(Foreign::is_a_mirror) {
            let below = tree(&side.source(twins));
            assert_same(
                &what,
                ("native", &expected),
                (&format!("{}'s source", side.name), &below),
            );
        }
    };
    sides[1..].iter().for_each(same_tree);
    sides[2].assert_bypassed(program.changes);
    sides[3].assert_bypassed(program.changes);
    sides[3].assert_bypassed(program.looks);
    sides[4].assert_bypassed(program.changes);
    sides[4].assert_bypassed(program.looks);
    let mut untrapped = 0;
    let again = if program.reads { 0 } else { fast_runs() };
    for run in 1..=again {
        let side = Side::fast(twins, &format!("{:04}", run % 10_000));
        fs::create_dir(&side.at).unwrap();
        let act = scene.run(&side.launcher, &script, &side.at);
        same_act(program, (&sides[0], &acts[0]), (&side, &act));
        same_tree(&side);
        untrapped += side.report().untrapped();
        fs::remove_dir_all(&side.at).unwrap();
        println!(
            "{} ({:?}): run {run} without a difference, {untrapped} calls without a trap so far",
            program.script, program.shell
        );
    }
}

/// One of the ways to run a script.
#[derive(Debug)]
struct Side {
    name: &'static str,
    launcher: Vec<OsString>,
    /// The directory that the script works in.
    at: PathBuf,
    report: Option<PathBuf>,
}

impl Side {
    fn plain(name: &'static str, at: PathBuf) -> Side {
        Side {
            name,
            launcher: Vec::new(),
            at,
            report: None,
        }
    }

    fn bypass(name: &'static str, twins: &Twins, work: &str, options: &[OsString]) -> Side {
        let report = twins.dir.path().join(work).with_extension("json");
        let mut launcher = vec![
            programs::run().unwrap().into(),
            "--report-json".into(),
            report.clone().into(),
        ];
        launcher.extend_from_slice(options);
        launcher.push("--".into());
        Side {
            name,
            launcher,
            at: twins.bypass.path().join(work),
            report: Some(report),
        }
    }

    fn fast(twins: &Twins, work: &str) -> Side {
        let options = [
            "--fast".into(),
            "--policy".into(),
            twins.policy.clone().into(),
        ];
        Side::bypass("fast", twins, work, &options)
    }

    /// Where a pass-through file system keeps the tree.
    fn source(&self, twins: &Twins) -> PathBuf {
        let twin = match self.report {
            Some(_) => &twins.bypass,
            None => &twins.plain,
        };
        twin.source.join(self.at.file_name().unwrap())
    }

    fn report(&self) -> Report {
        Report::read(self.report.as_ref().unwrap())
    }

    /// Fails for a call of which no variant was bypassed.
    fn assert_bypassed(&self, calls: &[super::Call]) {
        let report = self.report();
        for variants in calls {
            let bypassed: u64 = variants.iter().map(|call| report.reached(call)).sum();
            assert!(
                bypassed > 0,
                "{}: never bypassed: {variants:?} in {report:#?}",
                self.name
            );
        }
    }
}

fn same_act(program: Program, (_, native): (&Side, &Act), (side, act): (&Side, &Act)) {
    let what = |which: &str| format!("{}: {which}\n{}\n", program.script, act.done.err);
    let both = [
        (&native.done.out, &act.done.out, "output"),
        (&native.done.err, &act.done.err, "errors"),
    ];
    for (expected, got, which) in both {
        assert_same(&what(which), ("native", expected), (side.name, got));
    }
    assert_eq!(
        native.done.status, act.done.status,
        "{}: {}",
        program.script, side.name
    );
    assert!(
        act.done.out.lines().count() > 2,
        "{}: {act:?}",
        program.script
    );
}

fn say_how_long(program: Program, setting: Setting, acts: &[Act; 5]) {
    let [native, fuse, bypass, all, fast] = acts.each_ref().map(|act| act.took.as_millis());
    let on = match (setting.foreign, setting.memory) {
        (Some(daemon), _) => daemon.program,
        (None, true) => "memory",
        (None, false) => "pass-through",
    };
    println!(
        "{} ({:?}) on {on}: native {native} ms, FUSE {fuse} ms, bypass {bypass} ms, bypass of all {all} ms, fast {fast} ms",
        program.script, program.shell
    );
}
