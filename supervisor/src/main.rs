//! `finesse-run`: see `finesse-run --help`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use finesse_supervisor::{Options, run};

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code.into(),
        Err(error) => {
            // Standard error may be full or closed.
            let _ = writeln!(std::io::stderr(), "finesse-run: {error:#}");
            // Its own failures, as env(1) has them.
            125.into()
        }
    }
}
