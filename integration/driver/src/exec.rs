//! Starting a whole program, timed from fork to its end.

use std::ffi::OsString;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::timing::Figures;

/// Runs `command` `repeat` times; each must succeed. The time is divided by `ops`, or by the runs.
///
/// # Errors
/// A program that cannot be started or that fails.
pub fn run(command: &[OsString], repeat: usize, ops: Option<usize>) -> Result<Figures> {
    let (program, arguments) = command.split_first().context("no program to run")?;
    ensure!(repeat > 0, "a program has to run at least once");
    let name = program.to_string_lossy();
    let begin = Instant::now();
    for _ in 0..repeat {
        let status = Command::new(program).args(arguments).status();
        let status = status.with_context(|| format!("cannot run {name}"))?;
        if !status.success() {
            bail!("{name} failed: {status}");
        }
    }
    let total = begin.elapsed();
    Ok(Figures {
        workload: "exec".to_owned(),
        ops: ops.unwrap_or(repeat),
        threads: 1,
        total,
        percentiles: None,
    })
}
