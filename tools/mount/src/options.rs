//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0   unmounted, by a signal or by somebody else
  1   serving failed
  2   wrong usage
  3   mountpoint missing
  4   mountpoint is not a directory
  5   mountpoint busy
  6   source directory missing or unusable
  7   no /dev/fuse
  8   no fusermount3
  9   mountpoint lies inside the source directory
  10  --allow-other is forbidden by /etc/fuse.conf
  11  mounting failed for another reason

Runs in the foreground until SIGINT, SIGTERM or SIGHUP, or until the mount is removed.";

/// Mounts a pass-through or a memory file system.
#[derive(Debug, Parser)]
#[command(name = env!("CARGO_PKG_NAME"), version, after_help = EXIT_CODES)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) kind: Kind,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Which file system, and where.
#[derive(Debug, Subcommand)]
pub(crate) enum Kind {
    /// Show the tree SRC at MNT
    Passthrough {
        /// The directory whose tree is shown
        #[arg(value_name = "SRC")]
        source: PathBuf,
        /// The directory to mount on
        #[arg(value_name = "MNT")]
        mountpoint: PathBuf,
    },
    /// An empty file system held in memory
    Memory {
        /// The directory to mount on
        #[arg(value_name = "MNT")]
        mountpoint: PathBuf,
        /// Most bytes that files, names and attributes may take (suffixes K, M, G); ENOSPC beyond
        /// [default: half of the machine's memory]
        #[arg(long, value_name = "BYTES", value_parser = parse_size)]
        size: Option<u64>,
    },
}

/// What both file systems understand.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// How long the kernel may keep a name, in seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value = "1", value_parser = parse_seconds)]
    pub(crate) entry_ttl: Duration,
    /// How long the kernel may keep attributes, in seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value = "1", value_parser = parse_seconds)]
    pub(crate) attr_ttl: Duration,
    /// Let other users in; turns on --default-permissions, because these file systems leave
    /// checking who may do what to the kernel
    #[arg(long, global = true)]
    pub(crate) allow_other: bool,
    /// Have permissions checked by mode, owner and group; the memory file system always has
    #[arg(long, global = true)]
    pub(crate) default_permissions: bool,
    /// Threads that serve requests [default: one a CPU, at least 2, at most 4]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: Option<u16>,
    /// Refuse every change
    #[arg(long, global = true)]
    pub(crate) read_only: bool,
    /// Write one byte to this descriptor as soon as the mount can be used
    #[arg(long, global = true, value_name = "N")]
    pub(crate) ready_fd: Option<u32>,
    /// Say more; twice: say much more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Common {
    /// How many threads to serve with.
    pub(crate) fn thread_count(&self) -> usize {
        let cpus = || {
            std::thread::available_parallelism()
                .map_or(2, usize::from)
                .clamp(2, 4)
        };
        self.threads.map_or_else(cpus, usize::from)
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "expected a number of seconds, such as 0 or 1.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 0,
        "K" | "KIB" => 10,
        "M" | "MIB" => 20,
        "G" | "GIB" => 30,
        other => return Err(format!("unknown suffix {other}: expected K, M or G")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "expected a number of bytes, such as 512M".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_suffixes() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("3k"), Ok(3 << 10));
        assert_eq!(parse_size("2G"), Ok(2 << 30));
        assert!(parse_size("12X").is_err());
        assert!(parse_size("G").is_err());
        assert!(parse_size("99999999999G").is_err());
    }

    #[test]
    fn seconds_are_not_negative() {
        assert_eq!(parse_seconds("0.25"), Ok(Duration::from_millis(250)));
        assert!(parse_seconds("-1").is_err());
        assert!(parse_seconds("nan").is_err());
    }
}
