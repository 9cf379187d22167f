//! read(2), readv(2) and splice(2) from /dev/fuse.
#![allow(unsafe_code)]
// Programs call these, Rust does not; and a test does not want them.
#![cfg_attr(test, allow(dead_code))]

use std::cell::RefCell;
use std::ffi::{c_int, c_uint, c_void};
use std::os::fd::RawFd;

use libc::{iovec, loff_t, size_t, ssize_t};
use nix::errno::Errno;

use super::quiet::{quickly, quietly};
use super::real::real;
use crate::abi::Message;
use crate::device;
use crate::pipes;
use crate::turn::{self, Event, Step, step};
use crate::waiter::is_device;

/// The kernel gives no request to a smaller buffer (`FUSE_MIN_READ_BUFFER`).
const LEAST: size_t = 8192;

/// read(2).
///
/// # Safety
/// That of libc's: `buffer` has room for `count` bytes.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C-unwind" fn read(fd: c_int, buffer: *mut c_void, count: size_t) -> ssize_t {
    if device::is_pipe(fd)
        && let Some(Some(kept)) = quietly(|| pipes::take(fd, count))
    {
        // SAFETY: the caller promises the room, and `kept` is not its memory.
        unsafe { std::ptr::copy_nonoverlapping(kept.as_ptr(), buffer.cast(), kept.len()) };
        return ssize_t::try_from(kept.len()).unwrap_or(ssize_t::MAX);
    }
    if count < LEAST || !device::is(fd) {
        // SAFETY: the caller's promise is libc's.
        return unsafe { (real().read)(fd, buffer, count) };
    }
    // SAFETY: the caller promises the room.
    unsafe { receive(fd, buffer.cast(), count) }
}

/// What programs call that were built with `_FORTIFY_SOURCE`.
///
/// # Safety
/// That of [`read`].
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C-unwind" fn __read_chk(
    fd: c_int,
    buffer: *mut c_void,
    count: size_t,
    size: size_t,
) -> ssize_t {
    if count > size {
        // SAFETY: it takes nothing. libc ends the program here as well.
        unsafe { libc::abort() }
    }
    // SAFETY: the caller's promise is that of `read`.
    unsafe { read(fd, buffer, count) }
}

/// readv(2).
///
/// # Safety
/// That of libc's: `parts` are `count` valid buffers.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C-unwind" fn readv(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    if device::is_pipe(fd) {
        quietly(|| spill(fd));
    }
    let Some(number) = usize::try_from(count).ok().filter(|_| device::is(fd)) else {
        // SAFETY: the caller's promise is libc's.
        return unsafe { (real().readv)(fd, parts, count) };
    };
    // SAFETY: the caller promises that there are so many, and none changes meanwhile.
    let room = unsafe { std::slice::from_raw_parts(parts, number) }
        .iter()
        .fold(0_usize, |sum, part| sum.saturating_add(part.iov_len));
    if room < LEAST {
        // SAFETY: as above.
        return unsafe { (real().readv)(fd, parts, count) };
    }
    let Some(buffer) = quietly(|| own_buffer(room)) else {
        // SAFETY: as above.
        return unsafe { (real().readv)(fd, parts, count) };
    };
    // SAFETY: the buffer has that room, and this thread uses it for nothing else.
    let read = unsafe { receive(fd, buffer, room) };
    let mut left = usize::try_from(read).unwrap_or(0);
    let mut from = buffer;
    // SAFETY: as above; together the parts have the room that was asked for, so each copy
    // stays within its part and within what was read.
    unsafe {
        for part in std::slice::from_raw_parts(parts, number) {
            let len = left.min(part.iov_len);
            std::ptr::copy_nonoverlapping(from, part.iov_base.cast(), len);
            from = from.add(len);
            left -= len;
        }
    }
    read
}

/// splice(2).
///
/// # Safety
/// That of libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C-unwind" fn splice(
    from: c_int,
    from_offset: *mut loff_t,
    to: c_int,
    to_offset: *mut loff_t,
    count: size_t,
    flags: c_uint,
) -> ssize_t {
    let plain = || {
        // SAFETY: the caller's promise is libc's.
        unsafe { (real().splice)(from, from_offset, to, to_offset, count, flags) }
    };
    if count < LEAST || !device::is(from) {
        if device::is_pipe(from) {
            quietly(|| spill(from));
        }
        return plain();
    }
    let Some(buffer) = quietly(|| own_buffer(count)) else {
        return plain();
    };
    // SAFETY: the buffer has that room, and this thread uses it for nothing else.
    let read = unsafe { receive(from, buffer, count) };
    let Ok(len) = usize::try_from(read) else {
        return read;
    };
    // SAFETY: `receive` has written so many bytes there.
    let bytes = unsafe { std::slice::from_raw_parts(buffer, len) };
    let keep_or_write = || {
        if device::is_pipe(to) && pipes::keep(to, bytes) {
            return Ok(bytes.len());
        }
        // The pipe is the daemon's own, empty, and has room for `count` bytes.
        rustix::io::write(device::borrow(to), bytes)
    };
    match quietly(keep_or_write) {
        Some(Ok(written)) => ssize_t::try_from(written).unwrap_or(ssize_t::MAX),
        Some(Err(error)) => fail(error.raw_os_error()),
        None => fail(libc::EIO),
    }
}

