//! close(2), dup2(2), dup3(2) and close_range(2): a number means another file from now on.
#![allow(unsafe_code)]
// Programs call these, Rust does not; and a test does not want them.
#![cfg_attr(test, allow(dead_code))]

use std::ffi::{c_int, c_uint};

use super::quiet::quietly;
use super::real::real;
use crate::turn;

/// close(2).
///
/// # Safety
/// That of libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C-unwind" fn close(fd: c_int) -> c_int {
    quietly(|| turn::closes(fd));
    // SAFETY: the caller's promise is libc's.
    unsafe { (real().close)(fd) }
}

/// dup2(2).
///
/// # Safety
/// That of libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C-unwind" fn dup2(old: c_int, new: c_int) -> c_int {
    if old != new {
        quietly(|| turn::closes(new));
    }
    // SAFETY: the caller's promise is libc's.
    unsafe { (real().dup2)(old, new) }
}

/// dup3(2).
///
/// # Safety
/// That of libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C-unwind" fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    if old != new {
        quietly(|| turn::closes(new));
    }
    // SAFETY: the caller's promise is libc's.
    unsafe { (real().dup3)(old, new, flags) }
}

/// close_range(2), as a system call: older versions of libc have no function for it.
///
/// # Safety
/// That of libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C-unwind" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    quietly(|| turn::close_range(first, last));
    // SAFETY: the system call takes numbers only.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if done == 0 { 0 } else { -1 }
}
