//! The workloads: what the driver is told, and under which conditions.

/// Files of `unlink-tree` on the pass-through file system, as in the paper.
const TREE: usize = 100_000;

/// One row of the comparison.
#[derive(Debug)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// What is run.
    pub action: Action,
    /// Operations on the pass-through file system.
    pub ops: usize,
    /// How long the kernel may trust what the mount told it.
    pub trust: Trust,
    /// Which policy finesse-run gets.
    pub policy: Policy,
    /// What the project promises for it.
    pub goal: Goal,
}

/// What is run and timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A loop of the static driver on the mount.
    Loop,
    /// A loop of the static driver in a tmpfs that is no mount of ours.
    OffMount,
    /// busybox `rm -rf` of a tree.
    Remove,
    /// busybox `tar x` of an archive.
    Unpack,
    /// The start of a program that does nothing.
    Start,
}

/// How names come to the kernel of the mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Not at all before the clock runs: the tree is made on the backing, or its names have timed out.
    Cold,
    /// Looked up before the clock runs, with the usual time-out of a second.
    Warm,
    /// Time-outs of zero: the kernel asks every time.
    Never,
}

/// What finesse-run is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nothing: mutations are bypassed.
    Default,
    /// To bypass look-ups too.
    Lookups,
}

/// What the bypass has to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// Nothing promised.
    None,
    /// So many times as fast as the best plain FUSE: pass-through, memory.
    FasterThanBest(f64, f64),
    /// The paper's tree: so many times FUSE-best, FUSE-default and native.
    Tree(f64, f64, f64),
    /// At most this fraction slower than the plain FUSE mount at its default placement.
    SlowerThanFuse(f64),
    /// At most this fraction slower than a plain run.
    SlowerThanNative(f64),
    /// At most so many microseconds more than a plain run.
    MoreThanNative(f64),
}

const MUTATION: Workload = Workload {
    name: "",
    about: "",
    action: Action::Loop,
    ops: 2000,
    trust: Trust::Cold,
    policy: Policy::Default,
    goal: Goal::FasterThanBest(1.3, 1.5),
};

const LOOKUP: Workload = Workload {
    policy: Policy::Lookups,
    goal: Goal::None,
    ..MUTATION
};

const fn mutation(name: &'static str, about: &'static str) -> Workload {
    Workload {
        name,
        about,
        ..MUTATION
    }
}

const fn lookup(name: &'static str, about: &'static str) -> Workload {
    Workload {
        name,
        about,
        ..LOOKUP
    }
}

