//! `finesse-suites`: the suites of others as judges, and plain FUSE as the oracle.

pub mod calls;
pub mod cases;
pub mod compare;
pub mod fsx;
pub mod install;
pub mod options;
pub mod pjdfstest;
pub mod process;
pub mod setting;
pub mod side;
pub mod suite;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use self::fsx::Fsx;
use self::options::{Options, WhichSuite};
use self::pjdfstest::Pjdfstest;
use self::setting::Setting;
use self::side::{Side, Way};
use self::suite::Suite;
use crate::compare::interrupt::Interrupt;

/// The whole program: runs what the command line asks for; whether all ways agreed.
///
/// # Errors
/// A suite cannot be built or run, a file system cannot be mounted, or the user interrupted.
pub fn main() -> Result<bool> {
    let options = Options::parse();
    let interrupt = Interrupt::install()?;
    let suites = prepare(&options)?;
    let settings = options.settings();
    let mut differing = 0;
    for suite in &suites {
        for setting in &settings {
            println!("{} on {setting}", suite.title());
            let same = compare_on(suite.as_ref(), setting, &interrupt)?;
            differing += usize::from(!same);
        }
    }
    let all = suites.len() * settings.len();
    println!("{} comparisons passed, {differing} failed", all - differing);
    Ok(differing == 0)
}

fn prepare(options: &Options) -> Result<Vec<Box<dyn Suite>>> {
    let dir = match &options.build_dir {
        Some(dir) => dir.clone(),
        None => install::default_dir()?,
    };
    let mut suites: Vec<Box<dyn Suite>> = Vec::new();
    if options.suite != WhichSuite::Fsx {
        suites.push(Box::new(Pjdfstest::prepare(&dir, options)?));
    }
    if options.suite != WhichSuite::Pjdfstest {
        suites.push(Box::new(Fsx::prepare(&dir, options)?));
    }
    Ok(suites)
}

fn compare_on(suite: &dyn Suite, setting: &Setting, interrupt: &Interrupt) -> Result<bool> {
    let dir = tempfile::tempdir().context("cannot make a directory to work in")?;
    std::fs::set_permissions(
        dir.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    let ways = [Way::Plain, Way::KernelDoor, Way::Bypass];
    let sides = ways.map(|way| Side::set_up(way, setting, dir.path(), interrupt));
    let sides = sides.into_iter().collect::<Result<Vec<_>>>()?;
    let same = compare::compare(suite, &sides)?;
    for side in sides {
        if side.way == Way::Bypass {
            let calls = side.calls();
            println!("  calls: {calls}");
            ensure!(
                calls.bypassed() > 0,
                "nothing was bypassed, so nothing was compared"
            );
        }
        side.take_down()?;
    }
    Ok(same)
}
