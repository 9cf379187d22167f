//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use globset::Glob;

use super::column::{Daemon, Served};
use super::workload::{self, Workload};

/// Compare a directory, its plain FUSE mount, and the same mount under finesse-run.
///
/// Every column runs the same workload of a static program, in turn within each repetition, on a
/// mount and a directory of its own. Figures are medians in µs per operation.
#[derive(Debug, Parser)]
#[command(name = "finesse-compare", version)]
#[allow(clippy::struct_excessive_bools)] // Each is a switch of the command line.
pub struct Options {
    /// Only workloads whose name matches (a glob; may be repeated)
    #[arg(short, long, value_name = "PATTERN")]
    pub workload: Vec<String>,
    /// Which file systems
    #[arg(long, value_name = "WHICH", default_value = "both")]
    pub fs: Which,
    /// Numbers of threads, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: Vec<u16>,
    /// Repetitions of each column [default: 5, with --quick 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub repeat: Option<u16>,
    /// Fewer operations, repetitions and placements: a look, not a result
    #[arg(long)]
    pub quick: bool,
    /// Directory to work in [default: ext4 with a journal on a loop file when root, else tmpfs]
    #[arg(long, value_name = "DIR")]
    pub backing: Option<PathBuf>,
    /// Measure the bypass with program and file system on one CPU as well (a column of its own)
    #[arg(long)]
    pub pin_bypass: bool,
    /// Measure `finesse-run --fast` as well (a column of its own)
    #[arg(long)]
    pub fast: bool,
    /// Write the figures to FILE as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write one page with charts to FILE
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// List the workloads and end
    #[arg(long)]
    pub list: bool,
}

/// Which file systems to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// The pass-through of a directory
    Passthrough,
    /// The one in memory
    Memory,
    /// The first two, one after the other
    Both,
    /// bindfs, and the same under finesse-serve
    Bindfs,
    /// sshfs to an sshd of this machine, and the same under finesse-serve
    Sshfs,
}

impl Options {
    /// The workloads asked for, in the order of the table.
    ///
    /// # Errors
    /// A pattern is wrong, or matches nothing.
    pub fn workloads(&self) -> Result<Vec<&'static Workload>> {
        let mut chosen = vec![self.workload.is_empty(); workload::ALL.len()];
        for pattern in &self.workload {
            let glob = Glob::new(pattern)
                .with_context(|| format!("bad pattern {pattern:?}"))?
                .compile_matcher();
            let matches: Vec<_> = (0..chosen.len())
                .filter(|&at| glob.is_match(workload::ALL[at].name))
                .collect();
            if matches.is_empty() {
                bail!("no workload matches {pattern:?}; --list shows them");
            }
            matches.into_iter().for_each(|at| chosen[at] = true);
        }
        Ok(workload::ALL
            .iter()
            .zip(chosen)
            .filter_map(|(workload, chosen)| chosen.then_some(workload))
            .collect())
    }

    /// The file systems asked for.
    #[must_use]
    pub fn file_systems(&self) -> &'static [Served] {
        match self.fs {
            Which::Passthrough => &[Served::Passthrough],
            Which::Memory => &[Served::Memory],
            Which::Both => &[Served::Passthrough, Served::Memory],
            Which::Bindfs => &[Served::Daemon(Daemon::Bindfs)],
            Which::Sshfs => &[Served::Daemon(Daemon::Sshfs)],
        }
    }

    /// Whether a backing directory is of any use.
    #[must_use]
    pub fn needs_backing(&self) -> bool {
        self.fs != Which::Memory
    }

    /// How often each column runs.
    #[must_use]
    pub fn repetitions(&self) -> usize {
        self.repeat
            .map_or(if self.quick { 3 } else { 5 }, usize::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> Result<Vec<&'static str>> {
        let options = Options::parse_from(std::iter::once(&"finesse-compare").chain(arguments));
        Ok(options
            .workloads()?
            .iter()
            .map(|workload| workload.name)
            .collect())
    }

    #[test]
    fn a_plain_name_matches_only_itself() {
        assert_eq!(names(&["-w", "unlink"]).unwrap(), ["unlink"]);
        assert_eq!(
            names(&["-w", "rename", "-w", "mkdir*"]).unwrap(),
            ["mkdir", "mkdirat", "rename"]
        );
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_an_error() {
        assert!(
            names(&["-w", "unlnik"])
                .unwrap_err()
                .to_string()
                .contains("unlnik")
        );
        assert!(names(&["-w", "[a"]).is_err());
    }
}
