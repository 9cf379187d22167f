//! What a plain run of the program would have found, noted before Rust's start-up code
//! changes it: that code ignores SIGPIPE and opens /dev/null on closed standard streams.
//! SIGXFSZ is ignored as well: where files may not grow (`RLIMIT_FSIZE`), a write of ours fails
//! and does not end us.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use nix::sys::signal::Signal;

static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);
static SIGXFSZ_IGNORED: AtomicBool = AtomicBool::new(false);
/// Bit `n`: descriptor `n` was closed.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Runs before `main` and before the standard library's start-up.
extern "C" fn note() {
    // SAFETY: a null new action only reads the old one; `sigaction` is plain data.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut old) == 0 {
            SIGPIPE_IGNORED.store(old.sa_sigaction == libc::SIG_IGN, Ordering::Relaxed);
        }
    }
    // SAFETY: ignoring a signal needs no handler.
    let old = unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    SIGXFSZ_IGNORED.store(old == libc::SIG_IGN, Ordering::Relaxed);
    for fd in 0..3 {
        // SAFETY: F_GETFD reads a flag and takes no pointer.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
        }
    }
}

#[used]
// SAFETY: the section holds pointers to functions of this type, which libc calls once
// before `main`; `note` uses nothing that is not yet set up.
#[unsafe(link_section = ".init_array")]
static NOTE: extern "C" fn() = note;

/// Gives the program the signal dispositions and the streams of a plain run.
pub(crate) fn restore() {
    for (was_ignored, signal) in [
        (&SIGPIPE_IGNORED, Signal::SIGPIPE),
        (&SIGXFSZ_IGNORED, Signal::SIGXFSZ),
    ] {
        if !was_ignored.load(Ordering::Relaxed) {
            default_action(signal);
        }
    }
    let closed = CLOSED.load(Ordering::Relaxed);
    for fd in (0..3).filter(|fd| closed >> fd & 1 == 1) {
        // SAFETY: the standard library opened this one; nothing here uses it any more.
        unsafe { libc::close(fd) };
    }
}

/// Gives the signal its default action, whatever start-up code or a parent made of it: the
/// standard library handles SIGSEGV and SIGBUS, and ignores SIGPIPE.
pub(crate) fn default_action(signal: Signal) {
    // SAFETY: the default action is no handler of ours.
    unsafe { libc::signal(signal as libc::c_int, libc::SIG_DFL) };
}
