//! The same random calls through the plain mount and through the bypass: same results, same trees.
//!
//! `FINESSE_DIFF_STEPS` (default 3000) and `FINESSE_DIFF_SEED` (default fixed) ask for more, or for others.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::environment::number;
use crate::guest::{self, Kind};
use crate::lines::assert_same;
use crate::report::Report;
use crate::timed;
use crate::tree;
use crate::twins::{Setting, Twins};

const STEPS: u64 = 3000;
const SEED: u64 = 20_240_229;
/// How deep the mount lies; the guest says why.
const DEPTH: usize = 120;

/// `offset` keeps the settings from repeating each other's sequence.
fn compare(name: &str, setting: Setting, offset: u64) {
    let steps = number("FINESSE_DIFF_STEPS", STEPS);
    let seed = number("FINESSE_DIFF_SEED", SEED) + offset;
    let Some(twins) = Twins::mount(setting, &vec!["d"; DEPTH].join("/")) else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "differential.c", twins.dir.path()) else {
        return;
    };
    let arguments = |dir: &Path| -> Vec<OsString> {
        let mut arguments = vec![program.clone().into(), dir.into()];
        arguments.extend([seed, steps].map(|number| number.to_string().into()));
        if nix::unistd::geteuid().is_root() {
            arguments.push("switch-users".into());
        }
        arguments
    };
    let limit = Duration::from_secs(60) + Duration::from_millis(10) * u32::try_from(steps).unwrap();
    let plain = timed::run(&mut timed::command(&arguments(twins.plain.path())), limit);
    let report = twins.dir.path().join("report.json");
    let mut bypass: Vec<OsString> =
        vec!["--report-json".into(), report.clone().into(), "--".into()];
    bypass.extend(arguments(twins.bypass.path()));
    let bypass = timed::run(&mut twins.finesse_run(&bypass), limit);
    let what = format!(
        "{name}, FINESSE_DIFF_SEED={} FINESSE_DIFF_STEPS={steps}",
        seed - offset
    );
    keep(name, &plain.out, &bypass.out);
    assert!(
        plain.status.success(),
        "{what}: {} {}",
        plain.status,
        plain.err
    );
    assert_same(&what, ("FUSE", &plain.out), ("bypass", &bypass.out));
    assert!(
        bypass.status.success(),
        "{what}: {} {}",
        bypass.status,
        bypass.err
    );
    assert_eq!(plain.out.lines().count() as u64, steps, "{what}");
    let trees = [&twins.plain, &twins.bypass]
        .map(|twin| tree::describe(twin.path(), twin.path()).join("\n"));
    assert_same(&what, ("FUSE", &trees[0]), ("bypass", &trees[1]));
    // What the kernel's caches say is what lies below.
    if !setting.memory && setting.ttl < 100.0 {
        let sources = [&twins.plain, &twins.bypass]
            .map(|twin| tree::describe(&twin.source, twin.path()).join("\n"));
        assert_same(
            &what,
            ("FUSE's source", &sources[0]),
            ("bypass's source", &sources[1]),
        );
    }
    if steps >= 2000 {
        let report = Report::read(&report);
        report.assert_bypassed(&[
            "mkdirat",
            "renameat2",
            "unlinkat",
            "linkat",
            "symlinkat",
            "fchmodat2",
            "newfstatat",
        ]);
    }
}

/// `FINESSE_DIFF_KEEP=DIR` keeps both logs there.
fn keep(name: &str, plain: &str, bypass: &str) {
    let Some(dir) = env::var_os("FINESSE_DIFF_KEEP") else {
        return;
    };
    for (side, log) in [("plain", plain), ("bypass", bypass)] {
        std::fs::write(Path::new(&dir).join(format!("{name}.{side}")), log).unwrap();
    }
}

const CHECKED: &[&str] = &["--default-permissions", "--allow-other"];

#[test]
fn passthrough_checked_and_cached_for_long() {
    let setting = Setting {
        ttl: 1000.0,
        options: CHECKED,
        ..Setting::PASSTHROUGH
    };
    compare("passthrough-checked-1000", setting, 0);
}

#[test]
fn passthrough_checked_and_never_cached() {
    let setting = Setting {
        ttl: 0.0,
        options: CHECKED,
        ..Setting::PASSTHROUGH
    };
    compare("passthrough-checked-0", setting, 1);
}

#[test]
fn passthrough_unchecked() {
    compare("passthrough-unchecked", Setting::PASSTHROUGH, 2);
}

#[test]
fn memory_cached_for_long() {
    let setting = Setting {
        ttl: 1000.0,
        options: CHECKED,
        ..Setting::MEMORY
    };
    compare("memory-1000", setting, 3);
}

#[test]
fn memory_never_cached_and_for_the_owner_alone() {
    compare(
        "memory-0",
        Setting {
            ttl: 0.0,
            ..Setting::MEMORY
        },
        4,
    );
}
