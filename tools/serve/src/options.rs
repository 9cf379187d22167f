//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

const AFTER: &str = "\
The mount works as it does without finesse-serve. Programs started by finesse-run reach the
daemon over shared memory as well.

Daemons that do not use libc's functions (static programs, Go programs) are run plain, and
finesse-serve says so. So are daemons that agree with the kernel on something that the bypass
door cannot follow, write-back caching for one; the library says so.

Environment:
  FINESSE_DOOR=off          no bypass door
  FINESSE_SERVE_LIBRARY     the library, if it is not beside this program or in ../lib

Exit codes are the daemon's, or:
  125  finesse-serve itself failed
  126  the daemon cannot be run
  127  there is no such daemon";

/// Run a FUSE daemon, unmodified, with the bypass door.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "finesse-serve",
    version,
    override_usage = "finesse-serve [OPTIONS] [--] DAEMON [ARGS...]",
    after_help = AFTER
)]
pub(crate) struct Options {
    /// The library to preload.
    #[arg(long, value_name = "FILE")]
    pub(crate) library: Option<PathBuf>,

    /// Say whether DAEMON can be served, and end: with 0 if so, 1 if not.
    #[arg(long)]
    pub(crate) check: bool,

    /// Say more about what happens (twice: much more).
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,

    /// The daemon and its arguments.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "DAEMON",
        required = true
    )]
    pub(crate) daemon: Vec<OsString>,
}

impl Options {
    /// What the library is told to say; `None` leaves it to the environment.
    pub(crate) fn level(&self) -> Option<&'static str> {
        match self.verbose {
            0 => None,
            1 => Some("info"),
            _ => Some("debug"),
        }
    }
}
