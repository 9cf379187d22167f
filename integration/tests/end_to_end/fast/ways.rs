//! The guest `ways.c`, on the mount with the bypass door.

use std::path::{Path, PathBuf};

use super::LIMIT;
use crate::guest::{self, Kind};
use crate::report::Report;
use crate::timed;
use crate::twins::{Setting, Twins};

/// Calls that the guest makes, going one way.
pub(super) const CALLS: u64 = 200;
/// Calls that it makes before it filters its calls soon: with the last, its way to the agent is prepared.
pub(super) const SOON: u64 = 18;

pub(super) struct Ways {
    pub(super) twins: Twins,
    guest: PathBuf,
}

impl Ways {
    pub(super) fn new(setting: Setting) -> Option<Ways> {
        let twins = Twins::mount(setting, "")?;
        let guest = guest::build(Kind::GlibcStatic, "ways.c", twins.dir.path())?;
        Some(Ways { twins, guest })
    }

    /// Goes one way; what it wrote, and the report.
    pub(super) fn go(&self, way: &str) -> (String, Report) {
        self.go_with(&[], way)
    }

    /// With options of `finesse-run`.
    pub(super) fn go_with(&self, options: &[&str], way: &str) -> (String, Report) {
        let report = self.twins.dir.path().join("report.json");
        let mut command = self.twins.finesse_run(options);
        // What is remembered of programs lies there.
        command.env("XDG_STATE_HOME", self.twins.dir.path());
        command.arg("--report-json").arg(&report);
        command.arg("--").arg(&self.guest);
        command.arg(self.twins.bypass.path()).arg(way);
        let done = timed::run(&mut command, LIMIT);
        assert!(done.status.success(), "{done:?}");
        assert_eq!(done.err, "");
        (done.out, Report::read(&report))
    }

    pub(super) fn program(&self) -> &Path {
        &self.guest
    }
}
