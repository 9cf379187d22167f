//! What is looked at, one module an area.

mod fast;
mod fuse;
mod kernel;
mod limits;
mod memory;
pub(crate) mod mount;
mod privileges;
mod seccomp;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::check::Check;
use crate::probe::Question;

/// Everything that does not depend on a path.
pub(crate) fn system() -> Vec<Check> {
    [
        kernel::checks(),
        privileges::checks(),
        seccomp::checks(),
        memory::checks(),
        fast::checks(),
        fuse::checks(),
        limits::checks(),
    ]
    .concat()
}

/// Answers a question in a process made for it (`probe::ask`).
pub(crate) fn answer(question: Question, arguments: &[PathBuf]) -> ExitCode {
    let answer = match question {
        Question::Seccomp => seccomp::probe(),
        Question::Target => memory::be_target(),
        Question::Reader => memory::probe(arguments),
        Question::Writer => fast::write(arguments),
        Question::Path => mount::probe(arguments),
    };
    match answer {
        Some(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
}
