//! write(2) and writev(2) to /dev/fuse, and vmsplice(2), which precedes splice(2) to it.
#![allow(unsafe_code)]
// Programs call these, Rust does not; and a test does not want them.
#![cfg_attr(test, allow(dead_code))]

use std::borrow::Cow;
use std::ffi::{c_int, c_uint, c_void};

use libc::{iovec, size_t, ssize_t};
use nix::errno::Errno;
use zerocopy::FromBytes;

use super::quiet::{quickly, quietly};
use super::real::real;
use crate::abi::{OUT_HEADER, OutHeader};
use crate::device;
use crate::session::Reply;
use crate::turn;

/// write(2).
///
/// # Safety
/// That of libc's: `buffer` holds `count` bytes.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C-unwind" fn write(fd: c_int, buffer: *const c_void, count: size_t) -> ssize_t {
    if turn::serves() && count >= OUT_HEADER && device::is(fd) {
        let part = iovec {
            iov_base: buffer.cast_mut(),
            iov_len: count,
        };
        // SAFETY: the caller promises the bytes.
        if let Some(done) = unsafe { look(fd, &[part]) } {
            return done;
        }
    }
    // SAFETY: the caller's promise is libc's.
    unsafe { (real().write)(fd, buffer, count) }
}

/// writev(2).
///
/// # Safety
/// That of libc's: `parts` are `count` buffers that hold what they say.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C-unwind" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    if turn::serves()
        && device::is(fd)
        && let Ok(number @ 1..) = usize::try_from(count)
    {
        // SAFETY: the caller promises that there are so many, and what they hold.
        let done = unsafe { look(fd, std::slice::from_raw_parts(parts, number)) };
        if let Some(done) = done {
            return done;
        }
    }
    // SAFETY: the caller's promise is libc's.
    unsafe { (real().writev)(fd, parts, count) }
}

/// vmsplice(2). libfuse puts a reply into a pipe by it, header first, and then the pipe
/// into /dev/fuse. A reply that has to be looked at is refused: libfuse then uses writev.
///
/// # Safety
/// That of libc's: `parts` are `count` buffers that hold what they say.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C-unwind" fn vmsplice(
    fd: c_int,
    parts: *const iovec,
    count: size_t,
    flags: c_uint,
) -> ssize_t {
    if turn::serves() && count > 0 {
        // SAFETY: the caller promises at least one, and what it holds.
        let unique = unsafe { header(std::slice::from_raw_parts(parts, 1)) };
        let refused = unique.is_some_and(|header| {
            header.unique != 0 && quietly(|| turn::concerns(header.unique)).unwrap_or(false)
        });
        if refused {
            Errno::EINVAL.set();
            return -1;
        }
    }
    // SAFETY: the caller's promise is libc's.
    unsafe { (real().vmsplice)(fd, parts, count, flags) }
}

/// The header of a reply, if the first part holds it.
///
/// # Safety
/// `parts` hold what they say.
unsafe fn header(parts: &[iovec]) -> Option<OutHeader> {
    let first = parts.first().filter(|part| part.iov_len >= OUT_HEADER)?;
    // SAFETY: the part holds that many bytes, as the caller promises.
    let bytes = unsafe { std::slice::from_raw_parts(first.iov_base.cast::<u8>(), OUT_HEADER) };
    OutHeader::read_from_bytes(bytes).ok()
}

/// What follows the header of a reply, of which the first part holds all.
///
/// # Safety
/// `parts` hold what they say, and are not changed while the result lives.
unsafe fn body<'p>(parts: &[iovec]) -> Cow<'p, [u8]> {
    let mut filled = parts.iter().filter(|part| part.iov_len > 0);
    let (first, second) = (filled.next(), filled.next());
    let (part, skip) = match (first, second, filled.next()) {
        (Some(first), None, _) => (first, OUT_HEADER),
        (Some(first), Some(second), None) if first.iov_len == OUT_HEADER => (second, 0),
        // SAFETY: the caller's promise.
        _ => return unsafe { gather(parts) }.split_off(OUT_HEADER).into(),
    };
    // SAFETY: the part holds its bytes; the first one holds the header (`header`).
    unsafe {
        let start = part.iov_base.cast::<u8>().add(skip);
        std::slice::from_raw_parts(start, part.iov_len - skip).into()
    }
}

/// All bytes of a message.
///
/// # Safety
/// `parts` hold what they say.
unsafe fn gather(parts: &[iovec]) -> Vec<u8> {
    let mut message = Vec::new();
    // The address of an empty one means nothing.
    for part in parts.iter().filter(|part| part.iov_len > 0) {
        let start = part.iov_base.cast::<u8>();
        // SAFETY: each part holds its bytes, as the caller promises.
        message.extend_from_slice(unsafe { std::slice::from_raw_parts(start, part.iov_len) });
    }
    message
}

/// writev(2), but no cancellation point.
///
/// # Safety
/// `parts` hold what they say.
unsafe fn write_at_once(fd: c_int, parts: &[iovec]) -> Reply {
    // SAFETY: the caller promises the bytes, which the call only reads.
    let written = unsafe { libc::syscall(libc::SYS_writev, fd, parts.as_ptr(), parts.len()) };
    match isize::try_from(written) {
        Ok(written @ 0..) => Reply::Done(written, 0),
        _ => Reply::Done(-1, Errno::last_raw()),
    }
}

/// What the call returns if the reply was dealt with; `None`: it goes to the kernel.
///
/// # Safety
/// `parts` hold what they say.
unsafe fn look(fd: c_int, parts: &[iovec]) -> Option<ssize_t> {
    // SAFETY: the caller's promise.
    let header = unsafe { header(parts) }?;
    // SAFETY: as above, until this function returns.
    let body = || unsafe { body(parts) };
    // SAFETY: as above.
    let write = || unsafe { write_at_once(fd, parts) };
    let unwatched = quickly(|| turn::answers_unwatched(&header, body, write))?;
    let reply = match unwatched {
        Some(reply) => reply,
        None => quietly(|| {
            turn::concerns(header.unique).then(|| {
                // SAFETY: as above.
                let message = unsafe { gather(parts) };
                turn::replied(fd, header.unique, message)
            })
        })??,
    };
    match reply {
        Reply::Pass | Reply::PassAll => None,
        Reply::Done(-1, errno) => {
            Errno::set_raw(errno);
            Some(-1)
        }
        Reply::Done(written, _) => Some(written),
    }
}
