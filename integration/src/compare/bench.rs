//! One measurement: prepare, settle, mount, run, unmount, remove.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::backing::{Backing, temp_dir, tmpfs_dir};
use super::column::{Column, Daemon, Served};
use super::interrupt::Interrupt;
use super::process;
use super::rehearsal::{self, Calls};
use super::workload::{Action, Policy, Trust, Workload};
use crate::mount::{FileSystem, MountRequest, Mounted};
use crate::placement::Pinned;
use crate::programs::{self, ProgramError};
use crate::ssh;

/// Time-out of names in memory that have to be cold: the tree is made through the mount, and the clock
/// runs only when its names have timed out.
const BRIEF: Duration = Duration::from_millis(100);
/// A policy that bypasses look-ups as well.
const LOOKUPS_POLICY: &str = "version = 1\n[defaults]\nlookups = \"bypass\"\n";

/// What one row asks of every column.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// The workload.
    pub workload: &'static Workload,
    /// On which file system.
    pub served: Served,
    /// Operations of all threads together.
    pub ops: usize,
    /// Threads of the driver.
    pub threads: usize,
}

/// The programs and places that measurements use.
#[derive(Debug)]
pub struct Bench<'a> {
    backing: &'a Backing,
    interrupt: &'a Interrupt,
    driver: PathBuf,
    mount: Result<PathBuf, ProgramError>,
    mount_plain: Result<PathBuf, ProgramError>,
    run: Result<PathBuf, ProgramError>,
    serve: Result<PathBuf, ProgramError>,
    busybox: Result<PathBuf, ProgramError>,
    /// On a tmpfs: mountpoints, the native counterpart of the memory file system, work off the mount.
    scratch: TempDir,
    policy: PathBuf,
}

impl<'a> Bench<'a> {
    /// Finds the programs and makes a place for mountpoints.
    ///
    /// # Errors
    /// There is no static driver, or no room.
    pub fn set_up(backing: &'a Backing, interrupt: &'a Interrupt) -> Result<Self> {
        let scratch = temp_dir("finesse-compare.", &tmpfs_dir())?;
        let policy = scratch.path().join("lookups.toml");
        fs::write(&policy, LOOKUPS_POLICY).context("cannot write a policy")?;
        let busybox = programs::static_busybox();
        let (mount, mount_plain, run) =
            (programs::mount(), programs::mount_plain(), programs::run());
        let driver = programs::driver()?;
        Ok(Self {
            backing,
            interrupt,
            driver,
            mount,
            mount_plain,
            run,
            serve: programs::serve(),
            busybox,
            scratch,
            policy,
        })
    }

    /// Stops once the user asks to.
    #[must_use]
    pub fn interrupt(&self) -> &Interrupt {
        self.interrupt
    }

    /// What lies below the rows of `served`.
    #[must_use]
    pub fn backing_of(&self, served: Served) -> &str {
        match served {
            Served::Passthrough | Served::Daemon(_) => self.backing.kind(),
            Served::Memory => "tmpfs",
        }
    }

    /// Runs `job` once in `column`: µs per operation.
    ///
    /// # Errors
    /// A program is missing or fails, or the user interrupts. Nothing is left mounted.
    pub fn measure(&self, job: &Job, column: &Column) -> Result<f64> {
        self.interrupt.check()?;
        self.require(job, column)?;
        let served = match (column, job.served) {
            (Column::Native, _) | (_, Served::Passthrough | Served::Daemon(_)) => {
                Some(self.source(job.served)?)
            }
            (_, Served::Memory) => None,
        };
        if let Some(source) = &served {
            self.prepare(job, source.path())?;
            self.settle(job.served)?;
        }
        let figure = self.mount_and_run(job, column, served.as_ref().map(TempDir::path));
        drop(served);
        self.settle(job.served)?;
        figure
    }

    /// Runs a little of `job` once, untimed, to see how much of it is bypassed.
    ///
    /// # Errors
    /// As [`Self::measure`], or finesse-run writes no report.
    pub fn rehearse(&self, job: &Job) -> Result<Calls> {
        let ops = rehearsal::operations(job.ops, job.threads);
        self.measure(&Job { ops, ..*job }, &Column::Rehearsal)?;
        self.calls()
    }

    /// What finesse-run has written of the last run.
    fn calls(&self) -> Result<Calls> {
        let report = self.calls_file();
        let text = fs::read_to_string(&report).context("finesse-run wrote no report")?;
        fs::remove_file(&report).context("cannot remove finesse-run's report")?;
        Calls::parse(&text)
    }

    fn calls_file(&self) -> PathBuf {
        self.scratch.path().join("calls.json")
    }

