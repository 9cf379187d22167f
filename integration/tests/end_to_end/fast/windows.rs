//! Signals at every instruction of the call that brings in the agent.

use std::time::Duration;

use super::FAST;
use crate::guest::{self, Kind};
use crate::lines::assert_same;
use crate::report::Report;
use crate::timed;
use crate::twins::Twins;

/// The least number of processes of the guest: the way in has more instructions than these, and there are five things
/// that a handler may do.
const PROCESSES: u64 = 5 * 100;

const LIMIT: Duration = Duration::from_secs(600);

#[test]
fn signals_come_at_every_instruction_of_the_way_in() {
    let Some(twins) = Twins::mount(FAST, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcDynamic, "windows.c", twins.dir.path()) else {
        return;
    };
    let plain = [program.as_os_str(), twins.plain.path().as_os_str()];
    let plain = timed::run(&mut timed::command(&plain), LIMIT);
    let report = twins.dir.path().join("report.json");
    let mut fast = twins.finesse_run(&[
        "--report-json".as_ref(),
        report.as_os_str(),
        "--".as_ref(),
        program.as_os_str(),
        twins.bypass.path().as_os_str(),
    ]);
    let fast = timed::run(&mut fast, LIMIT);
    assert!(plain.status.success(), "{plain:?}");
    assert_same("output", ("FUSE", &plain.out), ("fast", &fast.out));
    assert_eq!(fast.err, "");
    let report = Report::read(&report);
    let program = report.program(&program);
    assert!(program.with_agent > PROCESSES, "{program:?}");
}
