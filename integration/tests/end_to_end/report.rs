//! Reading what `--report-json` wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What became of the calls, by system call.
#[derive(Debug)]
pub(crate) struct Report {
    calls: BTreeMap<String, Line>,
    programs: Vec<Program>,
}

/// What became of a program on the fast path.
#[derive(Debug, Deserialize)]
pub(crate) struct Program {
    program: PathBuf,
    pub(crate) processes: u64,
    pub(crate) with_agent: u64,
    pub(crate) untrapped: u64,
    pub(crate) trapped: u64,
    pub(crate) sites_rewritten: BTreeMap<String, u64>,
    pub(crate) sites_left: BTreeMap<String, u64>,
    pub(crate) on_traps: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Line {
    bypassed: u64,
    untrapped: u64,
    continued: u64,
    failed: u64,
    #[expect(dead_code, reason = "shown when a test fails")]
    reasons: String,
}

impl Report {
    pub(crate) fn read(path: &Path) -> Report {
        let text = std::fs::read_to_string(path).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let calls = json["calls"].as_array().unwrap();
        let line = |call: &serde_json::Value| {
            let count = |key: &str| call[key].as_u64().unwrap();
            let name = call["syscall"].as_str().unwrap().to_owned();
            (
                name,
                Line {
                    bypassed: count("bypassed"),
                    untrapped: count("untrapped"),
                    continued: count("continued"),
                    failed: count("failed"),
                    reasons: call["reasons"].to_string(),
                },
            )
        };
        Report {
            calls: calls.iter().map(line).collect(),
            programs: serde_json::from_value(json["fast"]["programs"].clone()).unwrap(),
        }
    }

    pub(crate) fn has_no_programs(&self) -> bool {
        self.programs.is_empty()
    }

    /// What became of the program at `path`, which made calls that were bypassed.
    pub(crate) fn program(&self, path: &Path) -> &Program {
        let found = self.programs.iter().find(|it| it.program == path);
        found.unwrap_or_else(|| panic!("{} is not in {:#?}", path.display(), self.programs))
    }

    /// Calls that needed no trap, of programs that have ended.
    pub(crate) fn untrapped(&self) -> u64 {
        self.calls.values().map(|line| line.untrapped).sum()
    }

    /// Fails for the calls that always trapped.
    pub(crate) fn assert_untrapped(&self, calls: &[&str]) {
        let always: Vec<_> = calls
            .iter()
            .filter(|call| self.untrapped_of(call) == 0)
            .collect();
        assert!(always.is_empty(), "always trapped: {always:?} in {self:#?}");
    }

    fn untrapped_of(&self, call: &str) -> u64 {
        self.calls.get(call).map_or(0, |line| line.untrapped)
    }

    pub(crate) fn bypassed(&self, call: &str) -> u64 {
        self.calls.get(call).map_or(0, |line| line.bypassed)
    }

    /// How many were bypassed, with a trap or without.
    pub(crate) fn reached(&self, call: &str) -> u64 {
        self.bypassed(call) + self.untrapped_of(call)
    }

    pub(crate) fn continued(&self, call: &str) -> u64 {
        self.calls.get(call).map_or(0, |line| line.continued)
    }

    /// Calls that the bypass answered with an errno.
    pub(crate) fn failed(&self) -> u64 {
        self.calls.values().map(|line| line.failed).sum()
    }

    /// Fails for the calls that were never bypassed, with a trap or without.
    pub(crate) fn assert_bypassed(&self, calls: &[&str]) {
        let never: Vec<_> = calls
            .iter()
            .filter(|call| self.reached(call) == 0)
            .collect();
        assert!(never.is_empty(), "never bypassed: {never:?} in {self:#?}");
    }
}
