//! close(2), dup2(2), dup3(2), close_range(2) and pipe(2): a number means another file from
//! now on.
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

/// pipe(2).
///
/// # Safety
/// That of libc's: there is room for two descriptors.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C-unwind" fn pipe(ends: *mut c_int) -> c_int {
    // SAFETY: the caller's promise is libc's.
    let made = unsafe { (real().pipe)(ends) };
    // SAFETY: as above, and libc has written both.
    unsafe { note(made, ends) };
    made
}

/// pipe2(2).
///
/// # Safety
/// That of libc's: there is room for two descriptors.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C-unwind" fn pipe2(ends: *mut c_int, flags: c_int) -> c_int {
    // SAFETY: the caller's promise is libc's.
    let made = unsafe { (real().pipe2)(ends, flags) };
    // SAFETY: as above, and libc has written both.
    unsafe { note(made, ends) };
    made
}

/// # Safety
/// If `made` is 0, there are two descriptors at `ends`.
unsafe fn note(made: c_int, ends: *mut c_int) {
    if made == 0 {
        // SAFETY: the caller's promise.
        let (read_end, write_end) = unsafe { (*ends, *ends.add(1)) };
        quietly(|| turn::pipe_made(read_end, write_end));
    }
}
