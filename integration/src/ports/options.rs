//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Build file systems that others wrote for fuser 0.18 against fuser and against finesse-fuse, mount each, use it
/// through both doors, and compare with plain FUSE.
///
/// Exits with 0 when all agree, 1 when they do not, 2 when it cannot be told.
#[derive(Debug, Parser)]
#[command(name = "finesse-ports", version)]
pub struct Options {
    /// Only file systems whose name contains PATTERN (may be repeated)
    #[arg(long, value_name = "PATTERN")]
    pub port: Vec<String>,
    /// cargo's directory, in which they are built and kept [default: above the directory of this program]
    #[arg(long, value_name = "DIR")]
    pub target_dir: Option<PathBuf>,
}

impl Options {
    /// Whether the port `name` is asked for.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.port.is_empty() || self.port.iter().any(|pattern| name.contains(pattern))
    }
}
