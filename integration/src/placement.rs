//! Which CPUs a server and its client run on.

use std::fmt;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Where the file system's process and the driver run, and with how many threads the former serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// What tables call it.
    pub name: &'static str,
    /// CPU that the file system's process is pinned to.
    pub server: Option<usize>,
    /// CPU that the driver is pinned to.
    pub driver: Option<usize>,
    /// Serving threads; `None` leaves them to the program.
    pub threads: Option<usize>,
}

impl Placement {
    /// Nothing pinned, nothing chosen.
    pub const DEFAULT: Self = Self {
        name: "default",
        server: None,
        driver: None,
        threads: None,
    };
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The placements that the plain FUSE mount may choose its best from. `quick` keeps to the two that
/// matter most: the default, and one CPU for both with one serving thread.
///
/// # Errors
/// What sched_getaffinity(2) says.
pub fn all(quick: bool) -> Result<Vec<Placement>, Errno> {
    let cpus = allowed_cpus()?;
    let (first, last) = (cpus.first().copied(), cpus.last().copied());
    let same = |name, threads| Placement {
        name,
        server: last,
        driver: last,
        threads,
    };
    let mut placements = vec![Placement::DEFAULT, same("same CPU, 1 thread", Some(1))];
    if !quick {
        placements.push(same("same CPU", None));
        placements.push(Placement {
            threads: Some(1),
            name: "1 thread",
            ..Placement::DEFAULT
        });
        if cpus.len() > 1 {
            placements.push(Placement {
                name: "two CPUs",
                server: first,
                driver: last,
                threads: Some(1),
            });
        }
    }
    Ok(placements)
}

/// The CPUs that this thread may run on, ascending.
///
/// # Errors
/// What sched_getaffinity(2) says.
pub fn allowed_cpus() -> Result<Vec<usize>, Errno> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .collect())
}

/// This thread on one CPU, with every process started meanwhile; dropping it lets the thread go.
#[derive(Debug)]
pub struct Pinned {
    before: CpuSet,
}

impl Pinned {
    /// Pins the calling thread to `cpu`.
    ///
    /// # Errors
    /// What sched_setaffinity(2) says.
    pub fn to(cpu: usize) -> Result<Self, Errno> {
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this)?;
        let mut set = CpuSet::new();
        set.set(cpu)?;
        sched_setaffinity(this, &set)?;
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It was allowed before; should it not be now, the thread merely stays where it is.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinning_ends_with_the_guard() {
        let before = allowed_cpus().unwrap();
        let cpu = *before.last().unwrap();
        let pinned = Pinned::to(cpu).unwrap();
        assert_eq!(allowed_cpus().unwrap(), [cpu]);
        drop(pinned);
        assert_eq!(allowed_cpus().unwrap(), before);
    }

    #[test]
    fn the_same_cpu_is_among_the_placements() {
        for quick in [true, false] {
            let placements = all(quick).unwrap();
            assert_eq!(placements[0], Placement::DEFAULT);
            assert!(placements.iter().any(
                |placement| placement.server.is_some() && placement.server == placement.driver
            ));
        }
    }
}
