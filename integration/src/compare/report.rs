//! What was measured, and its JSON form.

use anyhow::{Context, Result};
use serde::Serialize;

use super::bench::Job;
use super::column::Column;
use super::stats::Summary;
use super::workload::{Goal, Policy};
use crate::placement::Placement;

/// All rows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// One for each workload, file system and number of threads.
    pub rows: Vec<Row>,
    /// What could not be measured and why, each said once.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// One workload's figures: medians in µs per operation, `null` where there is none.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Name of the workload.
    pub workload: &'static str,
    /// `passthrough`, `memory`, or a daemon's name.
    pub fs: &'static str,
    /// What lies below, or what the native column is.
    pub backing: String,
    /// Threads of the driver. Time per operation is wall time by operations of all threads.
    pub threads: usize,
    /// The directory itself.
    pub native_us: Option<f64>,
    /// The plain FUSE mount at its default placement.
    pub fuse_us: Option<f64>,
    /// The plain FUSE mount at the fastest placement tried.
    pub fuse_best_us: Option<f64>,
    /// The mount under finesse-run, at its default placement.
    pub bypass_us: Option<f64>,
    /// The bypass with program and file system on one CPU, when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypass_pinned_us: Option<f64>,
    /// Programs that post their requests themselves, when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fast_us: Option<f64>,
    /// Which placement was the fastest.
    pub fuse_best_placement: Option<&'static str>,
    /// Operations of a repetition.
    pub ops: usize,
    /// Whether look-ups were bypassed.
    pub lookups_bypassed: bool,
    /// Share of the trapped calls that were bypassed in an untimed run; absent where none should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypassed_share: Option<f64>,
    /// What the project promises, in words, and whether it holds here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<Verdict>,
    /// Each column's figures.
    pub columns: Vec<Measured>,
}

/// One column of a row.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// What it is called.
    pub column: String,
    /// Measurements that succeeded.
    pub repeats: usize,
    /// What they say.
    #[serde(flatten)]
    pub summary: Summary,
}

/// A promise and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The promise in words.
    pub text: String,
    /// Whether the medians keep it.
    pub met: bool,
}

impl Report {
    /// `{"rows":[…]}`.
    ///
    /// # Errors
    /// A figure that JSON cannot hold.
    pub fn to_json(&self) -> Result<String> {
        let mut text =
            serde_json::to_string_pretty(self).context("cannot write the figures as JSON")?;
        text.push('\n');
        Ok(text)
    }

