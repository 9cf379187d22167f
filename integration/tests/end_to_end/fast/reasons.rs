//! What a report says of programs on the fast path.

use std::path::Path;

use super::FAST;
use super::ways::{CALLS, LATER, SOON, UNKNOWN, Ways};
use crate::report::Program;
use crate::twins::Setting;

fn counted(program: &Program) -> u64 {
    program.untrapped + program.trapped
}

#[test]
fn each_call_is_counted_once() {
    let Some(ways) = Ways::new(FAST) else {
        return;
    };
    let (out, report) = ways.go("plain");
    assert_eq!(out, "failed 0\n");
    let program = report.program(ways.program());
    assert_eq!(
        (program.processes, program.with_agent),
        (1, 1),
        "{program:?}"
    );
    assert_eq!(counted(program), CALLS, "{program:?}");
    assert!(program.untrapped > CALLS / 2, "{program:?}");
    // Those of mkdir, rmdir, stat and newfstatat, wherever they are in its text.
    assert_eq!(program.sites_rewritten["mov eax, imm32"], 4, "{program:?}");
    assert!(
        program.sites_left.is_empty() && program.on_traps.is_empty(),
        "{program:?}"
    );
}

/// An agent that is switched off, or goes with its program, has served calls all the same.
#[test]
fn calls_count_whatever_becomes_of_the_agent() {
    let Some(ways) = Ways::new(FAST) else {
        return;
    };
    let (_, report) = ways.go("filter");
    let program = report.program(ways.program());
    assert_eq!(counted(program), CALLS, "{program:?}");
    assert_eq!(program.on_traps["it confines itself"], 1, "{program:?}");
    let (out, report) = ways.go("exec");
    assert_eq!(out, "failed 0\n".repeat(3));
    // A process that might run another program by now is met anew, and its agent is in the way.
    let program = report.program(ways.program());
    assert_eq!(
        (program.processes, program.with_agent),
        (3, 2),
        "{program:?}"
    );
    assert_eq!(counted(program), 3 * CALLS, "{program:?}");
    let taken = program.on_traps["the agent's place is taken"];
    assert_eq!(taken, 1, "{program:?}");
}

/// As tar(1) and install(1) do, file by file.
#[test]
fn a_program_may_change_its_umask_again_and_again() {
    let Some(ways) = Ways::new(FAST) else {
        return;
    };
    // Replies that do not come at once are trapped for as well, and mounts suspend the agent: at some time
    // there are few of those.
    let few_trap = (0..20).any(|_| {
        let (out, report) = ways.go("umask");
        assert_eq!(out, "failed 0\n");
        let program = report.program(ways.program());
        assert_eq!(program.with_agent, 1, "{program:?}");
        program.trapped < CALLS / 4
    });
    assert!(few_trap, "each umask suspends the agent");
}

/// As every shell does, and most programs that run for long.
#[test]
fn a_program_may_handle_signals() {
    let Some(ways) = Ways::new(FAST) else {
        return;
    };
    for way in ["handler", "faults"] {
        let (_, report) = ways.go(way);
        let program = report.program(ways.program());
        assert_eq!(program.with_agent, 1, "{program:?}");
        assert!(program.untrapped > CALLS / 2, "{program:?}");
    }
}

/// Who confines itself does not come in later, either: between the call that prepared it and the next one.
#[test]
fn a_program_on_traps_says_why() {
    let Some(ways) = Ways::new(Setting::PASSTHROUGH) else {
        return;
    };
    let (_, report) = ways.go_with(&["--fast"], "filtered");
    let program = report.program(ways.program());
    assert_eq!(program.on_traps["it confines itself"], 1, "{program:?}");
    for (options, way, before) in [
        (&["--fast"][..], "filter-soon", SOON),
        (UNKNOWN, "filter-later", LATER),
    ] {
        let (_, report) = ways.go_with(options, way);
        let program = report.program(ways.program());
        assert_eq!(
            (program.with_agent, program.untrapped),
            (0, 0),
            "{way}: {program:?}"
        );
        assert_eq!(program.trapped, before + CALLS, "{way}: {program:?}");
        assert_eq!(
            program.on_traps["it confines itself"], 1,
            "{way}: {program:?}"
        );
    }
}

/// The policy keeps only those on traps whose paths it judges.
#[test]
fn a_policy_with_paths_keeps_its_programs_on_traps() {
    let Some(ways) = Ways::new(FAST) else {
        return;
    };
    let with_path = |program: &Path| {
        let program = program.display();
        let rule = format!("path = '/nowhere/**'\nprogram = '{program}'\naction = 'kernel'");
        std::fs::write(
            &ways.twins.policy,
            format!("[defaults]\nall = 'bypass'\n[[rule]]\n{rule}\n"),
        )
        .unwrap();
        ways.go("plain").1
    };
    let report = with_path(ways.program());
    let program = report.program(ways.program());
    assert_eq!(
        (program.with_agent, program.untrapped),
        (0, 0),
        "{program:?}"
    );
    let why = "the policy judges its paths, or refuses it calls";
    assert_eq!(program.on_traps[why], 1, "{program:?}");
    let report = with_path(Path::new("/bin/other"));
    assert_eq!(report.program(ways.program()).with_agent, 1, "{report:?}");
}

/// It needs one for a moment, as soon as it is to have a channel.
#[test]
fn a_program_without_room_for_descriptors_stays_on_traps() {
    let Some(ways) = Ways::new(FAST) else {
        return;
    };
    let (out, report) = ways.go("full");
    assert_eq!(out, "failed 0\nroom 0\n");
    let program = report.program(ways.program());
    assert_eq!(program.trapped, CALLS, "{program:?}");
    let why = "it may open no more descriptors";
    assert_eq!(program.on_traps[why], 1, "{program:?}");
}