/// Puts what is kept for a pipe into it.
fn spill(read_end: RawFd) {
    if let Some((write_end, kept)) = pipes::spill(read_end) {
        // It was empty, so there is room.
        let _ = rustix::io::write(device::borrow(write_end), &kept);
    }
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of this thread; it stays where it is until the next call.
fn own_buffer(room: usize) -> *mut u8 {
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.len() < room {
            *buffer = vec![0; room];
        }
        buffer.as_mut_ptr()
    })
}

/// Waits for a request, of the kernel's or of the bypass door's.
///
/// # Safety
/// `buffer` has room for `room` bytes that nobody else uses meanwhile.
unsafe fn receive(fd: RawFd, buffer: *mut u8, room: usize) -> ssize_t {
    let mut next = match quickly(|| turn::reads_at_once(fd, room)) {
        Some(true) => Some(Step::Read),
        _ => quietly(|| step(fd, room, Event::Called)),
    };
    loop {
        match next {
            // SAFETY: the caller promises the room. This may unwind.
            None => return unsafe { (real().read)(fd, buffer.cast(), room) },
            Some(Step::Read) => {
                // SAFETY: as above.
                let read = unsafe { (real().read)(fd, buffer.cast(), room) };
                // SAFETY: as above, and the kernel has written that many bytes there.
                next = Some(unsafe { after_read(fd, buffer, room, read) });
            }
            Some(Step::Sleep(on, limit)) => next = sleep(fd, room, on, limit),
            // SAFETY: the caller promises the room.
            Some(Step::Give(message)) => return unsafe { give(&message, buffer, room) },
            Some(Step::Return(len)) => return ssize_t::try_from(len).unwrap_or(ssize_t::MAX),
            Some(Step::Fail(errno)) => return fail(errno),
        }
    }
}

/// # Safety
/// Of `room` bytes at `buffer`, the first `read` are initialised.
unsafe fn after_read(fd: RawFd, buffer: *mut u8, room: usize, read: ssize_t) -> Step {
    let errno = Errno::last_raw();
    // Without a step the request is still the daemon's.
    let Ok(len) = usize::try_from(read) else {
        let next = quietly(|| step(fd, room, Event::Failed(errno)));
        return next.unwrap_or(Step::Fail(errno));
    };
    // SAFETY: the caller promises it, and nobody else uses the buffer.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer, len) };
    if quickly(|| turn::arrives_unwatched(fd, bytes)) == Some(true) {
        return Step::Return(len);
    }
    let next = quietly(|| step(fd, room, Event::Read(bytes)));
    next.unwrap_or(Step::Return(len))
}

unsafe extern "C-unwind" {
    /// epoll_wait(2), which a cancelled thread unwinds through.
    fn epoll_wait(
        epoll: c_int,
        events: *mut libc::epoll_event,
        most: c_int,
        timeout: c_int,
    ) -> c_int;
}

fn sleep(fd: RawFd, room: usize, on: RawFd, limit: i32) -> Option<Step> {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 2];
    // SAFETY: there is room for two events.
    let number = unsafe { epoll_wait(on, events.as_mut_ptr(), 2, limit) };
    let event = match usize::try_from(number) {
        Ok(0) => Event::TimeUp,
        Ok(number) => {
            let mut happened = events.iter().take(number);
            Event::Woken {
                device: happened.any(|event| is_device(event.u64)),
            }
        }
        Err(_) => Event::Interrupted,
    };
    quietly(|| step(fd, room, event))
}

/// # Safety
/// `buffer` has room for `room` bytes.
unsafe fn give(message: &Message, buffer: *mut u8, room: usize) -> ssize_t {
    let bytes = message.as_bytes();
    // Messages that do not fit are not sent (`crate::post`), and requests of the kernel
    // were read into a buffer of the daemon before.
    let len = bytes.len().min(room);
    // SAFETY: both have that length, and the message is not the daemon's memory.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, len) };
    ssize_t::try_from(len).unwrap_or(ssize_t::MAX)
}

fn fail(errno: i32) -> ssize_t {
    Errno::set_raw(errno);
    -1
}
