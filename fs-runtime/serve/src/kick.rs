//! A signal that interrupts a thread's sleep in the kernel and does nothing else.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem::zeroed;
use std::ptr::{null, null_mut};

/// A real-time signal that nobody else has a handler for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kick(c_int);

extern "C" fn nothing(_: c_int) {}

impl Kick {
    /// Takes the highest free signal; `None` when there is none.
    ///
    /// `SA_RESTART`: whatever else the thread may be doing by then goes on as before.
    pub(crate) fn new() -> Option<Kick> {
        let free = (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev().find(|signal| {
            // SAFETY: a zeroed sigaction is a valid place for sigaction(2) to write to,
            // and a null pointer asks for no change.
            let (known, old) = unsafe {
                let mut old: libc::sigaction = zeroed();
                (libc::sigaction(*signal, null(), &raw mut old) == 0, old)
            };
            known && old.sa_sigaction == libc::SIG_DFL
        })?;
        // SAFETY: the handler has the signature of one without SA_SIGINFO, touches nothing
        // and so is async-signal-safe; a zeroed mask is empty.
        let set = unsafe {
            let mut new: libc::sigaction = zeroed();
            let handler: extern "C" fn(c_int) = nothing;
            new.sa_sigaction = handler as libc::sighandler_t;
            new.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
            libc::sigaction(free, &raw const new, null_mut())
        };
        (set == 0).then_some(Kick(free))
    }

    /// Unblocks the signal in the calling thread.
    pub(crate) fn let_through(self) {
        // SAFETY: the set is initialised by sigemptyset before it is used.
        unsafe {
            let mut set: libc::sigset_t = zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, self.0);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, null_mut());
        }
    }

    /// Sends it to a thread of this process.
    pub(crate) fn thread(self, thread: i32) {
        // SAFETY: tgkill(2) takes numbers only. A thread that has ended is an error, which
        // changes nothing.
        unsafe {
            libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, self.0);
        }
    }
}
