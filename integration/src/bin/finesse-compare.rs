//! `finesse-compare`: native, FUSE and bypass, side by side.

use std::process::ExitCode;

use finesse_integration::compare;
use finesse_integration::compare::interrupt::Interrupted;

fn main() -> ExitCode {
    match compare::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("finesse-compare: interrupted");
            // As a shell says it of a program that SIGINT ended.
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("finesse-compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}
