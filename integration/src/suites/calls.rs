//! How many calls went past the kernel, as `finesse-run --report-json` counts them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// Counts by system call, of one run or of several.
#[derive(Debug, Clone, Default)]
pub struct Calls(BTreeMap<String, Line>);

#[derive(Debug, Clone, Default)]
struct Line {
    bypassed: u64,
    failed: u64,
    continued: u64,
    reasons: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Json {
    calls: Vec<JsonLine>,
}

#[derive(Deserialize)]
struct JsonLine {
    syscall: String,
    bypassed: u64,
    failed: u64,
    continued: u64,
    reasons: BTreeMap<String, u64>,
}

impl Calls {
    /// Adds what the report at `path` says.
    ///
    /// # Errors
    /// It is missing or is no report.
    pub fn add(&mut self, path: &Path) -> Result<()> {
        let text = fs::read(path).context("finesse-run wrote no report")?;
        let json: Json = serde_json::from_slice(&text).context("finesse-run's report is none")?;
        for call in json.calls {
            let line = self.0.entry(call.syscall).or_default();
            line.bypassed += call.bypassed;
            line.failed += call.failed;
            line.continued += call.continued;
            for (reason, count) in call.reasons {
                *line.reasons.entry(reason).or_default() += count;
            }
        }
        Ok(())
    }

    /// How many calls the file system answered directly.
    #[must_use]
    pub fn bypassed(&self) -> u64 {
        self.0.values().map(|line| line.bypassed).sum()
    }
}

impl fmt::Display for Calls {
    /// One line of sums, one of calls, one of reasons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |of: fn(&Line) -> u64| self.0.values().map(of).sum::<u64>();
        let mut reasons = BTreeMap::<&str, u64>::new();
        for (reason, count) in self.0.values().flat_map(|line| &line.reasons) {
            *reasons.entry(reason).or_default() += count;
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let named = reasons
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"));
        let by_call = self.0.iter().filter(|(_, line)| line.bypassed > 0);
        let by_call = by_call.map(|(call, line)| format!("{call} {}", line.bypassed));
        writeln!(
            f,
            "{} bypassed ({} of them with an errno), {} left to the kernel",
            self.bypassed(),
            sum(|line| line.failed),
            sum(|line| line.continued)
        )?;
        writeln!(
            f,
            "    bypassed: {}",
            by_call.collect::<Vec<_>>().join(", ")
        )?;
        write!(
            f,
            "    left because: {}",
            named.collect::<Vec<_>>().join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_add_up() {
        let report = tempfile::NamedTempFile::new().unwrap();
        let text = r#"{"calls":[{"syscall":"mkdir","bypassed":3,"failed":1,"refused":0,"continued":2,
            "reasons":{"another file system":2},"median_us":1.0,"p99_us":null}]}"#;
        fs::write(report.path(), text).unwrap();
        let mut calls = Calls::default();
        calls.add(report.path()).unwrap();
        calls.add(report.path()).unwrap();
        assert_eq!(calls.bypassed(), 6);
        let shown = calls.to_string();
        assert!(
            shown.contains("mkdir 6") && shown.contains("another file system 4"),
            "{shown}"
        );
        fs::write(report.path(), "{}").unwrap();
        assert!(calls.add(report.path()).is_err());
    }
}