/// Every workload, in the order of the report.
pub const ALL: &[Workload] = &[
    Workload {
        ops: TREE,
        goal: Goal::Tree(1.5, 4.0, 0.6),
        ..mutation(
            "unlink-tree",
            "unlink files of 4 KiB in 100 directories, made on the backing before mounting",
        )
    },
    Workload {
        action: Action::Remove,
        ops: 10_000,
        ..mutation(
            "rm-rf",
            "busybox rm -rf of 100 directories of files of 4 KiB; per file",
        )
    },
    Workload {
        action: Action::Unpack,
        ops: 5000,
        goal: Goal::None,
        ..mutation(
            "untar",
            "busybox tar x of 100 directories of files of 4 KiB; per file",
        )
    },
    Workload {
        goal: Goal::None,
        ops: 1000,
        ..mutation(
            "mixed",
            "ten changes and six look-ups in turn, in a directory that comes and goes; per round",
        )
    },
    mutation("unlink", "unlink, by path"),
    mutation("unlinkat", "unlinkat, relative to a descriptor"),
    Workload {
        trust: Trust::Warm,
        goal: Goal::None,
        ..mutation(
            "unlink-known",
            "unlink of names that the kernel holds and must be told about",
        )
    },
    mutation("rmdir", "rmdir, by path"),
    mutation("unlinkat-dir", "unlinkat with AT_REMOVEDIR"),
    mutation("mkdir", "mkdir, by path"),
    mutation("mkdirat", "mkdirat, relative to a descriptor"),
    mutation("mknod-file", "mknod of a regular file"),
    mutation("mknod-fifo", "mknod of a named pipe"),
    mutation("mknodat", "mknodat of a regular file"),
    mutation("link", "link, by path"),
    mutation("linkat", "linkat, relative to a descriptor"),
    mutation("symlink", "symlink, by path"),
    mutation("symlinkat", "symlinkat, relative to a descriptor"),
    mutation("rename", "rename within a directory"),
    mutation("rename-replace", "rename onto a file"),
    mutation("rename-across", "rename from one directory to another"),
    mutation("renameat", "renameat, relative to a descriptor"),
    mutation("renameat2-noreplace", "renameat2 with RENAME_NOREPLACE"),
    mutation("renameat2-exchange", "renameat2 with RENAME_EXCHANGE"),
    mutation("chmod", "chmod, by path"),
    mutation("fchmodat", "fchmodat, relative to a descriptor"),
    mutation("fchmodat2", "fchmodat2, relative to a descriptor"),
    mutation("chown", "chown, by path, to the own user"),
    mutation("lchown", "lchown, by path"),
    mutation("fchownat", "fchownat, relative to a descriptor"),
    mutation("truncate", "truncate from 4096 to 100 bytes"),
    mutation("utime", "utime, by path"),
    mutation("utimensat", "utimensat, relative to a descriptor"),
    mutation("setxattr", "setxattr of a new attribute"),
    mutation("removexattr", "removexattr"),
    lookup(
        "stat",
        "stat, each name for the first time, look-ups bypassed",
    ),
    lookup(
        "lstat",
        "lstat, each name for the first time, look-ups bypassed",
    ),
    lookup(
        "newfstatat",
        "newfstatat, relative to a descriptor, look-ups bypassed",
    ),
    lookup(
        "statx",
        "statx, each name for the first time, look-ups bypassed",
    ),
    lookup(
        "access",
        "access, each name for the first time, look-ups bypassed",
    ),
    lookup(
        "faccessat",
        "faccessat, relative to a descriptor, look-ups bypassed",
    ),
    lookup(
        "faccessat2",
        "faccessat2, relative to a descriptor, look-ups bypassed",
    ),
    lookup(
        "readlink",
        "readlink, each name for the first time, look-ups bypassed",
    ),
    lookup(
        "getxattr",
        "getxattr, each name for the first time, look-ups bypassed",
    ),
    lookup(
        "listxattr",
        "listxattr, each name for the first time, look-ups bypassed",
    ),
    lookup(
        "statfs",
        "statfs, each name for the first time, look-ups bypassed",
    ),
    Workload {
        ops: 20_000,
        trust: Trust::Never,
        goal: Goal::FasterThanBest(3.0, 3.0),
        ..lookup(
            "stat-deep",
            "stat below 8 levels, time-outs 0, look-ups bypassed",
        )
    },
    Workload {
        ops: 20_000,
        ..lookup(
            "stat-missing",
            "stat of names that are not there, look-ups bypassed",
        )
    },
    Workload {
        ops: 50_000,
        trust: Trust::Warm,
        policy: Policy::Default,
        goal: Goal::SlowerThanFuse(0.03),
        ..lookup(
            "stat-warm",
            "stat of names that the kernel holds, not trapped",
        )
    },
    Workload {
        trust: Trust::Warm,
        policy: Policy::Default,
        goal: Goal::SlowerThanFuse(0.03),
        ..lookup(
            "open-read-close",
            "open, read 4 KiB and close on the mount, not trapped",
        )
    },
    Workload {
        policy: Policy::Default,
        goal: Goal::SlowerThanFuse(0.03),
        ..lookup(
            "create-write-close",
            "create a file, write 4 KiB and close, not trapped",
        )
    },
    Workload {
        action: Action::OffMount,
        ops: 100_000,
        goal: Goal::SlowerThanNative(0.03),
        ..mutation(
            "off-mount",
            "getppid, stat, open, read, close off the mount, not trapped; per round",
        )
    },
    Workload {
        action: Action::OffMount,
        ops: 20_001,
        goal: Goal::None,
        ..mutation(
            "off-mount-trapped",
            "mkdir, chmod, rmdir off the mount: trapped for nothing",
        )
    },
    Workload {
        action: Action::Start,
        ops: 100,
        goal: Goal::MoreThanNative(5000.0),
        ..mutation(
            "exec-true",
            "start busybox true, with finesse-run's own start in the bypass column",
        )
    },
];

impl Workload {
    /// Operations to run: fewer in memory, where the tree is made through the mount, and when in a hurry;
    /// a whole number for each thread.
    #[must_use]
    pub fn operations(&self, in_memory: bool, quick: bool, threads: usize) -> usize {
        let fewer = if in_memory && self.on_mount() {
            if self.ops == TREE { 10 } else { 2 }
        } else {
            1
        };
        let hurried = if quick { 10 } else { 1 };
        let wanted = (self.ops / fewer / hurried).max(10);
        // Whole rounds of the three calls of `off-mount-trapped`, on each thread.
        let unit = threads
            * if self.action == Action::OffMount {
                3
            } else {
                1
            };
        wanted.div_ceil(unit) * unit
    }

    /// Whether the program works on the mount at all.
    #[must_use]
    pub fn on_mount(&self) -> bool {
        matches!(self.action, Action::Loop | Action::Remove | Action::Unpack)
    }

    /// Whether the bypass column is expected to bypass. What merely must not be slower is not trapped.
    #[must_use]
    pub fn bypassed(&self) -> bool {
        self.on_mount() && !matches!(self.goal, Goal::SlowerThanFuse(_))
    }

    /// Whether it can run on several threads.
    #[must_use]
    pub fn threaded(&self) -> bool {
        matches!(self.action, Action::Loop | Action::OffMount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ALL.iter().map(|workload| workload.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn the_driver_knows_every_loop_and_no_loop_is_forgotten() {
        let loops: Vec<_> = ALL
            .iter()
            .filter(|workload| workload.threaded())
            .map(|workload| workload.name)
            .collect();
        for name in &loops {
            assert!(
                finesse_driver::workloads::find(name).is_some(),
                "{name} is unknown to the driver"
            );
        }
        for workload in finesse_driver::workloads::all() {
            assert!(
                loops.contains(&workload.name),
                "{} is never run",
                workload.name
            );
        }
    }

    #[test]
    fn threads_share_evenly_and_rounds_are_whole() {
        for workload in ALL {
            for threads in [1, 2, 3, 16] {
                let ops = workload.operations(true, true, threads);
                assert!(
                    ops >= 10 && ops.is_multiple_of(threads),
                    "{} {threads}",
                    workload.name
                );
            }
        }
        assert_eq!(ALL[0].operations(false, false, 1), 100_000);
    }
}
