//! What is compared with what.

use crate::placement::{self, Placement};
use anyhow::{Context, Result};

/// Which file system the mounts of a row serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// The backing directory.
    Passthrough,
    /// A tree in memory; its native counterpart is a tmpfs.
    Memory,
    /// The backing directory, by a daemon of others; the bypass by `finesse-serve`.
    Daemon(Daemon),
}

/// A daemon of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// bindfs(1).
    Bindfs,
    /// sshfs(1), from this machine.
    Sshfs,
}

impl Daemon {
    /// Its program.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Bindfs => "bindfs",
            Self::Sshfs => "sshfs",
        }
    }
}

impl Served {
    /// Whether others wrote it.
    #[must_use]
    pub fn is_foreign(self) -> bool {
        matches!(self, Self::Daemon(_))
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passthrough => "passthrough",
            Self::Memory => "memory",
            Self::Daemon(daemon) => daemon.program(),
        }
    }
}

/// One way for a workload to reach its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The directory itself.
    Native,
    /// A mount on plain fuser.
    Fuse(Placement),
    /// A mount with both doors, of which the driver uses the kernel's: what the other one costs.
    Idle(Placement),
    /// A mount with both doors, the driver under finesse-run.
    Bypass(Placement),
    /// The same under `finesse-run --fast`.
    Fast,
    /// The bypass with finesse-run's report: never timed.
    Rehearsal,
}

impl Column {
    /// Its name in messages and in the spread of the JSON report.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Native => "native".to_owned(),
            Self::Fuse(placement) => format!("fuse ({placement})"),
            Self::Idle(placement) => format!("idle ({placement})"),
            Self::Bypass(placement) => format!("bypass ({placement})"),
            Self::Fast => "fast".to_owned(),
            Self::Rehearsal => "rehearsal of the bypass".to_owned(),
        }
    }

    /// Where its processes run.
    #[must_use]
    pub fn placement(&self) -> Placement {
        match self {
            Self::Native | Self::Fast | Self::Rehearsal => Placement::DEFAULT,
            Self::Fuse(placement) | Self::Idle(placement) | Self::Bypass(placement) => *placement,
        }
    }
}

/// Columns that are there only when they are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Extra {
    /// The bypass with program and file system on one CPU.
    pub pinned: bool,
    /// [`Column::Fast`].
    pub fast: bool,
}

/// The columns of a row. A row whose program never works on the mount needs no placements.
///
/// # Errors
/// The CPUs of this process cannot be found out.
pub fn columns(served: Served, on_mount: bool, quick: bool, extra: Extra) -> Result<Vec<Column>> {
    let placements =
        placement::all(quick).context("cannot find out on which CPUs this process may run")?;
    let pinned = placements
        .iter()
        .copied()
        .find(|place| place.server.is_some() && place.server == place.driver);
    let fuse = if on_mount {
        &placements[..]
    } else {
        &[Placement::DEFAULT]
    };
    let mut columns = vec![Column::Native];
    columns.extend(fuse.iter().copied().map(Column::Fuse));
    if on_mount && matches!(served, Served::Daemon(_)) {
        columns.extend(placements.iter().take(2).copied().map(Column::Idle));
    }
    columns.push(Column::Bypass(Placement::DEFAULT));
    columns.extend(extra.fast.then_some(Column::Fast));
    // What the runtime's servers are is its own affair: only the CPU is taken over.
    let pinned = pinned.filter(|_| extra.pinned && on_mount);
    columns.extend(pinned.map(|place| {
        Column::Bypass(Placement {
            threads: None,
            name: "same CPU",
            ..place
        })
    }));
    Ok(columns)
}
