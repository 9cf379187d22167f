//! A program that posts its requests itself (`finesse-run --fast`).

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::guest::{self, Kind};
use crate::lines::assert_same;
use crate::report::Report;
use crate::timed;
use crate::tree;
use crate::twins::{Setting, Twins};

const LIMIT: Duration = Duration::from_secs(120);

/// Most calls of the guest need no trap: what suspends the agent is the exception.
const UNTRAPPED: u64 = 300;

fn resident(kind: Kind, setting: Setting) {
    let Some(twins) = Twins::mount(setting, "") else {
        return;
    };
    let Some(program) = guest::build(kind, "resident.c", twins.dir.path()) else {
        return;
    };
    let arguments = |dir: &Path| -> Vec<OsString> {
        let mut arguments = vec![program.clone().into(), dir.into()];
        if nix::unistd::geteuid().is_root() {
            arguments.push("switch-users".into());
        }
        arguments
    };
    let plain = timed::run(&mut timed::command(&arguments(twins.plain.path())), LIMIT);
    let report = twins.dir.path().join("report.json");
    let mut fast: Vec<OsString> = vec!["--report-json".into(), report.clone().into(), "--".into()];
    fast.extend(arguments(twins.bypass.path()));
    let fast = timed::run(&mut twins.finesse_run(&fast), LIMIT);
    assert!(plain.status.success(), "{plain:?}");
    assert_same("output", ("FUSE", &plain.out), ("fast", &fast.out));
    assert!(fast.status.success(), "{fast:?}");
    assert_eq!(fast.err, "");
    let trees = [&twins.plain, &twins.bypass]
        .map(|twin| tree::describe(twin.path(), twin.path()).join("\n"));
    assert_same("tree", ("FUSE", &trees[0]), ("fast", &trees[1]));
    let untrapped = Report::read(&report).untrapped();
    assert!(untrapped > UNTRAPPED, "{untrapped} calls without a trap");
}

const FAST: Setting = Setting {
    fast: true,
    options: &["--allow-other"],
    ..Setting::PASSTHROUGH
};

#[test]
fn a_static_program_posts_itself() {
    resident(Kind::GlibcStatic, FAST);
}

#[test]
fn a_dynamic_program_posts_itself() {
    resident(Kind::GlibcDynamic, FAST);
}

#[test]
fn a_program_posts_itself_to_memory() {
    resident(
        Kind::GlibcStatic,
        Setting {
            memory: true,
            ..FAST
        },
    );
}
