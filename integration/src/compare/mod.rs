//! `finesse-compare`: the same workloads natively, through plain FUSE, and through the bypass.

pub mod backing;
pub mod bench;
pub mod column;
pub mod html;
pub mod interrupt;
pub mod options;
pub mod process;
pub mod rehearsal;
pub mod report;
pub mod schedule;
pub mod stats;
pub mod table;
pub mod workload;

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use self::backing::Backing;
use self::bench::Bench;
use self::interrupt::Interrupt;
use self::options::Options;
use self::report::Report;
use self::schedule::Schedule;

/// The whole program: measures what the command line asks for and reports it.
///
/// # Errors
/// Nothing could be measured, a report could not be written, or the user interrupted.
pub fn main() -> Result<()> {
    let options = Options::parse();
    let workloads = options.workloads()?;
    if options.list {
        return list(&workloads);
    }
    let interrupt = Interrupt::install()?;
    let backing = Backing::choose(options.backing.as_deref(), options.needs_backing())?;
    eprintln!("backing: {}", backing.describe());
    warn_when_busy();
    let bench = Bench::set_up(&backing, &interrupt)?;
    let schedule = Schedule::new(&options, &workloads)?;
    let report = schedule.run(&bench);
    report
        .warnings
        .iter()
        .for_each(|warning| eprintln!("warning: {warning}"));
    publish(&report, &options)?;
    interrupt.check()?;
    ensure!(
        report.rows.iter().any(|row| !row.columns.is_empty()),
        "nothing could be measured"
    );
    Ok(())
}

/// A busy machine measures itself. The load average counts what wants to run (proc(5)).
fn warn_when_busy() {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = text
        .split(' ')
        .next()
        .and_then(|load| load.parse::<f64>().ok());
    if let Some(load) = load.filter(|load| *load > 0.5) {
        eprintln!(
            "warning: the machine is busy (load average {load}): expect noise, most of all where CPUs sleep and wake"
        );
    }
}

fn list(workloads: &[&workload::Workload]) -> Result<()> {
    let mut out = io::stdout().lock();
    for workload in workloads {
        writeln!(out, "{:<20} {}", workload.name, workload.about)?;
    }
    Ok(())
}

fn publish(report: &Report, options: &Options) -> Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{}", table::render(report, out.is_terminal()))?;
    if let Some(path) = &options.json {
        save(path, &report.to_json()?)?;
    }
    if let Some(path) = &options.html {
        save(path, &html::page(report))?;
    }
    Ok(())
}

fn save(path: &Path, text: &str) -> Result<()> {
    let written = File::create(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))
}
