//! How soon a thread runs that is woken.
//!
//! A woken thread may have to wait until the time slice of whoever has its CPU is over, some
//! milliseconds, unless its own slices are shorter (`PREEMPT_SHORT`, kernel/sched/features.h,
//! since Linux 6.12). The threads that serve do little at a time and then sleep, so short slices
//! cost them nothing; and one that watches the doorbells keeps nobody waiting for longer.

use std::cell::Cell;
use std::mem::MaybeUninit;

/// The shortest that the kernel takes (`__setparam_fair`, kernel/sched/syscalls.c), in ns.
const SLICE: u64 = 100_000;

/// From now on the calling thread has short slices, and those that it starts. What the kernel
/// says does not matter: older ones take no heed of it.
pub fn run_soon() {
    thread_local!(static DONE: Cell<bool> = const { Cell::new(false) });
    if DONE.replace(true) {
        return;
    }
    if let Some(now) = attributes()
        && now.sched_policy == libc::SCHED_OTHER.cast_unsigned()
    {
        set_attributes(&libc::sched_attr {
            sched_runtime: SLICE,
            ..now
        });
    }
}

/// The calling thread.
const OWN: libc::pid_t = 0;

/// How it is scheduled (sched_getattr(2)).
#[allow(unsafe_code)]
fn attributes() -> Option<libc::sched_attr> {
    let mut now: MaybeUninit<libc::sched_attr> = MaybeUninit::zeroed();
    let size = size_of::<libc::sched_attr>();
    // SAFETY: the kernel writes at most `size` bytes, which are there.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, OWN, now.as_mut_ptr(), size, 0) };
    // SAFETY: its fields are integers, which were zero and may have any value.
    (read == 0).then(|| unsafe { now.assume_init() })
}

#[allow(unsafe_code)]
fn set_attributes(wanted: &libc::sched_attr) {
    // SAFETY: the kernel reads as many bytes as the first field says, which it has set.
    let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, OWN, &raw const *wanted, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_slice_is_set() {
        let (before, after) = std::thread::spawn(|| {
            let before = attributes().unwrap();
            run_soon();
            (before, attributes().unwrap())
        })
        .join()
        .unwrap();
        assert_eq!(after.sched_policy, before.sched_policy);
        assert_eq!(after.sched_nice, before.sched_nice);
        // Older kernels say 0 before and after.
        assert!([0, SLICE].contains(&after.sched_runtime));
        assert_eq!(after.sched_runtime == 0, before.sched_runtime == 0);
    }
}
