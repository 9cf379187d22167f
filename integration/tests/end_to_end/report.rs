//! Reading what `--report-json` wrote.

use std::collections::BTreeMap;
use std::path::Path;

/// Bypassed, continued and failed calls, by system call.
#[derive(Debug)]
pub(crate) struct Report {
    calls: BTreeMap<String, (u64, u64, u64, String)>,
    untrapped: u64,
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
                (
                    count("bypassed"),
                    count("continued"),
                    count("failed"),
                    call["reasons"].to_string(),
                ),
            )
        };
        Report {
            calls: calls.iter().map(line).collect(),
            untrapped: json["untrapped"].as_u64().unwrap(),
        }
    }

    /// Calls that needed no trap, of programs that have ended.
    pub(crate) fn untrapped(&self) -> u64 {
        self.untrapped
    }

    pub(crate) fn bypassed(&self, call: &str) -> u64 {
        self.calls.get(call).map_or(0, |counts| counts.0)
    }

    pub(crate) fn continued(&self, call: &str) -> u64 {
        self.calls.get(call).map_or(0, |counts| counts.1)
    }

    /// Calls that the bypass answered with an errno.
    pub(crate) fn failed(&self) -> u64 {
        self.calls.values().map(|counts| counts.2).sum()
    }

    /// Fails for the calls that were never bypassed.
    pub(crate) fn assert_bypassed(&self, calls: &[&str]) {
        let never: Vec<_> = calls
            .iter()
            .filter(|call| self.bypassed(call) == 0)
            .collect();
        assert!(never.is_empty(), "never bypassed: {never:?} in {self:#?}");
    }
}
