//! Programs of every kind, each making every call, on the plain mount and under the bypass.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use crate::guest::{self, Kind};
use crate::lines::assert_same;
use crate::report::Report;
use crate::timed;
use crate::tree;
use crate::twins::{Setting, Twins};

const LIMIT: Duration = Duration::from_secs(60);

/// Every variant on x86-64.
const EVERY_CALL: [&str; 43] = [
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "mknod",
    "mknodat",
    "chmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "lchown",
    "fchownat",
    "truncate",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
    "setxattr",
    "lsetxattr",
    "removexattr",
    "lremovexattr",
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getxattr",
    "lgetxattr",
    "listxattr",
    "llistxattr",
    "statfs",
];

/// What Go's standard library and the guest's own numbers come to.
const GO_CALLS: [&str; 26] = [
    "mkdirat",
    "unlinkat",
    "newfstatat",
    "renameat",
    "renameat2",
    "mknodat",
    "fchownat",
    "linkat",
    "readlinkat",
    "faccessat",
    "faccessat2",
    "utimensat",
    "fchmodat",
    "fchmodat2",
    "symlinkat",
    "unlink",
    "rmdir",
    "removexattr",
    "statfs",
    "futimesat",
    "truncate",
    "setxattr",
    "utimes",
    "listxattr",
    "statx",
    "getxattr",
];

fn same_on_both(kind: Kind, source: &str, setting: Setting, expected: &[&str]) {
    let Some(twins) = Twins::mount(setting, "") else {
        return;
    };
    let Some(program) = guest::build(kind, source, twins.dir.path()) else {
        return;
    };
    let on = |path: &std::path::Path| {
        let dir = path.join("work");
        fs::create_dir(&dir).unwrap();
        dir.into_os_string()
    };
    // The bare guest's calls have no site that can be rewritten; those of Go are made once.
    let posts = setting.fast && !matches!(kind, Kind::Bare);
    let posts_all = posts && !matches!(kind, Kind::Go);
    // Once the channel is there, all calls are made again.
    let rounds = posts_all.then_some(OsString::from("20"));
    let command = |path: &std::path::Path| -> Vec<OsString> {
        let program = [program.clone().into(), on(path)];
        program.into_iter().chain(rounds.clone()).collect()
    };
    let plain = command(twins.plain.path());
    let plain = timed::run(&mut timed::command(&plain), LIMIT);
    let report = twins.dir.path().join("report.json");
    let mut bypass = vec!["--report-json".into(), report.clone().into(), "--".into()];
    bypass.extend(command(twins.bypass.path()));
    let bypass = timed::run(&mut twins.finesse_run(&bypass), LIMIT);
    assert!(
        plain.status.success() && plain.out.lines().count() > 20,
        "{plain:?}"
    );
    assert_eq!(bypass.status.code(), Some(0), "{bypass:?}");
    assert_same(
        &format!("{kind:?}"),
        ("FUSE", &plain.out),
        ("bypass", &bypass.out),
    );
    assert_eq!(bypass.err, "");
    let report = Report::read(&report);
    report.assert_bypassed(expected);
    // What an event suspends, or the file system is slow to answer, traps now and then.
    if posts_all {
        report.assert_untrapped(&EVERY_CALL);
    } else {
        assert_eq!(report.untrapped() > 0, posts, "{report:?}");
    }
    let trees = [&twins.plain, &twins.bypass]
        .map(|twin| tree::describe(twin.path(), twin.path()).join("\n"));
    assert_same("final tree", ("FUSE", &trees[0]), ("bypass", &trees[1]));
    assert!(!trees[0].is_empty());
    if !setting.memory {
        let below = tree::describe(&twins.bypass.source, twins.bypass.path()).join("\n");
        assert_same(
            "tree below the mount",
            ("source", &below),
            ("bypass", &trees[1]),
        );
    }
}

#[test]
fn glibc_static() {
    same_on_both(
        Kind::GlibcStatic,
        "calls.c",
        Setting::PASSTHROUGH,
        &EVERY_CALL,
    );
}

#[test]
fn glibc_static_on_memory() {
    same_on_both(Kind::GlibcStatic, "calls.c", Setting::MEMORY, &EVERY_CALL);
}

/// Directories on a path are nobody's then but the walk's.
#[test]
fn glibc_static_with_nothing_cached() {
    let setting = Setting {
        ttl: 0.0,
        ..Setting::PASSTHROUGH
    };
    same_on_both(Kind::GlibcStatic, "calls.c", setting, &EVERY_CALL);
}

#[test]
fn glibc_dynamic() {
    same_on_both(
        Kind::GlibcDynamic,
        "calls.c",
        Setting::PASSTHROUGH,
        &EVERY_CALL,
    );
}

#[test]
fn musl_static() {
    same_on_both(
        Kind::MuslStatic,
        "calls.c",
        Setting::PASSTHROUGH,
        &EVERY_CALL,
    );
}

#[test]
fn bare_instructions() {
    same_on_both(Kind::Bare, "raw.c", Setting::PASSTHROUGH, &EVERY_CALL);
}

#[test]
fn go() {
    same_on_both(Kind::Go, "calls.go", Setting::PASSTHROUGH, &GO_CALLS);
}

const FAST: Setting = Setting {
    fast: true,
    ..Setting::PASSTHROUGH
};

#[test]
fn glibc_static_fast() {
    same_on_both(Kind::GlibcStatic, "calls.c", FAST, &EVERY_CALL);
}

#[test]
fn glibc_dynamic_fast() {
    same_on_both(Kind::GlibcDynamic, "calls.c", FAST, &EVERY_CALL);
}

#[test]
fn musl_static_fast() {
    same_on_both(Kind::MuslStatic, "calls.c", FAST, &EVERY_CALL);
}

#[test]
fn bare_instructions_fast() {
    same_on_both(Kind::Bare, "raw.c", FAST, &EVERY_CALL);
}

#[test]
fn go_fast() {
    same_on_both(Kind::Go, "calls.go", FAST, &GO_CALLS);
}
