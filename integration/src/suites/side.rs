//! A mount, and the way by which programs reach it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::calls::Calls;
use super::process::{self, Finished};
use super::setting::Setting;
use crate::compare::interrupt::Interrupt;
use crate::mount::Mounted;
use crate::programs;

/// Everything to the bypass, look-ups too (docs/POLICY.md).
const BYPASS_ALL: &str = "version = 1\n[defaults]\nall = \"bypass\"\n";

/// By which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The kernel, to the file system on plain fuser: the oracle.
    Plain,
    /// The kernel, to the file system with both doors.
    KernelDoor,
    /// The file system with both doors, under `finesse-run`.
    Bypass,
}

impl Way {
    /// Its name in the output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Way::Plain => "plain FUSE",
            Way::KernelDoor => "the kernel door",
            Way::Bypass => "finesse-run",
        }
    }
}

/// A mounted file system, the same on each side but for the way to it.
#[derive(Debug)]
pub struct Side<'a> {
    /// By which way.
    pub way: Way,
    interrupt: &'a Interrupt,
    dir: PathBuf,
    mounted: Mounted,
    calls: RefCell<Calls>,
}

impl<'a> Side<'a> {
    /// Mounts `setting` in `dir`. Paths have one length on all sides.
    ///
    /// # Errors
    /// A program is missing, or mounting fails.
    pub fn set_up(
        way: Way,
        setting: &Setting,
        dir: &Path,
        interrupt: &'a Interrupt,
    ) -> Result<Self> {
        let (program, letter) = match way {
            Way::Plain => (programs::mount_plain()?, "p"),
            Way::KernelDoor => (programs::mount()?, "k"),
            Way::Bypass => (programs::mount()?, "b"),
        };
        let dir = dir.join(letter);
        let mounted = setting.mount(&program, &dir)?;
        Self::over(way, dir, mounted, interrupt)
    }

    /// What is mounted already, and `dir` beside it.
    ///
    /// # Errors
    /// Nothing can be written to `dir`.
    pub fn over(
        way: Way,
        dir: PathBuf,
        mounted: Mounted,
        interrupt: &'a Interrupt,
    ) -> Result<Self> {
        fs::write(dir.join("policy.toml"), BYPASS_ALL)?;
        Ok(Side {
            way,
            interrupt,
            dir,
            mounted,
            calls: RefCell::default(),
        })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.mounted.path()
    }

    /// A directory for what a suite needs beside the mount, on another file system.
    #[must_use]
    pub fn beside(&self) -> &Path {
        &self.dir
    }

    /// The calls that were bypassed, of all programs run so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.calls.borrow().clone()
    }

    /// Runs a program with arguments to its end, whatever that is.
    ///
    /// # Errors
    /// It cannot be run, takes longer than `limit`, or `finesse-run` did not write its report.
    pub fn run(&self, line: &[OsString], limit: Duration) -> Result<Finished> {
        let (program, arguments) = line.split_first().context("no program")?;
        if self.way != Way::Bypass {
            let mut command = quiet(Command::new(program));
            return process::run(command.args(arguments), limit, self.interrupt);
        }
        let report = self.dir.join("report.json");
        let mut command = quiet(Command::new(programs::run()?));
        command.arg("--policy").arg(self.dir.join("policy.toml"));
        command
            .arg("--report-json")
            .arg(&report)
            .arg("--")
            .args(line);
        let finished = process::run(&mut command, limit, self.interrupt)?;
        self.calls
            .borrow_mut()
            .add(&report)
            .with_context(|| finished.err.clone())?;
        fs::remove_file(&report)?;
        Ok(finished)
    }

    /// The file to which the file system's process writes its standard error, also for later.
    ///
    /// # Errors
    /// The descriptor cannot be duplicated.
    pub fn words(&self) -> io::Result<File> {
        self.mounted.words()
    }

    /// Unmounts.
    ///
    /// # Errors
    /// The file system's process ended unhappily.
    pub fn take_down(self) -> Result<()> {
        Ok(self.mounted.unmount()?)
    }
}

/// No colours and no traces among the words that are compared.
fn quiet(mut command: Command) -> Command {
    command
        .env("NO_COLOR", "1")
        .env_remove("CLICOLOR_FORCE")
        .env_remove("RUST_BACKTRACE")
        .env_remove("RUST_LIB_BACKTRACE")
        .env_remove("RUST_LOG");
    command
}
