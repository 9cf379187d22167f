//! `finesse-doctor`: says what this kernel and user allow, and whether the mounts of
//! given paths are served by Finesse. Changes nothing.

mod check;
mod checks;
mod diagnosis;
mod options;
mod probe;
mod table;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::diagnosis::Diagnosis;
use crate::options::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(question) = options.probe {
        return checks::answer(question, &options.paths);
    }
    let diagnosis = Diagnosis::make(&options.paths);
    let text = if options.json {
        diagnosis.to_json()
    } else {
        diagnosis.to_text()
    };
    // A reader that went away needs no answer.
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::from(u8::from(!diagnosis.ok()))
}
