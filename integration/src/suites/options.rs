//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::setting::Setting;

/// Run test suites that others wrote on the plain FUSE mount and under finesse-run, where every call that
/// can be is bypassed, and compare case by case.
///
/// What plain FUSE answers is right by definition: a case may fail, but on both or on none. Exits with 0
/// when both agree, 1 when they do not, 2 when it cannot be told.
#[derive(Debug, Parser)]
#[command(name = "finesse-suites", version)]
pub struct Options {
    /// Which suite
    #[arg(long, value_name = "WHICH", default_value = "both")]
    pub suite: WhichSuite,
    /// Which file systems
    #[arg(long, value_name = "WHICH", default_value = "both")]
    pub fs: WhichFileSystem,
    /// Who may use the mounts, and who checks permissions
    #[arg(long, value_name = "WHICH", default_value = "all")]
    pub access: WhichAccess,
    /// Seconds for which the kernel may keep names and attributes [default: the file systems' own]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub ttl: Option<Duration>,
    /// Fewer cases of fsx
    #[arg(long)]
    pub quick: bool,
    /// Only cases whose name contains PATTERN (may be repeated)
    #[arg(long, value_name = "PATTERN")]
    pub case: Vec<String>,
    /// First seed of fsx
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Where the suites are built and kept [default: suites, beside the directory of this program]
    #[arg(long, value_name = "DIR")]
    pub build_dir: Option<PathBuf>,
}

/// Which suites to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhichSuite {
    /// Each system call's answers
    Pjdfstest,
    /// A file's content under random changes
    Fsx,
    /// One after the other
    Both,
}

/// Which file systems to run them on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhichFileSystem {
    /// The pass-through of a directory
    Passthrough,
    /// The one in memory
    Memory,
    /// One after the other
    Both,
}

/// How the file systems are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhichAccess {
    /// For all users, the kernel checks permissions
    Others,
    /// For the owner alone, the kernel checks permissions
    Checked,
    /// For the owner alone, the file system checks permissions
    Unchecked,
    /// Each of them
    All,
}

impl Options {
    /// The mounts to compare on, in the order of the output.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let fits = |access: WhichAccess| self.access == WhichAccess::All || self.access == access;
        let memory = match self.fs {
            WhichFileSystem::Passthrough => &[false][..],
            WhichFileSystem::Memory => &[true],
            WhichFileSystem::Both => &[false, true],
        };
        let accesses = [
            (
                WhichAccess::Others,
                &["--default-permissions", "--allow-other"][..],
            ),
            (WhichAccess::Checked, &["--default-permissions"]),
            (WhichAccess::Unchecked, &[]),
        ];
        let settings = memory.iter().flat_map(|&memory| {
            accesses.map(|(access, options)| {
                let setting = Setting {
                    memory,
                    options,
                    ttl: self.ttl,
                };
                (access, setting)
            })
        });
        settings
            .filter(|(access, _)| fits(*access))
            .map(|(_, setting)| setting)
            .collect()
    }

    /// Whether the case `name` is asked for.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.case.is_empty() || self.case.iter().any(|pattern| name.contains(pattern))
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_the_product_of_what_is_asked_for() {
        let count = |arguments: &[&str]| {
            let line = std::iter::once(&"finesse-suites").chain(arguments);
            Options::parse_from(line).settings().len()
        };
        assert_eq!(count(&[]), 6);
        assert_eq!(count(&["--fs", "memory"]), 3);
        assert_eq!(count(&["--fs", "memory", "--access", "unchecked"]), 1);
    }
}
