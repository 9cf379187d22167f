//! Command line of the static driver.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use finesse_driver::{exec, timing, workloads};

/// Makes system calls in a timed loop and prints one line of figures.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create what a workload needs, untimed
    Prepare(Job),
    /// Run a prepared workload and print its figures
    Run {
        #[command(flatten)]
        job: Job,
        /// Read the clock around every operation, and print the median and the 99th percentile
        #[arg(long)]
        percentiles: bool,
    },
    /// Start a program again and again, and print what one run costs
    Exec {
        /// How often to start it
        #[arg(long, default_value_t = 1)]
        repeat: usize,
        /// Operations to divide the time by [default: the number of runs]
        #[arg(long)]
        ops: Option<usize>,
        /// The program and its arguments
        #[arg(required = true, last = true)]
        command: Vec<OsString>,
    },
    /// List the workloads
    List,
}

#[derive(Debug, Args)]
struct Job {
    /// Name of the workload, as `list` prints it
    workload: String,
    /// Directory to work in
    #[arg(long)]
    dir: PathBuf,
    /// Operations of all threads together
    #[arg(long, default_value_t = 1000)]
    ops: usize,
    /// Threads, each in a directory of its own
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

impl Job {
    fn workload(&self) -> Result<&'static workloads::Workload> {
        workloads::find(&self.workload)
            .with_context(|| format!("unknown workload {:?}", self.workload))
    }
}

fn main() -> Result<()> {
    match Cli::parse().action {
        Action::Prepare(job) => timing::prepare(job.workload()?, &job.dir, job.ops, job.threads),
        Action::Run { job, percentiles } => {
            let figures =
                timing::run(job.workload()?, &job.dir, job.ops, job.threads, percentiles)?;
            println!("{figures}");
            Ok(())
        }
        Action::Exec {
            repeat,
            ops,
            command,
        } => {
            println!("{}", exec::run(&command, repeat, ops)?);
            Ok(())
        }
        Action::List => {
            workloads::all().for_each(|workload| println!("{}", workload.name));
            Ok(())
        }
    }
}
