//! Signals at every instruction of the call that brings in the agent, or the channel.

use std::time::Duration;

use super::ways::UNKNOWN;
use crate::guest::{self, Kind};
use crate::lines::assert_same;
use crate::report::Report;
use crate::timed;
use crate::twins::{Setting, Twins};

/// The least number of processes of the guest: the way in has more instructions than these, and there are five things
/// that a handler may do.
const PROCESSES: u64 = 5 * 100;

const LIMIT: Duration = Duration::from_secs(600);

fn at_every_instruction(options: &[&str], calls: &str) {
    let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcDynamic, "windows.c", twins.dir.path()) else {
        return;
    };
    let plain = [program.as_os_str(), twins.plain.path().as_os_str()];
    let plain = timed::run(timed::command(&plain).arg(calls), LIMIT);
    let report = twins.dir.path().join("report.json");
    let mut fast = twins.finesse_run(options);
    fast.env("XDG_STATE_HOME", twins.dir.path());
    fast.arg("--report-json").arg(&report).arg("--");
    fast.arg(&program).arg(twins.bypass.path()).arg(calls);
    let fast = timed::run(&mut fast, LIMIT);
    assert!(plain.status.success(), "{plain:?}");
    assert_same("output", ("FUSE", &plain.out), ("fast", &fast.out));
    assert_eq!(fast.err, "");
    let report = Report::read(&report);
    let program = report.program(&program);
    assert!(program.with_agent > PROCESSES, "{program:?}");
}

/// The agent has been there from the start.
#[test]
fn signals_come_at_every_instruction_of_fetching_the_channel() {
    at_every_instruction(&["--fast"], "17");
}

#[test]
fn signals_come_at_every_instruction_of_the_way_in() {
    at_every_instruction(UNKNOWN, "65");
}