    /// Says what is missing before anything is prepared in vain.
    fn require(&self, job: &Job, column: &Column) -> Result<()> {
        let needed: &[&Result<PathBuf, ProgramError>] = match column {
            Column::Native => &[],
            Column::Fuse(_) if job.served.is_foreign() => &[],
            Column::Fuse(_) => &[&self.mount_plain],
            Column::Idle(_) => &[&self.serve],
            Column::Bypass(_) | Column::Fast | Column::Rehearsal if job.served.is_foreign() => {
                &[&self.serve, &self.run]
            }
            Column::Bypass(_) | Column::Fast | Column::Rehearsal => &[&self.mount, &self.run],
        };
        let busybox = (!job.workload.threaded()).then_some(&self.busybox);
        let mut needed = needed.iter().copied().chain(busybox);
        needed.try_for_each(|program| available(program).map(|_| ()))
    }

    fn mount_and_run(&self, job: &Job, column: &Column, source: Option<&Path>) -> Result<f64> {
        let Some(mounted) = self.mounted(job, column, source)? else {
            let dir = source.context("the native column has a directory")?;
            return self.time(job, column, dir);
        };
        if source.is_none() {
            self.prepare(job, mounted.path())?;
            if job.workload.trust == Trust::Cold && job.workload.on_mount() {
                sleep(BRIEF + BRIEF / 4);
            }
        }
        let figure = self.time(job, column, mounted.path())?;
        mounted.unmount()?;
        Ok(figure)
    }

    /// A directory for one measurement.
    fn source(&self, served: Served) -> Result<TempDir> {
        let parent = match served {
            Served::Passthrough | Served::Daemon(_) => self.backing.dir(),
            Served::Memory => self.scratch.path(),
        };
        temp_dir("source.", parent)
    }

    fn settle(&self, served: Served) -> Result<()> {
        if served == Served::Memory {
            Ok(())
        } else {
            self.backing.settle()
        }
    }

    fn mounted(
        &self,
        job: &Job,
        column: &Column,
        source: Option<&Path>,
    ) -> Result<Option<Mounted>> {
        let words;
        let (program, file_system) = match (column, job.served, source) {
            (Column::Native, ..) => return Ok(None),
            (_, Served::Daemon(daemon), Some(source)) => {
                words = self.words(daemon, job, column, source)?;
                let plain = matches!(column, Column::Fuse(_));
                let program = if plain {
                    Path::new(daemon.program())
                } else {
                    available(&self.serve)?
                };
                (program, FileSystem::Daemon(&words))
            }
            (Column::Fuse(_), ..) => (available(&self.mount_plain)?, of(source)),
            _ => (available(&self.mount)?, of(source)),
        };
        let mut request = MountRequest::new(program, file_system);
        let placement = column.placement();
        // Daemons of others have a default of their own.
        if !job.served.is_foreign() {
            request.ttl = ttl(job);
            request.threads = placement.threads.map(|threads| threads.max(1));
        }
        request.cpu = placement.server;
        let mountpoint = self.scratch.path().join("mnt");
        fs::create_dir_all(&mountpoint).context("cannot make a mountpoint")?;
        Ok(Some(request.start(&mountpoint)?))
    }

    /// A daemon's arguments before the mountpoint, after what finesse-serve needs.
    fn words(
        &self,
        daemon: Daemon,
        job: &Job,
        column: &Column,
        source: &Path,
    ) -> Result<Vec<OsString>> {
        let mut words: Vec<OsString> = Vec::new();
        if !matches!(column, Column::Fuse(_)) {
            words.extend(["--", daemon.program()].map(OsString::from));
        }
        let mut options = "default_permissions".to_owned();
        if let Some(ttl) = ttl(job) {
            let seconds = ttl.as_secs_f64();
            options += &format!(",entry_timeout={seconds},attr_timeout={seconds}");
        }
        let mut from = source.as_os_str().to_owned();
        if daemon == Daemon::Sshfs {
            let command = ssh::command(&self.scratch.path().join("ssh"));
            options += &format!(",{}", command.context("cannot make an sshd ready")?);
            from = OsString::from("here:");
            from.push(source);
        }
        words.extend(["-f".into(), "-o".into(), options.into(), from]);
        Ok(words)
    }

    /// Makes what the workload needs below `dir`: on the backing before it is mounted, or, in memory,
    /// through the mount.
    fn prepare(&self, job: &Job, dir: &Path) -> Result<()> {
        let workload = match job.workload.action {
            Action::Loop => job.workload.name,
            Action::Remove => "unlink-tree",
            Action::OffMount | Action::Unpack | Action::Start => return Ok(()),
        };
        self.drive("prepare", workload, job, dir).map(drop)
    }

    fn drive(&self, what: &str, workload: &str, job: &Job, dir: &Path) -> Result<String> {
        let mut command = Command::new(&self.driver);
        driver_arguments(&mut command, what, workload, job, dir);
        process::run(command, self.interrupt)
    }

