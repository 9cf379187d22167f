//! `finesse-suites`: test suites that others wrote, on plain FUSE and under `finesse-run`.

use std::process::ExitCode;

use finesse_integration::compare::interrupt::Interrupted;
use finesse_integration::suites;

fn main() -> ExitCode {
    match suites::main() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("finesse-suites: interrupted");
            // As a shell says it of a program that SIGINT ended.
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("finesse-suites: {error:#}");
            ExitCode::from(2)
        }
    }
}
