//! Programs with threads, and those of Go, which have them before they make a call.

use std::ffi::OsString;
use std::path::Path;

use super::{FAST, LIMIT, UNTRAPPED, same};
use crate::guest::{self, Kind};
use crate::report::Report;
use crate::timed;
use crate::twins::Twins;

/// The guest goes its ways on the mount, with its own directory for each.
fn go(kind: Kind, ways: &[&str]) {
    let Some(twins) = Twins::mount(FAST, "") else {
        return;
    };
    let Some(program) = guest::build(kind, "threads.c", twins.dir.path()) else {
        return;
    };
    for way in ways {
        let report = same(&twins, |dir| {
            let own = dir.join(way);
            std::fs::create_dir(&own).unwrap();
            vec![program.clone().into(), own.into(), way.into()]
        });
        let found = report.program(&program);
        let becomes_somebody = *way == "user" && nix::unistd::geteuid().is_root();
        // From then on nobody can tell whose calls they are.
        assert_eq!(
            !found.on_traps.is_empty(),
            becomes_somebody,
            "{way}: {found:?}"
        );
        // Each umask suspends the agent.
        let least = if *way == "umask" { 0 } else { UNTRAPPED };
        assert!(found.untrapped > least, "{way}: {found:?}");
        assert!(found.with_agent > 0, "{way}: {found:?}");
    }
}

#[test]
fn threads_post_themselves() {
    go(Kind::GlibcStatic, &["plain", "umask", "user"]);
}

#[test]
fn threads_of_a_dynamic_program_post_themselves() {
    go(Kind::GlibcDynamic, &["plain", "umask", "user"]);
}

#[test]
fn threads_of_musl_post_themselves() {
    go(Kind::MuslStatic, &["plain", "umask"]);
}

/// Children of fork(2) get a channel of their own; those that share the memory until they execute another program
/// disturb nobody.
#[test]
fn threads_have_children() {
    go(Kind::GlibcDynamic, &["fork", "spawn", "exec"]);
}

/// The others are in the middle of calls, which are made or not.
#[test]
fn a_thread_ends_the_program() {
    let Some(twins) = Twins::mount(FAST, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "threads.c", twins.dir.path()) else {
        return;
    };
    let report = twins.dir.path().join("report.json");
    for _ in 0..5 {
        let words: [&Path; 5] = [
            Path::new("--report-json"),
            &report,
            Path::new("--"),
            &program,
            twins.bypass.path(),
        ];
        let mut command = twins.finesse_run(&words);
        let done = timed::run(command.arg("exit"), LIMIT);
        assert_eq!(done.status.code(), Some(7), "{done:?}");
        let untrapped = Report::read(&report).untrapped();
        assert!(untrapped > UNTRAPPED, "{untrapped} calls without a trap");
    }
}

#[test]
fn go_posts_itself() {
    let Some(twins) = Twins::mount(FAST, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::Go, "walk.go", twins.dir.path()) else {
        return;
    };
    let report = same(&twins, |dir| {
        let script = r#"cd "$0" && "$1" 100; test $? = 5"#;
        let words: [OsString; 3] = ["sh".into(), "-c".into(), script.into()];
        let own = [dir.into(), program.clone().into()];
        words.into_iter().chain(own).collect()
    });
    let program = report.program(&program);
    assert_eq!(
        program.sites_rewritten["moves between registers, as in Go"], 1,
        "{program:?}"
    );
    assert!(program.untrapped > program.trapped, "{program:?}");
}
