//! `finesse-mount`: a pass-through and a memory file system, written against fuser's public API only.
//!
//! The same source is built twice: against Finesse's re-implementation of that API, which adds the
//! bypass door, and against plain fuser, as the baseline that measurements compare with.

mod failure;
mod logging;
mod memory;
mod options;
mod passthrough;
mod serve;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let options = options::Options::parse();
    logging::start(options.common.verbose);
    match serve::serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}: {failure}", env!("CARGO_PKG_NAME"));
            ExitCode::from(failure.exit_code())
        }
    }
}
