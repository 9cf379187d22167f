//! The supervisor's processes, as /proc shows them.

use std::fs;
use std::path::Path;

use nix::unistd::Pid;

/// A process and what its stat line says (proc(5)).
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    name: String,
    /// utime and stime, in clock ticks.
    pub(crate) ticks: u64,
}

/// The keeper, the guardian and the workers of one `finesse-run`.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) keeper: Option<Process>,
    pub(crate) guardian: Process,
    pub(crate) workers: Option<Process>,
}

impl Process {
    pub(crate) fn of(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<i64>().ok();
        Some(Process {
            pid,
            name: name.to_owned(),
            ticks: u64::try_from(number(11)? + number(12)?).ok()?,
        })
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.pid)
    }

    /// Resident memory in KiB; shared pages are counted in part.
    pub(crate) fn resident(&self) -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).unwrap();
        let line = rollup
            .lines()
            .find(|line| line.starts_with("Pss:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// The supervisor of the `finesse-run` whose command line names `marker`: forked from it, it shows the same
/// command line. `None` when there is none, or no more.
pub(crate) fn supervisor(marker: &Path) -> Option<Supervisor> {
    let named = |process: &Process| {
        let line = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        process.name.starts_with("finesse-") && line.contains(marker.to_str().unwrap())
    };
    let all: Vec<_> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Process::of)
        .filter(named)
        .collect();
    let one = |name| all.iter().find(|process| process.name == name).cloned();
    Some(Supervisor {
        keeper: one("finesse-keeper"),
        guardian: one("finesse-guard")?,
        workers: one("finesse-workers"),
    })
}

/// Whether all threads of a process have stopped.
pub(crate) fn is_stopped(pid: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stat = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("stat")).unwrap();
    threads
        .map(|thread| stat(thread.unwrap()))
        .all(|stat| stat.contains(") T "))
}