    /// Adds a warning unless it was given before.
    pub fn warn(&mut self, text: String) {
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
}

impl Row {
    /// Sums up the samples of each column.
    #[must_use]
    pub fn new(job: &Job, backing: &str, samples: &[(Column, Vec<f64>)]) -> Self {
        let summaries: Vec<_> = samples
            .iter()
            .filter_map(|(column, samples)| Some((*column, samples.len(), Summary::of(samples)?)))
            .collect();
        let median = |wanted: Column| {
            summaries
                .iter()
                .find(|(column, ..)| *column == wanted)
                .map(|(.., s)| s.median)
        };
        let best = summaries
            .iter()
            .filter_map(|(column, _, summary)| {
                if let Column::Fuse(place) = column {
                    Some((summary.median, place.name))
                } else {
                    None
                }
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let pinned = summaries.iter().find(
            |(column, ..)| matches!(column, Column::Bypass(place) if *place != Placement::DEFAULT),
        );
        let mut row = Self {
            workload: job.workload.name,
            fs: job.served.name(),
            backing: backing.to_owned(),
            threads: job.threads,
            native_us: median(Column::Native),
            fuse_us: median(Column::Fuse(Placement::DEFAULT)),
            fuse_best_us: best.map(|best| best.0),
            bypass_us: median(Column::Bypass(Placement::DEFAULT)),
            bypass_pinned_us: pinned.map(|(.., summary)| summary.median),
            fast_us: median(Column::Fast),
            fuse_best_placement: best.map(|best| best.1),
            ops: job.ops,
            lookups_bypassed: job.workload.policy == Policy::Lookups,
            bypassed_share: None,
            goal: None,
            columns: Vec::new(),
        };
        row.columns = summaries
            .iter()
            .map(|(column, repeats, summary)| Measured {
                column: column.name(),
                repeats: *repeats,
                summary: *summary,
            })
            .collect();
        // The promises are about one thread.
        row.goal = if job.threads == 1 {
            row.judge(job.workload.goal)
        } else {
            None
        };
        row
    }

    /// The figures of the column called `name`.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<Summary> {
        self.columns
            .iter()
            .find(|measured| measured.column == name)
            .map(|measured| measured.summary)
    }

    /// How many times as fast as `other` the bypass is.
    #[must_use]
    pub fn times(&self, other: Option<f64>) -> Option<f64> {
        Some(other? / self.bypass_us?)
    }

    fn judge(&self, goal: Goal) -> Option<Verdict> {
        let best = self.times(self.fuse_best_us);
        let verdict = |text, met| Some(Verdict { text, met });
        match goal {
            Goal::None => None,
            Goal::FasterThanBest(passthrough, memory) => {
                let wanted = if self.fs == "memory" {
                    memory
                } else {
                    passthrough
                };
                verdict(format!("{wanted}× FUSE-best"), best? >= wanted)
            }
            // The tree's promise is about journaled ext4; in memory it is a mutation like others.
            Goal::Tree(..) if self.fs == "memory" => self.judge(Goal::FasterThanBest(1.5, 1.5)),
            Goal::Tree(over_best, over_default, over_native) => {
                let met = best? >= over_best
                    && self.times(self.fuse_us)? >= over_default
                    && self.times(self.native_us)? >= over_native;
                verdict(
                    format!("{over_best}× FUSE-best, {over_default}× FUSE, {over_native}× native"),
                    met,
                )
            }
            Goal::SlowerThanFuse(fraction) => {
                let met = self.times(self.fuse_us)? >= 1.0 / (1.0 + fraction);
                verdict(format!("within {:.0} % of FUSE", fraction * 100.0), met)
            }
            Goal::SlowerThanNative(fraction) => {
                let met = self.times(self.native_us)? >= 1.0 / (1.0 + fraction);
                verdict(format!("within {:.0} % of native", fraction * 100.0), met)
            }
            Goal::MoreThanNative(micros) => verdict(
                format!("at most {:.0} ms more", micros / 1000.0),
                self.bypass_us? - self.native_us? <= micros,
            ),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::compare::column::Served;
    use crate::compare::workload::ALL;

    /// A row of `workload` with the given medians of native, FUSE, FUSE pinned and bypass.
    pub(in crate::compare) fn row(workload: &str, served: Served, medians: [f64; 4]) -> Row {
        let pinned = Placement {
            name: "same CPU",
            server: Some(0),
            driver: Some(0),
            threads: None,
        };
        let columns = [
            Column::Native,
            Column::Fuse(Placement::DEFAULT),
            Column::Fuse(pinned),
            Column::Bypass(Placement::DEFAULT),
        ];
        let samples: Vec<_> = columns
            .into_iter()
            .zip(medians)
            .map(|(column, at)| (column, vec![at * 0.9, at, at * 1.1]))
            .collect();
        let workload = ALL
            .iter()
            .find(|candidate| candidate.name == workload)
            .unwrap();
        Row::new(
            &Job {
                workload,
                served,
                ops: 100,
                threads: 1,
            },
            "ext4",
            &samples,
        )
    }

    #[test]
    fn json_has_the_promised_keys() {
        let report = Report {
            rows: vec![row("unlink", Served::Passthrough, [10.0, 60.0, 30.0, 15.0])],
            warnings: vec!["w".into()],
        };
        let value: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
        assert_eq!(
            value.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["rows"]
        );
        let row = &value["rows"][0];
        assert_eq!(row["workload"], "unlink");
        assert_eq!(row["fs"], "passthrough");
        assert_eq!(row["backing"], "ext4");
        assert_eq!(row["threads"], 1);
        for (key, wanted) in [
            ("native_us", 10.0),
            ("fuse_us", 60.0),
            ("fuse_best_us", 30.0),
            ("bypass_us", 15.0),
        ] {
            assert!((row[key].as_f64().unwrap() - wanted).abs() < 1e-9, "{key}");
        }
        assert_eq!(row["fuse_best_placement"], "same CPU");
        assert_eq!(row["columns"][0]["max_us"], 11.0);
    }

    #[test]
    fn a_missing_column_is_null() {
        let workload = &ALL[0];
        let row = Row::new(
            &Job {
                workload,
                served: Served::Memory,
                ops: 1,
                threads: 1,
            },
            "tmpfs",
            &[(Column::Native, vec![1.0])],
        );
        let value = serde_json::to_value(&row).unwrap();
        assert!(value["bypass_us"].is_null() && value["fuse_best_us"].is_null());
        assert_eq!(row.goal, None);
    }

    #[test]
    fn promises_are_judged_by_file_system() {
        let met = |name, served, medians| row(name, served, medians).goal.unwrap().met;
        assert!(met("unlink", Served::Passthrough, [10.0, 60.0, 30.0, 22.0]));
        assert!(!met("unlink", Served::Memory, [10.0, 60.0, 30.0, 22.0]));
        assert!(met(
            "unlink-tree",
            Served::Passthrough,
            [17.0, 125.0, 41.0, 26.0]
        ));
        assert!(!met(
            "unlink-tree",
            Served::Passthrough,
            [10.0, 125.0, 41.0, 26.0]
        ));
        assert!(met("off-mount", Served::Memory, [10.0, 10.0, 10.0, 10.2]));
        assert!(!met("off-mount", Served::Memory, [10.0, 10.0, 10.0, 10.5]));
        assert!(met(
            "exec-true",
            Served::Memory,
            [500.0, 500.0, 500.0, 5400.0]
        ));
    }
}
