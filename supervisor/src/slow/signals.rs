//! Signals that a thread would hear of if it slept interruptibly: proc_pid_status(5).

use procfs::process::Status;

use crate::targets::status;

/// Whether a signal is there for a thread that takes none now.
///
/// Ignored ones are never pending, unless they were blocked when they came. One for the whole
/// process goes to its first thread if that does not block it (`complete_signal`,
/// kernel/signal.c), otherwise to any that does not.
pub(super) fn has_any(tid: u32) -> bool {
    let Some(own) = status(tid) else {
        return false;
    };
    let first = own.tgid.cast_unsigned();
    let first = if first == tid { None } else { status(first) };
    pending(&own, first.as_ref()) != 0
}

/// `first` is the process's first thread, if that is another one.
fn pending(own: &Status, first: Option<&Status>) -> u64 {
    let firsts = match first {
        Some(first) if !first.state.starts_with('Z') => !first.sigblk,
        _ => 0,
    };
    (own.sigpnd | own.shdpnd & !firsts) & !own.sigblk
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(state: &str, own: u64, shared: u64, blocked: u64) -> Status {
        let mut status = procfs::process::Process::myself()
            .unwrap()
            .status()
            .unwrap();
        status.state = state.into();
        (status.sigpnd, status.shdpnd, status.sigblk) = (own, shared, blocked);
        status
    }

    #[test]
    fn what_is_blocked_or_the_first_threads_does_not_count() {
        let (sleeps, dead) = ("D (disk sleep)", "Z (zombie)");
        assert_eq!(
            pending(&thread(sleeps, 0b1001, 0b0110, 0b0011), None),
            0b1100
        );
        let own = thread(sleeps, 0b1000, 0b0011, 0);
        let first = |state, blocked| thread(state, 0, 0b0011, blocked);
        assert_eq!(pending(&own, Some(&first(sleeps, 0))), 0b1000);
        assert_eq!(pending(&own, Some(&first(sleeps, 0b0010))), 0b1010);
        assert_eq!(pending(&own, Some(&first(dead, 0))), 0b1011);
    }

    #[test]
    fn a_thread_without_signals_has_none() {
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        assert!(!has_any(tid.cast_unsigned()));
        assert!(!has_any(u32::MAX));
    }
}
