//! `finesse-run`: see `finesse-run --help`.

use std::process::ExitCode;

use clap::Parser;
use finesse_supervisor::{Options, run};

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("finesse-run: {error:#}");
            // Its own failures, as env(1) has them.
            125.into()
        }
    }
}
