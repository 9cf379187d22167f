//! Whether the bypass column bypasses at all: one untimed run with a report, before the timed ones; and whether
//! the `--fast` column, by the reports of its own runs, has programs that post their calls themselves.
//!
//! finesse-run lets a program run plainly where it cannot bypass, and on traps where it can. Without these looks,
//! such a row would compare FUSE with FUSE, or the bypass with itself, and say nothing.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// Operations of a rehearsal, a thread.
const OPS: usize = 100;
/// Smallest share of the trapped calls that a bypassed workload must have had answered.
const ENOUGH: f64 = 0.9;

/// Calls of a program that stays on traps that are few beside those of a workload.
const FEW_TRAPS: u64 = 64;

/// finesse-run's reason for calls that it traps only to know of them: no file system could answer these.
const OBSERVED: &str = "observed only";

/// What finesse-run's `--report-json` says.
#[derive(Debug, Clone, Deserialize)]
pub struct Calls {
    calls: Vec<Call>,
    #[serde(default)]
    fast: Fast,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Fast {
    programs: Vec<Program>,
}

#[derive(Debug, Clone, Deserialize)]
struct Program {
    program: String,
    with_agent: u64,
    trapped: u64,
    on_traps: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Deserialize)]
struct Call {
    syscall: String,
    bypassed: u64,
    continued: u64,
    #[serde(default)]
    reasons: BTreeMap<String, u64>,
}

/// How many operations a rehearsal of `ops` has.
#[must_use]
pub fn operations(ops: usize, threads: usize) -> usize {
    ops.min(OPS * threads)
}

impl Call {
    /// Calls that were left to the kernel though a file system might have answered them.
    fn missed(&self) -> u64 {
        self.continued
            .saturating_sub(self.reasons.get(OBSERVED).copied().unwrap_or(0))
    }
}

impl Calls {
    /// Reads a report.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("finesse-run's report is not understood")
    }

    /// The share of the trapped calls that were bypassed, from 0 to 1, calls that are only observed apart.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // Counts of a few hundred.
    pub fn share(&self) -> f64 {
        let sum = |count: fn(&Call) -> u64| self.calls.iter().map(count).sum::<u64>() as f64;
        let (bypassed, continued) = (sum(|call| call.bypassed), sum(Call::missed));
        if bypassed > 0.0 {
            bypassed / (bypassed + continued)
        } else {
            0.0
        }
    }

    /// Checks that the calls were bypassed.
    ///
    /// # Errors
    /// They were not; with finesse-run's reasons.
    pub fn check(&self) -> Result<()> {
        let share = self.share();
        ensure!(
            share >= ENOUGH,
            "only {:.0} % of the trapped calls were bypassed ({})",
            share * 100.0,
            self.reasons()
        );
        Ok(())
    }

    /// Checks that no program stayed on traps that made many calls.
    ///
    /// # Errors
    /// One did; with finesse-run's reasons.
    pub fn check_fast(&self) -> Result<()> {
        let trapped = self
            .fast
            .programs
            .iter()
            .find(|it| it.with_agent == 0 && it.trapped > FEW_TRAPS);
        if let Some(it) = trapped {
            let reasons: Vec<_> = it.on_traps.keys().map(String::as_str).collect();
            bail!("{} stayed on traps: {}", it.program, reasons.join(", "));
        }
        Ok(())
    }

    fn reasons(&self) -> String {
        let reasons = self.calls.iter().flat_map(|call| {
            let name = &call.syscall;
            call.reasons
                .iter()
                .filter(|(reason, _)| *reason != OBSERVED)
                .map(move |(reason, count)| format!("{name}: {reason} {count}×"))
        });
        let reasons: Vec<_> = reasons.collect();
        if reasons.is_empty() {
            "no call was trapped".to_owned()
        } else {
            reasons.join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(bypassed: u64, continued: u64) -> Calls {
        let text = format!(
            r#"{{"calls":[{{"syscall":"unlink","bypassed":{bypassed},"continued":{continued},
            "reasons":{{"no Finesse":{continued}}},"median_us":null,"p99_us":null}}]}}"#
        );
        Calls::parse(&text).unwrap()
    }

    #[test]
    fn a_few_continued_calls_are_no_matter() {
        assert!((calls(95, 5).share() - 0.95).abs() < 1e-9);
        calls(95, 5).check().unwrap();
    }

    #[test]
    fn calls_that_are_only_observed_do_not_count() {
        let text = r#"{"calls":[{"syscall":"chmod","bypassed":10,"continued":0},
            {"syscall":"umask","bypassed":0,"continued":200,"reasons":{"observed only":200}}]}"#;
        assert!((Calls::parse(text).unwrap().share() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_fast_row_without_the_agent_is_told_why() {
        let calls = |with_agent: u64, trapped: u64| {
            let text = format!(
                r#"{{"calls":[],"fast":{{"programs":[{{"program":"/bin/rm","processes":1,
                "with_agent":{with_agent},"untrapped":0,"trapped":{trapped},"on_traps":{{"no room":1}}}}]}}}}"#
            );
            Calls::parse(&text).unwrap().check_fast()
        };
        calls(1, 1000).unwrap();
        calls(0, 10).unwrap();
        let error = calls(0, 1000).unwrap_err().to_string();
        assert!(
            error.contains("/bin/rm") && error.contains("no room"),
            "{error}"
        );
        Calls::parse(r#"{"calls":[]}"#)
            .unwrap()
            .check_fast()
            .unwrap();
    }

    #[test]
    fn a_row_that_bypasses_nothing_is_told_why() {
        let error = calls(0, 100).check().unwrap_err().to_string();
        assert!(
            error.contains("0 %") && error.contains("unlink: no Finesse 100×"),
            "{error}"
        );
        assert!(Calls::parse(r#"{"calls":[]}"#).unwrap().check().is_err());
        assert!(Calls::parse("{}").is_err());
    }
}
