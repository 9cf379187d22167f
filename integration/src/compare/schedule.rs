//! In which order things run: all columns in turn within each repetition, each repetition beginning with
//! another one.

use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::bench::{Bench, Job};
use super::column::{self, Column};
use super::options::Options;
use super::report::{Report, Row};
use super::workload::Workload;
use crate::programs::ProgramError;

/// What is to be run.
#[derive(Debug)]
pub struct Schedule {
    rows: Vec<(Job, Vec<Column>)>,
    repetitions: usize,
}

impl Schedule {
    /// Every workload asked for, on every file system and number of threads asked for.
    ///
    /// # Errors
    /// The CPUs of this process cannot be found out.
    pub fn new(options: &Options, workloads: &[&'static Workload]) -> Result<Self> {
        let mut rows = Vec::new();
        let extra = column::Extra {
            pinned: options.pin_bypass,
            fast: options.fast,
        };
        for &served in options.file_systems() {
            for threads in options.threads.iter().copied().map(usize::from) {
                for workload in workloads
                    .iter()
                    .filter(|workload| threads == 1 || workload.threaded())
                {
                    let in_memory = served == column::Served::Memory;
                    let ops = workload.operations(in_memory, options.quick, threads);
                    let columns =
                        column::columns(served, workload.on_mount(), options.quick, extra)?;
                    rows.push((
                        Job {
                            workload,
                            served,
                            ops,
                            threads,
                        },
                        columns,
                    ));
                }
            }
        }
        Ok(Self {
            rows,
            repetitions: options.repetitions(),
        })
    }

    /// Runs it all. What fails is a gap and a warning; Ctrl-C ends with the rows that are complete.
    #[must_use]
    pub fn run(&self, bench: &Bench<'_>) -> Report {
        let progress = self.progress();
        let mut report = Report::default();
        for (job, columns) in &self.rows {
            let Some(row) = self.run_row(bench, job, columns, &progress, &mut report) else {
                break;
            };
            report.rows.push(row);
        }
        progress.finish_and_clear();
        report
    }

    /// `None` once interrupted.
    fn run_row(
        &self,
        bench: &Bench<'_>,
        job: &Job,
        columns: &[Column],
        progress: &ProgressBar,
        report: &mut Report,
    ) -> Option<Row> {
        let bypassed_share = rehearse(bench, job, report);
        let mut samples: Vec<_> = columns.iter().map(|column| (*column, Vec::new())).collect();
        let mut broken = vec![false; columns.len()];
        for repetition in 0..self.repetitions {
            for at in rotated(columns.len(), repetition) {
                progress.set_message(what(job, &columns[at]));
                progress.inc(1);
                if broken[at] {
                    continue;
                }
                match bench.measure(job, &columns[at]) {
                    Ok(figure) => samples[at].1.push(figure),
                    Err(_) if bench.interrupt().asked() => return None,
                    Err(error) => {
                        broken[at] = true;
                        samples[at].1.clear();
                        report.warn(explain(job, &columns[at], &error));
                    }
                }
            }
        }
        let mut row = Row::new(job, bench.backing_of(job.served), &samples);
        row.bypassed_share = bypassed_share;
        Some(row)
    }

    /// A bar on standard error; indicatif shows none unless that is a terminal.
    fn progress(&self) -> ProgressBar {
        let steps: usize = self
            .rows
            .iter()
            .map(|(_, columns)| columns.len() * self.repetitions)
            .sum();
        let progress = ProgressBar::new(steps as u64);
        let style = ProgressStyle::with_template("{bar:30} {percent:>3} % {eta:>5} left  {msg}");
        progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        progress.enable_steady_tick(Duration::from_secs(1));
        progress
    }
}

/// The positions `0..count`, beginning with another one at each turn.
fn rotated(count: usize, turn: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |at| (at + turn) % count)
}

/// The share of the calls that the bypass column will bypass, with a warning if it is small.
fn rehearse(bench: &Bench<'_>, job: &Job, report: &mut Report) -> Option<f64> {
    if !job.workload.bypassed() {
        return None;
    }
    let calls = match bench.rehearse(job) {
        Ok(calls) => calls,
        Err(_) if bench.interrupt().asked() => return None,
        Err(error) => {
            report.warn(explain(job, &Column::Rehearsal, &error));
            return None;
        }
    };
    if let Err(error) = calls.check() {
        report.warn(explain(job, &Column::Rehearsal, &error));
    }
    Some(calls.share())
}

fn what(job: &Job, column: &Column) -> String {
    format!(
        "{} on {}, {}",
        job.workload.name,
        job.served.name(),
        column.name()
    )
}

/// A missing program is missing in every row: then the warning names none, and is given once.
fn explain(job: &Job, column: &Column, error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    if error.is::<ProgramError>() {
        return text;
    }
    format!("{}: {text}", what(job, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_begins_elsewhere_and_leaves_none_out() {
        assert_eq!(rotated(3, 0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(rotated(3, 4).collect::<Vec<_>>(), [1, 2, 0]);
    }
}
