//! `finesse-ports`: file systems that others wrote for fuser, on fuser and on finesse-fuse.

use std::process::ExitCode;

use finesse_integration::compare::interrupt::Interrupted;
use finesse_integration::ports;

fn main() -> ExitCode {
    match ports::main() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("finesse-ports: interrupted");
            // As a shell says it of a program that SIGINT ended.
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("finesse-ports: {error:#}");
            ExitCode::from(2)
        }
    }
}
