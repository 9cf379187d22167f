//! The threads that serve the kernel, beside the program that they serve.
//!
//! A program that makes one call after the other sleeps while it is answered. Where its thread
//! and ours share a CPU each hand-over is a switch, some 2 µs; on two CPUs, which is where the
//! scheduler likes them, each has to wake a sleeping CPU, some 50 µs on a virtual machine. So
//! while one thread asks again and again, ours wait for its next request on its CPU. They do
//! no more than wait there: while the file system works, and may start threads of its own, they
//! are allowed on all CPUs as ever.

use std::cell::RefCell;
use std::fs;
use std::str;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Requests of one thread in a row that show that others hardly ask.
const ROW: u32 = 16;
/// For how long the asker is taken to stay on its CPU.
const STAYS: Duration = Duration::from_millis(2);
/// A transfer of more bytes than that is worth a CPU of its own: the kernel reads ahead, and
/// writes behind, while the program computes.
const STREAM: usize = 16 << 10;

thread_local! {
    /// What this thread was allowed before it was kept on one CPU.
    static ALLOWED: RefCell<Option<CpuSet>> = const { RefCell::new(None) };
}

/// See the module. All words are hints, and relaxed.
#[derive(Debug)]
pub(super) struct Beside {
    start: Instant,
    /// The thread that asked last (`fuse_in_header.pid`).
    asker: AtomicU32,
    row: AtomicU32,
    /// The asker's CPU, plus one; 0: unknown.
    cpu: AtomicU32,
    /// When that was looked up, in microseconds since `start`.
    seen: AtomicU64,
}

impl Beside {
    pub(super) fn new() -> Self {
        Beside {
            start: Instant::now(),
            asker: AtomicU32::new(0),
            row: AtomicU32::new(0),
            cpu: AtomicU32::new(0),
            seen: AtomicU64::new(0),
        }
    }

    /// A request of thread `asker` is about to be served.
    pub(super) fn come(&self, asker: u32) {
        if let Some(allowed) = ALLOWED.take() {
            // It was so before; should it fail, the kernel took CPUs away meanwhile.
            let _ = sched_setaffinity(None, &allowed);
        }
        // Nobody waits for a request of nobody: nodes forgotten, files let go.
        if asker == 0 {
            return;
        }
        if self.asker.swap(asker, Ordering::Relaxed) == asker {
            let row = self.row.load(Ordering::Relaxed);
            self.row.store((row + 1).min(ROW), Ordering::Relaxed);
        } else {
            self.row.store(0, Ordering::Relaxed);
            self.cpu.store(0, Ordering::Relaxed);
        }
    }

    /// It transfers so many bytes.
    pub(super) fn transfers(&self, bytes: usize) {
        if bytes > STREAM {
            self.row.store(0, Ordering::Relaxed);
        }
    }

    /// It was served, and the thread is about to wait for the next one.
    pub(super) fn wait_there(&self) {
        if self.row.load(Ordering::Relaxed) < ROW {
            return;
        }
        if let Some(cpu) = self.askers_cpu() {
            keep_on(cpu);
        }
    }

    fn askers_cpu(&self) -> Option<usize> {
        let now = self.start.elapsed();
        let seen = Duration::from_micros(self.seen.load(Ordering::Relaxed));
        let mut cpu = self.cpu.load(Ordering::Relaxed);
        if cpu == 0 || now.saturating_sub(seen) > STAYS {
            cpu = cpu_of(self.asker.load(Ordering::Relaxed)).map_or(0, |cpu| cpu + 1);
            let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
            self.seen.store(now, Ordering::Relaxed);
            self.cpu.store(cpu, Ordering::Relaxed);
        }
        usize::try_from(cpu.checked_sub(1)?).ok()
    }
}

/// Keeps the calling thread on `cpu`, if it is one of several that it is allowed.
fn keep_on(cpu: usize) {
    let Ok(allowed) = sched_getaffinity(None) else {
        return;
    };
    if allowed.count() < 2 || !allowed.is_set(cpu) {
        return;
    }
    let mut only = CpuSet::new();
    only.set(cpu);
    if sched_setaffinity(None, &only).is_ok() {
        ALLOWED.set(Some(allowed));
    }
}

/// The CPU that thread `tid` last ran on (proc_pid_stat(5), *processor*).
fn cpu_of(tid: u32) -> Option<u32> {
    let stat = fs::read(format!("/proc/{tid}/stat")).ok()?;
    // The second field, a name in brackets, may hold anything; the third comes after it.
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = str::from_utf8(&stat[name_end + 1..]).ok()?;
    fields.split_ascii_whitespace().nth(39 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use rustix::thread::{gettid, sched_getcpu};

    use super::*;

    fn me() -> u32 {
        gettid().as_raw_nonzero().get().cast_unsigned()
    }

    /// Serves requests of `askers`; the CPUs on which this thread then waits.
    fn waits_on(beside: &Beside, askers: impl IntoIterator<Item = u32>) -> u32 {
        for asker in askers {
            beside.come(asker);
            beside.wait_there();
        }
        sched_getaffinity(None).unwrap().count()
    }

    #[test]
    fn who_asks_again_and_again_is_waited_for_on_its_cpu() {
        let all = sched_getaffinity(None).unwrap();
        let row = usize::try_from(ROW).unwrap();
        let beside = Beside::new();
        assert_eq!(waits_on(&beside, vec![me(); row]), all.count(), "not yet");
        assert_eq!(waits_on(&beside, [me()]), 1);
        assert!(all.is_set(sched_getcpu()));
        beside.come(me());
        assert_eq!(sched_getaffinity(None).unwrap(), all, "while it is served");
        beside.wait_there();
        assert_eq!(waits_on(&beside, [0]), 1, "of nobody");
        assert_eq!(waits_on(&beside, [1]), all.count(), "somebody else");
    }

    #[test]
    fn who_takes_turns_or_transfers_much_gets_all_cpus() {
        let all = sched_getaffinity(None).unwrap().count();
        let turns = [me(), 1].repeat(50);
        assert_eq!(waits_on(&Beside::new(), turns), all);
        let beside = Beside::new();
        for _ in 0..50 {
            beside.come(me());
            beside.transfers(STREAM + 1);
            beside.wait_there();
        }
        assert_eq!(sched_getaffinity(None).unwrap().count(), all);
    }

    #[test]
    fn a_thread_is_found_where_it_runs() {
        let all = sched_getaffinity(None).unwrap();
        for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)) {
            let mut only = CpuSet::new();
            only.set(cpu);
            sched_setaffinity(None, &only).unwrap();
            assert_eq!(cpu_of(me()).map(|cpu| cpu as usize), Some(cpu));
        }
        assert_eq!(cpu_of(u32::MAX), None);
    }
}
