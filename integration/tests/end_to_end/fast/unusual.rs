//! Programs that whoever changes their code has to be careful with.

use std::fs;

use super::ways::{CALLS, UNKNOWN, Ways};
use super::{FAST, LIMIT};
use crate::report::{Program, Report};
use crate::timed;
use crate::twins::Setting;

/// Children that are offered a channel, see the guest.
const CHILDREN: u64 = 30;

/// What the guest prints last, going `way`, and what it says before; and the report.
fn go(way: &str) -> Option<(String, Report, Ways)> {
    let ways = Ways::of("unusual.c", FAST)?;
    let (out, report) = ways.go(way);
    let said = out.strip_suffix("failed 0\n");
    let said = said.unwrap_or_else(|| panic!("{way}: {out}")).to_owned();
    Some((said, report, ways))
}

fn assert_on_traps(program: &Program, why: &str) {
    assert_eq!(
        (program.with_agent, program.untrapped),
        (0, 0),
        "{program:?}"
    );
    assert_eq!(program.on_traps[why], program.processes, "{program:?}");
}

/// Half of it could be written when somebody comes by.
#[test]
fn a_site_across_pages_is_left() {
    let Some((_, report, ways)) = go("across") else {
        return;
    };
    let program = report.program(ways.program());
    assert_eq!(program.sites_left["it lies across pages"], 2, "{program:?}");
    assert_eq!(
        (program.trapped, program.untrapped),
        (CALLS, 0),
        "{program:?}"
    );
}

#[test]
fn code_that_may_only_be_executed_is_left() {
    let Some(ways) = Ways::of("unusual.c", Setting::PASSTHROUGH) else {
        return;
    };
    // At its start it could be read.
    let (out, report) = ways.go_with(UNKNOWN, "unreadable");
    assert_eq!(out, "failed 0\n");
    assert_on_traps(
        report.program(ways.program()),
        "there is no room behind its text",
    );
}

/// The agent's own calls would come from other code than the program's.
#[test]
fn a_program_that_dispatches_its_calls_has_no_agent() {
    let Some((said, report, ways)) = go("dispatched-first") else {
        return;
    };
    assert_eq!(said, "signals: 0\n");
    assert_on_traps(report.program(ways.program()), CONFINES);
    let (out, report) = ways.go("dispatched");
    assert_eq!(out, "signals: 0\nfailed 0\n");
    let program = report.program(ways.program());
    assert!(program.untrapped > CALLS / 2, "{program:?}");
    assert_eq!(program.on_traps[CONFINES], 1, "{program:?}");
}

const CONFINES: &str = "it confines itself";
const ODD: &str = "it does not do what a bootstrap does";

/// What it has got is worth nothing to it, least of all when it has become somebody else.
#[test]
fn a_program_that_asks_for_the_agent_itself_does_not_get_it() {
    let setting = Setting {
        options: &["--allow-other", "--default-permissions"],
        ..Setting::PASSTHROUGH
    };
    let Some(ways) = Ways::of("unusual.c", setting) else {
        return;
    };
    let (out, report) = ways.go_with(UNKNOWN, "asks");
    let may_change = u8::from(!nix::unistd::geteuid().is_root());
    assert_eq!(out, format!("may change: {may_change}\nfailed 0\n"));
    assert_on_traps(report.program(ways.program()), ODD);
}

/// The file system's process keeps none of their sessions.
#[test]
fn sessions_end_whose_programs_do_not_get_the_agent() {
    let Some(ways) = Ways::of("unusual.c", FAST) else {
        return;
    };
    let server = ways.twins.bypass.mounted.pid().expect("it is served");
    // A thread each; their sockets are closed when the next one begins.
    let sessions = || {
        let threads = fs::read_dir(format!("/proc/{server}/task")).unwrap();
        let name = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("comm")).ok();
        let names = threads.flatten().filter_map(name);
        names.filter(|name| name == "finesse-session\n").count() as u64
    };
    let running = timed::start(&mut ways.command(&[], "offered"));
    let file = |name: &str| ways.twins.bypass.path().join(name);
    timed::until("all have called", LIMIT, || file("ready").exists());
    // That of the supervisor is another one.
    assert!(sessions() > CHILDREN);
    fs::write(file("now"), "").unwrap();
    timed::until("their sessions have ended", LIMIT, || sessions() <= 1);
    fs::write(file("stop"), "").unwrap();
    let (out, report) = ways.ended(&running.finish(LIMIT));
    assert_eq!(out, "failed 0\n");
    let program = report.program(ways.program());
    assert_eq!(program.on_traps[CONFINES], CHILDREN, "{program:?}");
}
