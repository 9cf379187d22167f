//! `finesse-serve`: runs a FUSE daemon, unmodified, with the bypass door: see
//! `finesse-serve --help` and docs/SERVE.md.

mod library;
mod options;
mod program;

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use clap::Parser;
use nix::unistd::execv;
use thiserror::Error;

use crate::library::NoLibrary;
use crate::options::Options;
use crate::program::{NotFound, Program};

/// The loader's variable: libraries that come before all others (ld.so(8)).
const PRELOAD: &str = "LD_PRELOAD";

#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    NotFound(#[from] NotFound),
    #[error(transparent)]
    NoLibrary(#[from] NoLibrary),
    #[error("{} cannot be run: {source}", .program.display())]
    Exec {
        program: OsString,
        source: io::Error,
    },
    #[error("an argument holds a NUL")]
    Nul(#[from] std::ffi::NulError),
}

impl Failure {
    /// As env(1): 127 for what is not there, 126 for what cannot be run, 125 for the rest.
    fn exit_code(&self) -> u8 {
        match self {
            Failure::NotFound(_) => 127,
            Failure::Exec { .. } => 126,
            Failure::NoLibrary(_) | Failure::Nul(_) => 125,
        }
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("finesse-serve: {failure}");
            failure.exit_code().into()
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, Failure> {
    let program = Program::find(&options.daemon[0])?;
    let obstacle = program.obstacle();
    if options.check {
        let (code, text) = match &obstacle {
            None => (0, "can be served".to_owned()),
            Some(obstacle) => (1, format!("runs plain: {obstacle}")),
        };
        println!("{}: {text}", program.path.display());
        return Ok(code.into());
    }
    match obstacle {
        Some(obstacle) => eprintln!(
            "finesse-serve: {} is run plain, without the bypass door: {obstacle}",
            program.path.display()
        ),
        None => {
            let library = library::find(options.library.as_deref())?;
            set(PRELOAD, &preloaded(library.as_os_str()));
        }
    }
    if let Some(level) = options.level() {
        set("FINESSE_SERVE_LOG", OsStr::new(level));
    }
    Err(execute(&program, &options.daemon)?)
}

/// Before whatever is preloaded already.
fn preloaded(library: &OsStr) -> OsString {
    let mut list = library.to_owned();
    if let Some(others) = std::env::var_os(PRELOAD).filter(|others| !others.is_empty()) {
        list.push(":");
        list.push(others);
    }
    list
}

#[allow(unsafe_code)]
fn set(name: &str, value: &OsStr) {
    // SAFETY: this program has one thread.
    unsafe { std::env::set_var(name, value) }
}

/// Becomes the daemon; comes back with why that failed.
fn execute(program: &Program, daemon: &[OsString]) -> Result<Failure, Failure> {
    let path = CString::new(program.path.as_os_str().as_bytes())?;
    let arguments = daemon
        .iter()
        .map(|argument| CString::new(argument.as_bytes()))
        .collect::<Result<Vec<_>, _>>()?;
    let failed: Result<Infallible, nix::Error> = execv(&path, &arguments);
    let Err(errno) = failed;
    Ok(Failure::Exec {
        program: program.path.clone().into_os_string(),
        source: errno.into(),
    })
}
