//! What became of the trapped calls.

mod programs;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;

use crate::calls;
use crate::reason::Reason;
pub(crate) use programs::Note;
use programs::Programs;

/// What became of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// Served past the kernel.
    Bypassed,
    /// Served past the kernel, with an errno.
    Failed,
    /// Refused by the policy.
    Refused,
    /// Left to the kernel.
    Continued(Reason),
}

/// Counts and times, when somebody wants them.
#[derive(Debug)]
pub(crate) struct Report {
    calls: Option<Mutex<HashMap<i32, Line>>>,
    programs: Programs,
}

#[derive(Debug, Default)]
struct Line {
    bypassed: u64,
    /// Without a trap: posted by the program itself, if that has told so.
    untrapped: u64,
    failed: u64,
    refused: u64,
    continued: HashMap<Reason, u64>,
    /// Receive to answer, of the calls that were not continued, in nanoseconds.
    times: Option<Histogram<u32>>,
}

/// The report as data.
#[derive(Debug, Serialize)]
struct Json {
    calls: Vec<JsonLine>,
    fast: programs::Json,
}

#[derive(Debug, Serialize)]
struct JsonLine {
    syscall: &'static str,
    bypassed: u64,
    untrapped: u64,
    failed: u64,
    refused: u64,
    continued: u64,
    reasons: BTreeMap<&'static str, u64>,
    median_us: Option<f64>,
    p99_us: Option<f64>,
}

impl Report {
    pub(crate) fn new(wanted: bool) -> Self {
        Report {
            calls: wanted.then(Mutex::default),
            programs: Programs::default(),
        }
    }

    /// Something happened to a process of this program on the fast path.
    pub(crate) fn note(&self, program: &Arc<Path>, note: Note) {
        if self.calls.is_some() {
            self.programs.note(program, note);
        }
    }

    /// A process of this program posted so many of these calls itself.
    pub(crate) fn add_untrapped(&self, program: &Arc<Path>, number: i32, count: u64) {
        let Some(calls) = &self.calls else { return };
        let mut calls = calls.lock();
        let line = calls.entry(number).or_default();
        // The count is the program's word.
        line.untrapped = line.untrapped.saturating_add(count);
        drop(calls);
        self.programs.note(program, Note::Untrapped(count));
    }

    /// Notes what became of the system call `number`, received at `started`.
    pub(crate) fn record(&self, number: i32, outcome: Outcome, started: Instant) {
        let Some(calls) = &self.calls else { return };
        let elapsed = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut calls = calls.lock();
        let line = calls.entry(number).or_default();
        match outcome {
            Outcome::Bypassed => line.bypassed += 1,
            // An errno is an answer like any other.
            Outcome::Failed => {
                line.bypassed += 1;
                line.failed += 1;
            }
            Outcome::Refused => line.refused += 1,
            Outcome::Continued(reason) => {
                *line.continued.entry(reason).or_default() += 1;
                return;
            }
        }
        let times = line.times.get_or_insert_with(new_histogram);
        times.saturating_record(elapsed);
    }

    /// As `--report-json` writes it.
    pub(crate) fn to_json(&self) -> String {
        let json = Json {
            calls: self.lines(),
            fast: self.programs.to_json(),
        };
        serde_json::to_string_pretty(&json).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"))
    }

    /// As `--report` prints it.
    pub(crate) fn to_table(&self) -> String {
        let mut table = format!(
            "{:<14}{:>10}{:>11}{:>8}{:>11}{:>12}{:>9}  continued because\n",
            "system call", "bypassed", "untrapped", "failed", "continued", "median µs", "p99 µs"
        );
        for line in self.lines() {
            let time = |us: Option<f64>| us.map_or("-".to_owned(), |us| format!("{us:.1}"));
            let mut reasons: Vec<_> = line
                .reasons
                .iter()
                .map(|(reason, n)| format!("{reason} ({n})"))
                .collect();
            if line.refused > 0 {
                reasons.push(format!("refused by policy ({})", line.refused));
            }
            let _ = writeln!(
                table,
                "{:<14}{:>10}{:>11}{:>8}{:>11}{:>12}{:>9}  {}",
                line.syscall,
                line.bypassed,
                line.untrapped,
                line.failed,
                line.continued,
                time(line.median_us),
                time(line.p99_us),
                reasons.join(", ")
            );
        }
        table.push_str(&self.programs.to_json().to_text());
        table
    }

    fn lines(&self) -> Vec<JsonLine> {
        let Some(calls) = &self.calls else {
            return Vec::new();
        };
        let mut lines: Vec<_> = calls
            .lock()
            .iter()
            .map(|(number, line)| line.to_json(*number))
            .collect();
        lines.sort_by_key(|line| {
            let served = line.bypassed.saturating_add(line.untrapped);
            std::cmp::Reverse((served, line.continued))
        });
        lines
    }
}

/// Up to an hour, to three digits: 100 KiB a system call.
fn new_histogram() -> Histogram<u32> {
    const HOUR: u64 = 3_600_000_000_000;
    Histogram::new_with_max(HOUR, 3).unwrap_or_else(|_| unreachable!("the bounds are sound"))
}

impl Line {
    fn to_json(&self, number: i32) -> JsonLine {
        // Histograms count nanoseconds; below 2^53 the conversion is exact.
        #[expect(clippy::cast_precision_loss)]
        let quantile = |q| {
            self.times
                .as_ref()
                .map(|times| times.value_at_quantile(q) as f64 / 1000.0)
        };
        JsonLine {
            syscall: calls::name(number),
            bypassed: self.bypassed,
            untrapped: self.untrapped,
            failed: self.failed,
            refused: self.refused,
            continued: self.continued.values().sum(),
            reasons: self
                .continued
                .iter()
                .map(|(r, n)| (r.describe(), *n))
                .collect(),
            median_us: quantile(0.5),
            p99_us: quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_reasons_add_up() {
        let report = Report::new(true);
        let unlink = i32::try_from(libc::SYS_unlink).unwrap();
        let now = Instant::now();
        for outcome in [
            Outcome::Bypassed,
            Outcome::Failed,
            Outcome::Continued(Reason::Policy),
            Outcome::Continued(Reason::Policy),
            Outcome::Refused,
        ] {
            report.record(unlink, outcome, now);
        }
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        let line = &json["calls"][0];
        assert_eq!(line["syscall"], "unlink");
        assert_eq!(line["bypassed"], 2);
        assert_eq!(line["continued"], 2);
        assert_eq!(line["reasons"]["policy"], 2);
        assert!(line["median_us"].as_f64().unwrap() > 0.0);
        assert!(
            report
                .to_table()
                .contains("policy (2), refused by policy (1)")
        );
    }

    #[test]
    fn nothing_is_kept_unless_wanted() {
        let report = Report::new(false);
        report.record(1, Outcome::Bypassed, Instant::now());
        assert!(report.lines().is_empty());
    }
}
