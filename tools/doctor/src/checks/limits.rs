//! Limits of this session and this machine.

use nix::sys::resource::{Resource, getrlimit};

use crate::check::Check;

/// Descriptors for a program of some hundred threads and processes, and to spare.
const ENOUGH: u64 = 4096;

pub(super) fn checks() -> Vec<Check> {
    let hard = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    vec![descriptors(hard), processors(cpus)]
}

fn descriptors(hard: u64) -> Check {
    let name = "open files";
    if hard >= ENOUGH {
        Check::ok(
            name,
            format!("up to {hard} descriptors: the supervisor needs some for each thread"),
        )
    } else {
        Check::limited(
            name,
            format!(
                "up to {hard} descriptors: the supervisor needs some for each thread, and leaves calls to the kernel when it has none"
            ),
            "raise the hard limit (ulimit -Hn, /etc/security/limits.conf, LimitNOFILE=)",
        )
    }
}

fn processors(count: usize) -> Check {
    let name = "CPUs";
    if count > 1 {
        Check::ok(
            name,
            format!("{count}: file systems may wait for the next call awake"),
        )
    } else {
        Check::limited(
            name,
            "1: waiting awake would keep the program from running, so file systems sleep between calls",
            "allow a second CPU (taskset, cpuset)",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn limits_are_judged() {
        assert_eq!(descriptors(1024).state, State::Limited);
        assert_eq!(descriptors(u64::MAX).state, State::Ok);
        assert_eq!(processors(1).state, State::Limited);
        assert_eq!(processors(2).state, State::Ok);
    }
}
