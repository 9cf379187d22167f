//! The guests `ways.c` and `unusual.c`, on the mount with the bypass door.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::LIMIT;
use crate::guest::{self, Kind};
use crate::report::Report;
use crate::timed::{self, Done};
use crate::twins::{Setting, Twins};

/// Calls that the guest makes, going one way.
pub(super) const CALLS: u64 = 200;
/// Calls that it makes besides where it filters its calls soon, one of them afterwards: before, it has just been
/// offered a channel.
pub(super) const SOON: u64 = 18;
/// The same where it does so later: where nothing is known of a program, its way to the agent has just been prepared.
pub(super) const LATER: u64 = 66;
/// Where nothing is known of a program, it gets the agent after some calls, by other code than at its start.
pub(super) const UNKNOWN: &[&str] = &["--fast=auto"];

pub(super) struct Ways {
    pub(super) twins: Twins,
    guest: PathBuf,
}

impl Ways {
    pub(super) fn new(setting: Setting) -> Option<Ways> {
        Ways::of("ways.c", setting)
    }

    pub(super) fn of(source: &str, setting: Setting) -> Option<Ways> {
        let twins = Twins::mount(setting, "")?;
        let guest = guest::build(Kind::GlibcStatic, source, twins.dir.path())?;
        Some(Ways { twins, guest })
    }

    /// Goes one way; what it wrote, and the report.
    pub(super) fn go(&self, way: &str) -> (String, Report) {
        self.go_with(&[], way)
    }

    /// With options of `finesse-run`.
    pub(super) fn go_with(&self, options: &[&str], way: &str) -> (String, Report) {
        self.ended(&timed::run(&mut self.command(options, way), LIMIT))
    }

    pub(super) fn command(&self, options: &[&str], way: &str) -> Command {
        self.command_by(&[], options, way)
    }

    /// The guest is started by `launcher`, which may be empty.
    pub(super) fn command_by(&self, launcher: &[&str], options: &[&str], way: &str) -> Command {
        let mut command = self.twins.finesse_run(options);
        // What is remembered of programs lies there.
        command.env("XDG_STATE_HOME", self.twins.dir.path());
        command.arg("--report-json").arg(self.report());
        command.arg("--").args(launcher).arg(&self.guest);
        command.arg(self.twins.bypass.path()).arg(way);
        command
    }

    /// What it wrote, and the report.
    pub(super) fn ended(&self, done: &Done) -> (String, Report) {
        assert!(done.status.success(), "{done:?}");
        assert_eq!(done.err, "");
        (done.out.clone(), self.read_report())
    }

    pub(super) fn read_report(&self) -> Report {
        Report::read(&self.report())
    }

    fn report(&self) -> PathBuf {
        self.twins.dir.path().join("report.json")
    }

    pub(super) fn program(&self) -> &Path {
        &self.guest
    }
}
