//! The daemon's own pipes, into which it has requests spliced.
//!
//! libfuse splices a request from /dev/fuse into a pipe and reads it out of there at once. A
//! request that was read already would have to be written into the pipe for that. Instead
//! it is kept here, and the read of the pipe's other end is answered from here: that saves
//! two system calls, one more than the library costs.

use std::collections::HashMap;
use std::os::fd::RawFd;

use parking_lot::Mutex;

/// Longer requests go through the pipe: libfuse leaves them there until it can splice them
/// on (`fuse_session_receive_buf` reads what is shorter than a page and the headers).
pub(crate) const LONGEST: usize = 4096;

/// By the end that is read from.
static PIPES: Mutex<Option<HashMap<RawFd, Pipe>>> = Mutex::new(None);

#[derive(Debug)]
struct Pipe {
    written_by: RawFd,
    kept: Vec<u8>,
}

/// The daemon has made a pipe.
pub(crate) fn made(read_end: RawFd, write_end: RawFd) {
    let pipe = Pipe {
        written_by: write_end,
        kept: Vec::new(),
    };
    PIPES.lock().get_or_insert_default().insert(read_end, pipe);
}

/// A descriptor is closed: its pipe is one no more.
pub(crate) fn closed(fd: RawFd) {
    if let Some(pipes) = &mut *PIPES.lock() {
        pipes.retain(|read_end, pipe| *read_end != fd && pipe.written_by != fd);
    }
}

/// Keeps `bytes` for the read of the other end. False when `write_end` is of no pipe that is
/// known, or there is something in it already.
pub(crate) fn keep(write_end: RawFd, bytes: &[u8]) -> bool {
    if bytes.len() > LONGEST {
        return false;
    }
    let mut pipes = PIPES.lock();
    let of_end = |pipe: &&mut Pipe| pipe.written_by == write_end && pipe.kept.is_empty();
    let pipe = pipes
        .as_mut()
        .and_then(|pipes| pipes.values_mut().find(of_end));
    pipe.is_some_and(|pipe| {
        pipe.kept.extend_from_slice(bytes);
        true
    })
}

/// Takes what is kept for a read of `room` bytes.
pub(crate) fn take(read_end: RawFd, room: usize) -> Option<Vec<u8>> {
    let mut pipes = PIPES.lock();
    let pipe = pipes.as_mut()?.get_mut(&read_end)?;
    if pipe.kept.is_empty() {
        return None;
    }
    let rest = pipe.kept.split_off(pipe.kept.len().min(room));
    Some(std::mem::replace(&mut pipe.kept, rest))
}

/// Takes everything that is kept, and the end that it is to be written to: the pipe is about
/// to be used in another way.
pub(crate) fn spill(read_end: RawFd) -> Option<(RawFd, Vec<u8>)> {
    let mut pipes = PIPES.lock();
    let pipe = pipes.as_mut()?.get_mut(&read_end)?;
    (!pipe.kept.is_empty()).then(|| (pipe.written_by, std::mem::take(&mut pipe.kept)))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Numbers that no other test has.
    const READ: RawFd = 1_000_001;
    const WRITE: RawFd = 1_000_002;

    #[test]
    fn what_is_kept_is_read_in_order_and_once() {
        assert!(!keep(WRITE, b"x"), "no such pipe");
        made(READ, WRITE);
        assert!(
            keep(WRITE, b"abcdef") && !keep(WRITE, b"g"),
            "one at a time"
        );
        assert_eq!(take(READ, 4).as_deref(), Some(&b"abcd"[..]));
        assert_eq!(take(READ, 4).as_deref(), Some(&b"ef"[..]));
        assert_eq!(take(READ, 4), None);
        assert!(!keep(WRITE, &[0; LONGEST + 1]));
        assert!(keep(WRITE, b"hi"));
        assert_eq!(spill(READ), Some((WRITE, b"hi".to_vec())));
        assert_eq!(spill(READ), None);
        closed(WRITE);
        assert!(!keep(WRITE, b"x"));
    }
}
