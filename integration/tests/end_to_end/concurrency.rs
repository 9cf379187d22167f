//! Many at once under one `finesse-run`: nothing hangs, nothing is lost, nothing is done twice.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use nix::unistd::Pid;

use crate::guest::{self, Kind};
use crate::report::Report;
use crate::survival::Silent;
use crate::timed;
use crate::tree;
use crate::twins::{Setting, Twins};

const LIMIT: Duration = Duration::from_secs(90);
const ROUNDS: u32 = 12;

/// What the guest leaves behind, however its threads interleave.
fn expected(processes: Range<u32>, threads: u32) -> BTreeSet<String> {
    let mut names = BTreeSet::from(["shared".to_owned()]);
    for process in processes {
        for thread in 0..threads {
            let own = format!("own-{process}-{thread}");
            for round in (0..ROUNDS).step_by(3) {
                let file = format!("{process}-{thread}-{round}.moved");
                names.extend([format!("{own}/{file}"), format!("shared/{file}")]);
            }
            names.insert(own);
        }
    }
    names
}

/// The names below `root`; each file has one link and the mode it was given last.
fn found(root: &Path) -> BTreeSet<String> {
    let name = |line: String| {
        let (name, rest) = line[1..].split_once('"').unwrap();
        let sound = rest.contains(" 40755 ") || rest.contains(" 100600 0:0 links 1 ");
        assert!(sound || !nix::unistd::geteuid().is_root(), "{line}");
        name.to_owned()
    };
    tree::describe(root, root).into_iter().map(name).collect()
}

fn run(setting: Setting, processes: u32, threads: u32) {
    let Some(twins) = Twins::mount(setting, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "busy.c", twins.dir.path()) else {
        return;
    };
    let report = twins.dir.path().join("report.json");
    let mut arguments: Vec<OsString> =
        vec!["--report-json".into(), report.clone().into(), "--".into()];
    arguments.extend([program.into(), twins.bypass.path().into()]);
    arguments.extend([processes, threads, ROUNDS, 0].map(|number| number.to_string().into()));
    let done = timed::run(&mut twins.finesse_run(&arguments), LIMIT);
    assert_eq!(
        (done.out.as_str(), done.status.code()),
        ("done\n", Some(0)),
        "{done:?}"
    );
    assert_eq!(found(twins.bypass.path()), expected(0..processes, threads));
    if !setting.memory {
        assert_eq!(found(&twins.bypass.source), expected(0..processes, threads));
    }
    let (report, calls) = (
        Report::read(&report),
        u64::from(processes * threads * ROUNDS),
    );
    assert!(report.bypassed("rename") > calls, "{report:#?}");
    // Two files a thread and round.
    assert!(report.bypassed("mknodat") == 2 * calls, "{report:#?}");
}

#[test]
fn sixteen_threads() {
    run(Setting::PASSTHROUGH, 1, 16);
}

#[test]
fn eight_processes() {
    run(Setting::PASSTHROUGH, 8, 1);
}

#[test]
fn eight_processes_of_two_threads_on_memory_that_the_kernel_caches() {
    run(
        Setting {
            ttl: 1000.0,
            ..Setting::MEMORY
        },
        8,
        2,
    );
}

/// Half of the programs come through the kernel's door.
#[test]
fn both_doors_at_once() {
    for setting in [
        Setting {
            ttl: 1000.0,
            ..Setting::PASSTHROUGH
        },
        Setting::MEMORY,
    ] {
        let Some(twins) = Twins::mount(setting, "") else {
            return;
        };
        let Some(program) = guest::build(Kind::GlibcStatic, "busy.c", twins.dir.path()) else {
            return;
        };
        let path = twins.bypass.path();
        let halves = [("kernel", 0), ("bypass", 2)].map(|(half, first)| {
            let dir = path.join(half);
            std::fs::create_dir(&dir).unwrap();
            // One directory for what is shared.
            std::os::unix::fs::symlink("../both", dir.join("shared")).unwrap();
            let numbers = [2, 4, ROUNDS, first].map(|number: u32| number.to_string().into());
            let mut arguments: Vec<OsString> = vec![program.clone().into(), dir.into()];
            arguments.extend(numbers);
            arguments
        });
        std::fs::create_dir(path.join("both")).unwrap();
        let [kernel, bypass] = halves;
        let kernel = timed::start(&mut timed::command(&kernel));
        let bypass =
            timed::start(&mut twins.finesse_run(&[&["--".into()], bypass.as_slice()].concat()));
        for done in [kernel.finish(LIMIT), bypass.finish(LIMIT)] {
            assert_eq!(
                (done.out.as_str(), done.status.code()),
                ("done\n", Some(0)),
                "{done:?}"
            );
        }
        let all = expected(0..4, 4);
        let shared = all.iter().filter_map(|name| name.strip_prefix("shared/"));
        let shared: BTreeSet<_> = shared.map(str::to_owned).collect();
        assert_eq!(found(&path.join("both")), shared);
    }
}

/// A worker cannot read a path or write a result, and waits, maybe with calls of others in its hands.
#[test]
fn memory_that_hangs_holds_up_no_other_call() {
    let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "held_up.c", twins.dir.path()) else {
        return;
    };
    let server = twins.plain.mounted.pid().unwrap();
    // The guest stops it.
    let silent = Silent(Pid::from_raw(i32::try_from(server).unwrap()));
    for threads in [2, 8] {
        // Another one each time: the kernel keeps what was read.
        let name = format!("names-{threads}");
        let mut pages = b"missing".to_vec();
        pages.resize(8192, 0);
        std::fs::write(twins.plain.source.join(&name), pages).unwrap();
        let names = twins.plain.path().join(name);
        let arguments: [OsString; 6] = [
            "--".into(),
            program.clone().into(),
            twins.bypass.path().into(),
            names.into(),
            server.to_string().into(),
            threads.to_string().into(),
        ];
        let done = timed::run(&mut twins.finesse_run(&arguments), LIMIT);
        assert_eq!(
            done.out, "all go on\nENOENT, target\n",
            "{threads}: {done:?}"
        );
    }
    drop(silent);
}
