//! The timed loop, on one thread or several.

use std::fmt;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::place::Place;
use crate::workloads::Workload;

/// What one run took.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Name of the workload.
    pub workload: String,
    /// Operations of all threads together.
    pub ops: usize,
    /// Threads that shared them.
    pub threads: usize,
    /// Wall time from the first operation's start to the last one's end.
    pub total: Duration,
    /// Median and 99th percentile of single operations, when they were asked for.
    pub percentiles: Option<(Duration, Duration)>,
}

impl fmt::Display for Figures {
    /// One line of `key=value` fields after the word `finesse-driver`; times in nanoseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            workload,
            ops,
            threads,
            total,
            ..
        } = self;
        write!(
            f,
            "finesse-driver workload={workload} ops={ops} threads={threads} total_ns={}",
            total.as_nanos()
        )?;
        match self.percentiles {
            Some((p50, p99)) => write!(f, " p50_ns={} p99_ns={}", p50.as_nanos(), p99.as_nanos()),
            None => Ok(()),
        }
    }
}

/// One thread's share of a run.
struct Share {
    begin: Instant,
    end: Instant,
    samples: Vec<Duration>,
}

/// Creates what `workload` needs below `root`, for `threads` threads of `ops / threads` operations.
///
/// # Errors
/// A share that is not whole, and what the file system says.
pub fn prepare(workload: &Workload, root: &Path, ops: usize, threads: usize) -> Result<()> {
    let share = share_of(ops, threads)?;
    for thread in 0..threads {
        let place = Place::of_thread(root, thread);
        place
            .create()
            .and_then(|()| (workload.prepare)(&place, share))
            .with_context(|| {
                format!(
                    "cannot prepare {} in {}",
                    workload.name,
                    place.dir().display()
                )
            })?;
    }
    Ok(())
}

/// Runs `workload` below `root`, where [`prepare`] has been, and says what it took.
///
/// # Errors
/// The first operation that failed.
pub fn run(
    workload: &Workload,
    root: &Path,
    ops: usize,
    threads: usize,
    percentiles: bool,
) -> Result<Figures> {
    let share = share_of(ops, threads)?;
    let barrier = Barrier::new(threads);
    let one = |thread| {
        run_share(
            workload,
            &Place::of_thread(root, thread),
            share,
            &barrier,
            percentiles,
        )
    };
    // A single thread stays the main thread: the plainest program there is.
    let shares = if threads == 1 {
        vec![one(0)?]
    } else {
        run_threads(threads, &one)?
    };
    Ok(figures(workload, ops, &shares))
}

fn share_of(ops: usize, threads: usize) -> Result<usize> {
    ensure!(
        threads > 0 && ops > 0,
        "at least one thread and one operation are needed"
    );
    ensure!(
        ops.is_multiple_of(threads),
        "{ops} operations cannot be shared evenly by {threads} threads"
    );
    Ok(ops / threads)
}

fn run_threads(
    threads: usize,
    one: &(impl Fn(usize) -> Result<Share> + Sync),
) -> Result<Vec<Share>> {
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || one(thread)))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("a workload does not panic"))
            .collect()
    })
}

fn run_share(
    workload: &Workload,
    place: &Place,
    ops: usize,
    barrier: &Barrier,
    percentiles: bool,
) -> Result<Share> {
    let started = (workload.start)(place, ops);
    // Every thread arrives here, also the one that could not start: the others wait for it.
    barrier.wait();
    let mut step = started.with_context(|| {
        format!(
            "cannot start {} in {}",
            workload.name,
            place.dir().display()
        )
    })?;
    let mut samples = Vec::with_capacity(if percentiles { ops } else { 0 });
    let begin = Instant::now();
    let mut last = begin;
    for index in 0..ops {
        step(index).with_context(|| format!("{}: operation {index} failed", workload.name))?;
        if percentiles {
            let now = Instant::now();
            samples.push(now - last);
            last = now;
        }
    }
    Ok(Share {
        begin,
        end: Instant::now(),
        samples,
    })
}

fn figures(workload: &Workload, ops: usize, shares: &[Share]) -> Figures {
    let begin = shares
        .iter()
        .map(|share| share.begin)
        .min()
        .expect("a run has a thread");
    let end = shares
        .iter()
        .map(|share| share.end)
        .max()
        .expect("a run has a thread");
    let mut samples: Vec<_> = shares
        .iter()
        .flat_map(|share| share.samples.iter().copied())
        .collect();
    samples.sort_unstable();
    let at = |hundredths: usize| samples.get(samples.len() * hundredths / 100).copied();
    Figures {
        workload: workload.name.to_owned(),
        ops,
        threads: shares.len(),
        total: end - begin,
        percentiles: at(50).zip(at(99)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads;

    fn prepared_run(workload: &Workload, ops: usize, threads: usize) -> Figures {
        let root = tempfile::tempdir().unwrap();
        prepare(workload, root.path(), ops, threads).unwrap();
        run(workload, root.path(), ops, threads, true).unwrap()
    }

    #[test]
    fn every_workload_runs_on_one_thread_and_on_two() {
        for workload in workloads::all() {
            for threads in [1, 2] {
                let figures = prepared_run(workload, 120, threads);
                assert_eq!(
                    (figures.ops, figures.threads),
                    (120, threads),
                    "{}",
                    workload.name
                );
                let (p50, p99) = figures.percentiles.unwrap();
                assert!(
                    p50 <= p99 && p99 <= figures.total,
                    "{}: {figures}",
                    workload.name
                );
            }
        }
    }

    #[test]
    fn unlinking_a_tree_leaves_its_directories_empty() {
        let root = tempfile::tempdir().unwrap();
        let workload = workloads::find("unlink-tree").unwrap();
        prepare(workload, root.path(), 250, 1).unwrap();
        run(workload, root.path(), 250, 1, false).unwrap();
        let directories: Vec<_> = std::fs::read_dir(root.path().join("t0")).unwrap().collect();
        assert_eq!(directories.len(), 100);
        for directory in directories {
            assert_eq!(
                std::fs::read_dir(directory.unwrap().path())
                    .unwrap()
                    .count(),
                0
            );
        }
    }

    #[test]
    fn a_failing_operation_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        let workload = workloads::find("unlink").unwrap();
        prepare(workload, root.path(), 10, 1).unwrap();
        std::fs::remove_file(root.path().join("t0/f000007")).unwrap();
        let error = run(workload, root.path(), 10, 1, false).unwrap_err();
        assert!(error.to_string().contains("operation 7"), "{error:#}");
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = workloads::all().map(|workload| workload.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
