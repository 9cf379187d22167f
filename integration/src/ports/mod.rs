//! `finesse-ports`: file systems that others wrote for fuser, built against fuser and against finesse-fuse, and
//! plain FUSE as the oracle.
//!
//! Their sources are compiled where cargo has unpacked their packages; none of their text is kept here.

pub mod build;
pub mod compare;
pub mod crates;
pub mod items;
pub mod list;
pub mod metadata;
pub mod options;
pub mod port;

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use self::build::Built;
use self::list::Source;
use self::options::Options;
use self::port::Port;
use crate::compare::interrupt::Interrupt;

/// The whole program: builds and runs what the command line asks for; whether all ways agreed.
///
/// # Errors
/// Something cannot be built, mounted or run, or the user interrupted.
pub fn main() -> Result<bool> {
    let options = Options::parse();
    let interrupt = Interrupt::install()?;
    let target = match &options.target_dir {
        Some(dir) => dir.clone(),
        None => default_target()?,
    };
    let mut counts = (0, 0);
    for source in Source::ALL {
        let ports: Vec<_> = list::ports(source)
            .filter(|port| options.wants(port.name))
            .collect();
        if ports.is_empty() {
            continue;
        }
        let built = build::build(source, &target, None)?;
        println!("{}: {}", built.title, built.summary());
        if source == Source::Fuser && options.port.is_empty() {
            println!("all public items of fuser");
            match items::check(&built.on_fuser, &target)? {
                true => counts.0 += 1,
                false => counts.1 += 1,
            }
        }
        for port in ports {
            let same = check(&port, &built, &interrupt).or_else(|error| {
                interrupt.check()?;
                println!("  FAILED: {error:#}");
                anyhow::Ok(false)
            })?;
            match same {
                true => counts.0 += 1,
                false => counts.1 += 1,
            }
        }
    }
    println!("{} checks passed, {} failed", counts.0, counts.1);
    Ok(counts.1 == 0)
}

/// The directory above that of this program.
fn default_target() -> Result<PathBuf> {
    let program = env::current_exe().context("cannot tell where this program lies")?;
    let target = program.ancestors().nth(2);
    Ok(target.context("this program lies nowhere")?.to_owned())
}

/// Runs one port by all ways and prints what came out; whether all agree.
///
/// # Errors
/// It cannot be mounted or run, or ended in a panic.
pub fn check(port: &Port, built: &Built, interrupt: &Interrupt) -> Result<bool> {
    println!("{}", port.name);
    compare::compare(port, built, interrupt)
}
