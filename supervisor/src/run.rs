//! From the command line to a running program.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::Context;
use finesse_policy::Policy;
use tracing_subscriber::filter::LevelFilter;

use crate::launch;
use crate::options::Options;

/// Does what the command line asks for. Returns an exit code only when the program could
/// not be run, or when a report was asked for.
///
/// # Errors
/// When the policy cannot be read or is wrong, or a report file cannot be written.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    start_logging(options.verbose);
    let policy = policy(options)?;
    if options.check {
        print!("{}", policy.explain());
        return Ok(0);
    }
    launch::run(options, policy)
}

/// What the file says, and what the command line says otherwise.
fn policy(options: &Options) -> anyhow::Result<Policy> {
    let policy = match &options.policy {
        Some(path) => read_policy(path)?,
        None => Policy::default(),
    };
    Ok(match options.fast {
        Some(fast) => policy.with_fast(fast),
        None => policy,
    })
}

fn read_policy(path: &Path) -> anyhow::Result<Policy> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the policy {shown}"))?;
    Policy::parse(&text).map_err(|error| anyhow::anyhow!("{shown}:{error}"))
}

fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(level)
        .without_time()
        .with_target(false)
        // To standard error it would be, which has just failed; and that would end us.
        .log_internal_errors(false)
        .init();
}
