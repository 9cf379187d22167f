//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::probe::Question;

const AFTER: &str = "\
States:
  ok       as Finesse wants it
  limited  Finesse works, with the drawback named
  missing  Finesse, or this path, does not work without it

Exit codes:
  0  nothing is missing, and Finesse serves the mount of every PATH
  1  something is missing
  2  wrong usage";

/// Says what this kernel and user allow Finesse to do, and how to mend what they do not.
#[derive(Debug, Parser)]
#[command(name = env!("CARGO_PKG_NAME"), version, after_help = AFTER)]
pub(crate) struct Options {
    /// Say of each whether Finesse serves its mount, and if not, why
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Print JSON: {"ok", "checks": [{"name", "state", "meaning", "remedy"}], "paths": [...]}
    #[arg(long)]
    pub(crate) json: bool,
    /// Answer one question of the doctor's own, with PATHs as its arguments
    #[arg(long, hide = true, value_enum)]
    pub(crate) probe: Option<Question>,
}