    /// Runs the timed part on `dir`.
    fn time(&self, job: &Job, column: &Column, dir: &Path) -> Result<f64> {
        let off = if job.workload.action == Action::OffMount {
            Some(temp_dir("off.", self.scratch.path())?)
        } else {
            None
        };
        if let Some(off) = &off {
            self.drive("prepare", job.workload.name, job, off.path())?;
        }
        let command = self.command(job, column, off.as_ref().map_or(dir, TempDir::path))?;
        let pinned = column
            .placement()
            .driver
            .map(Pinned::to)
            .transpose()
            .context("cannot pin the driver")?;
        let said = process::run(command, self.interrupt);
        drop(pinned);
        let figure = process::micros_per_op(&said?)?;
        if *column == Column::Fast {
            self.calls()?.check_fast()?;
        }
        Ok(figure)
    }

    fn command(&self, job: &Job, column: &Column, dir: &Path) -> Result<Command> {
        let ops = job.ops.to_string();
        let mut command = match job.workload.action {
            // Here finesse-run is what the driver starts, again and again.
            Action::Start => Command::new(&self.driver),
            _ => self.watched(&self.driver, job, column)?,
        };
        match job.workload.action {
            Action::Loop | Action::OffMount => {
                driver_arguments(&mut command, "run", job.workload.name, job, dir);
            }
            Action::Remove => {
                command
                    .args(["exec", "--ops", &ops, "--"])
                    .arg(self.busybox()?)
                    .args(["rm", "-rf"])
                    .arg(dir.join("t0"));
            }
            Action::Unpack => {
                command
                    .args(["exec", "--ops", &ops, "--"])
                    .arg(self.busybox()?)
                    .args(["tar", "xf"]);
                command.arg(self.archive(job)?).arg("-C").arg(dir);
            }
            Action::Start => {
                let start = self.watched(self.busybox()?, job, column)?;
                command
                    .args(["exec", "--repeat", &ops, "--"])
                    .arg(start.get_program())
                    .args(start.get_args())
                    .arg("true");
            }
        }
        Ok(command)
    }

    /// `program`, under finesse-run in the columns of the bypass.
    fn watched(&self, program: &Path, job: &Job, column: &Column) -> Result<Command> {
        if matches!(column, Column::Native | Column::Fuse(_) | Column::Idle(_)) {
            return Ok(Command::new(program));
        }
        let mut command = Command::new(available(&self.run)?);
        if matches!(column, Column::Rehearsal | Column::Fast) {
            command.arg("--report-json").arg(self.calls_file());
        }
        if *column == Column::Fast {
            command.arg("--fast");
        }
        if job.workload.policy == Policy::Lookups {
            command.arg("--policy").arg(&self.policy);
        }
        command.arg("--").arg(program);
        Ok(command)
    }

    fn busybox(&self) -> Result<&Path> {
        available(&self.busybox)
    }

    /// The archive that `untar` unpacks, made at its first use.
    fn archive(&self, job: &Job) -> Result<PathBuf> {
        let archive = self.scratch.path().join(format!("tree-{}.tar", job.ops));
        if archive.exists() {
            return Ok(archive);
        }
        let tree = temp_dir("tree.", self.scratch.path())?;
        self.drive("prepare", "unlink-tree", job, tree.path())?;
        let mut pack = Command::new(self.busybox()?);
        pack.arg("tar")
            .arg("cf")
            .arg(&archive)
            .arg("-C")
            .arg(tree.path())
            .arg("t0");
        process::run(pack, self.interrupt)?;
        Ok(archive)
    }
}

fn available(program: &Result<PathBuf, ProgramError>) -> Result<&Path> {
    Ok(program.as_deref().map_err(Clone::clone)?)
}

fn driver_arguments(command: &mut Command, what: &str, workload: &str, job: &Job, dir: &Path) {
    command.args([what, workload, "--dir"]).arg(dir);
    for (option, value) in [("--ops", job.ops), ("--threads", job.threads)] {
        command.arg(option).arg(OsStr::new(&value.to_string()));
    }
}

fn of(source: Option<&Path>) -> FileSystem<'_> {
    source.map_or(FileSystem::Memory, FileSystem::Passthrough)
}

fn ttl(job: &Job) -> Option<Duration> {
    match (job.workload.trust, job.served) {
        (Trust::Never, _) => Some(Duration::ZERO),
        (Trust::Cold, Served::Memory) => Some(BRIEF),
        (Trust::Cold, Served::Passthrough | Served::Daemon(_)) | (Trust::Warm, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_for_lookups_bypasses_every_operation() {
        let policy = finesse_policy::Policy::parse(LOOKUPS_POLICY).unwrap();
        let bypassed = policy.operations_maybe_not_kernel();
        assert!(finesse_wire::Operation::all().all(|operation| bypassed.contains(operation)));
    }
}
