//! Which programs take the fast path.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::ways::Ways;
use crate::report::Report;
use crate::timed;
use crate::twins::{BYPASS_ALL, Setting};

impl Ways {
    /// Under a policy that says more than that all is bypassed.
    fn go_under(&self, more: &str, options: &[&str]) -> Report {
        fs::write(&self.twins.policy, format!("{BYPASS_ALL}{more}")).unwrap();
        self.go_with(options, "plain").1
    }
}

fn rule(program: &Path, fast: &str) -> String {
    let program = program.display();
    format!("[[rule]]\nprogram = '{program}'\nfast = '{fast}'\n")
}

#[test]
fn the_policy_says_it_by_program() {
    let Some(ways) = Ways::new(Setting::PASSTHROUGH) else {
        return;
    };
    let with_agent = |report: &Report| report.program(ways.program()).with_agent;
    assert_eq!(with_agent(&ways.go_under("fast = 'on'\n", &[])), 1);
    assert_eq!(
        with_agent(&ways.go_under(&rule(ways.program(), "on"), &[])),
        1
    );
    let off = format!("fast = 'on'\n{}", rule(ways.program(), "off"));
    let report = ways.go_under(&off, &[]);
    assert_eq!(with_agent(&report), 0);
    let on_traps = &report.program(ways.program()).on_traps;
    assert_eq!(on_traps["the policy says off"], 1, "{report:?}");
    // Without the word nothing is prepared for it.
    assert!(ways.go_under("", &[]).has_no_programs());
}

#[test]
fn the_command_line_wins_over_the_policy() {
    let Some(ways) = Ways::new(Setting::PASSTHROUGH) else {
        return;
    };
    let off = rule(ways.program(), "off");
    let report = ways.go_under(&off, &["--fast"]);
    assert_eq!(report.program(ways.program()).with_agent, 1, "{report:?}");
    let report = ways.go_under("fast = 'on'\n", &["--fast=off"]);
    assert!(report.has_no_programs(), "{report:?}");
    let mut wrong = ways.twins.finesse_run(&["--fast=of", "--", "true"]);
    let done = timed::run(&mut wrong, super::LIMIT);
    assert!(done.err.contains("did you mean `off`?"), "{done:?}");
    assert_eq!(done.status.code(), Some(2));
}

/// More calls than a program makes that is to have the agent in any case.
#[test]
fn an_unknown_program_has_to_make_some_calls() {
    let Some(ways) = Ways::new(Setting::PASSTHROUGH) else {
        return;
    };
    let report = ways.go_under("", &["--fast=auto"]);
    let program = report.program(ways.program());
    assert_eq!(program.with_agent, 1, "{program:?}");
    assert!(program.trapped > 64 && program.untrapped > 0, "{program:?}");
}

/// The next run knows what a program did; the file that says so is the user's alone, and may be anything.
#[test]
fn what_a_program_did_before_decides() {
    let Some(ways) = Ways::new(Setting::PASSTHROUGH) else {
        return;
    };
    let go = |way| {
        let (out, report) = ways.go_with(&["--fast=auto"], way);
        assert_eq!(out, "failed 0\n");
        let program = report.program(ways.program());
        (program.with_agent, program.trapped)
    };
    assert_eq!(go("few"), (0, 10));
    // Not after 64 calls, as one of which nothing is known.
    assert_eq!(go("plain"), (0, 200));
    let (with_agent, trapped) = go("plain");
    assert!(with_agent == 1 && trapped < 64, "{trapped} trapped");
    let file = ways.twins.dir.path().join("finesse/programs");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::write(&file, [0xA5; 10_000]).unwrap();
    let (with_agent, trapped) = go("plain");
    assert!(with_agent == 1 && trapped > 64, "{trapped} trapped");
    // Where nothing can be kept, all is as if nothing were known.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let (with_agent, trapped) = go("plain");
    assert!(with_agent == 1 && trapped > 64, "{trapped} trapped");
}
