//! The memory of a waiting thread.
//!
//! By process_vm_readv(2) and process_vm_writev(2), which heed the protection of pages as
//! the kernel would in the call. `/proc/PID/mem` does not (`FOLL_FORCE` in `mem_rw`,
//! fs/proc/base.c): it reads what the program itself may not.

use std::io::{self, IoSlice, IoSliceMut};

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;
use thiserror::Error;

/// Longest string in bytes, with its NUL: `PATH_MAX` (linux/limits.h).
pub const MAX_STRING: usize = 4096;

const PAGE: usize = 4096;
/// Most paths are shorter; one read then does.
const FIRST_READ: usize = 256;

/// Why a thread's memory gave or took nothing. The kernel then answers the call, with
/// `EFAULT` or otherwise.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// It cannot be read or written there.
    #[error("the target's memory cannot be accessed: {0}")]
    Io(#[from] io::Error),
    /// Only the first bytes could be written: the kernel would have stopped there too.
    #[error("the target's memory ends before the bytes for it do")]
    Partly,
    /// No NUL within [`MAX_STRING`] bytes.
    #[error("a string of the target is longer than {MAX_STRING} bytes")]
    TooLong,
    /// There is no thread of that id.
    #[error("the target is gone")]
    Gone,
}

impl From<Errno> for MemoryError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ESRCH => MemoryError::Gone,
            errno => MemoryError::Io(errno.into()),
        }
    }
}

/// Copies the NUL-terminated string at `address` into `into`, without its NUL.
///
/// Reads stop at page ends, as the next page may be unmapped, and each byte is read once.
/// The caller checks afterwards that the thread still waited.
///
/// # Errors
/// [`MemoryError`].
pub fn read_string(tid: u32, address: u64, into: &mut Vec<u8>) -> Result<(), MemoryError> {
    into.clear();
    let mut at = usize::try_from(address).map_err(io::Error::other)?;
    let mut chunk = [0; PAGE];
    let mut want = FIRST_READ;
    while into.len() < MAX_STRING {
        let to_page_end = PAGE - at % PAGE;
        let len = want.min(to_page_end).min(MAX_STRING - into.len());
        let got = read(tid, at, &mut chunk[..len])?;
        if let Some(end) = chunk[..got].iter().position(|byte| *byte == 0) {
            into.extend_from_slice(&chunk[..end]);
            return Ok(());
        }
        into.extend_from_slice(&chunk[..got]);
        at += got;
        want = PAGE;
    }
    Err(MemoryError::TooLong)
}

/// Copies exactly `len` bytes at `address` into `into`.
///
/// # Errors
/// [`MemoryError`] when not all of them can be read.
pub fn read_bytes(
    tid: u32,
    address: u64,
    len: usize,
    into: &mut Vec<u8>,
) -> Result<(), MemoryError> {
    into.clear();
    into.resize(len, 0);
    if len > 0 {
        let at = usize::try_from(address).map_err(io::Error::other)?;
        if read(tid, at, into)? < len {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(())
}

/// Writes all of `bytes` at `address`. What is written cannot be taken back: the caller
/// checks before that the thread still waits.
///
/// # Errors
/// [`MemoryError`]; with [`MemoryError::Partly`] some were written, with others none.
pub fn write_bytes(tid: u32, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
    if bytes.is_empty() {
        return Ok(());
    }
    let remote = RemoteIoVec {
        base: usize::try_from(address).map_err(io::Error::other)?,
        len: bytes.len(),
    };
    let written = process_vm_writev(pid(tid)?, &[IoSlice::new(bytes)], &[remote])?;
    if written < bytes.len() {
        return Err(MemoryError::Partly);
    }
    Ok(())
}

/// One process_vm_readv(2); at least one byte.
fn read(tid: u32, at: usize, into: &mut [u8]) -> Result<usize, MemoryError> {
    let remote = RemoteIoVec {
        base: at,
        len: into.len(),
    };
    match process_vm_readv(pid(tid)?, &mut [IoSliceMut::new(into)], &[remote])? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        read => Ok(read),
    }
}

fn pid(tid: u32) -> io::Result<Pid> {
    i32::try_from(tid)
        .map(Pid::from_raw)
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect};
    use std::num::NonZero;

    fn me() -> u32 {
        std::process::id()
    }

    /// A page that the program itself may use so.
    #[allow(unsafe_code)]
    fn page(protection: ProtFlags) -> u64 {
        let len = NonZero::new(PAGE).unwrap();
        // SAFETY: the kernel picks the place; nothing is ever done with the page.
        let page = unsafe { mmap_anonymous(None, len, protection, MapFlags::MAP_PRIVATE) };
        page.unwrap().addr().get() as u64
    }

    #[test]
    fn strings_of_all_lengths() {
        let mut read = Vec::new();
        for len in [0, 1, FIRST_READ - 1, FIRST_READ, 4000, MAX_STRING - 1] {
            let mut text = vec![b'x'; len];
            text.push(0);
            read_string(me(), text.as_ptr() as u64, &mut read).unwrap();
            assert_eq!(read.len(), len);
        }
        let text = vec![b'x'; MAX_STRING];
        let long = read_string(me(), text.as_ptr() as u64, &mut read);
        assert!(matches!(long, Err(MemoryError::TooLong)), "{long:?}");
    }

    #[test]
    fn protection_is_heeded() {
        for address in [8, page(ProtFlags::PROT_NONE)] {
            let read = read_string(me(), address, &mut Vec::new());
            assert!(matches!(read, Err(MemoryError::Io(_))), "{read:?}");
        }
        for address in [8, page(ProtFlags::PROT_READ)] {
            let written = write_bytes(me(), address, b"x");
            assert!(matches!(written, Err(MemoryError::Io(_))), "{written:?}");
        }
        let both = page(ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
        write_bytes(me(), both, b"text").unwrap();
        let mut read = Vec::new();
        read_bytes(me(), both, 4, &mut read).unwrap();
        assert_eq!(read, b"text");
    }

    #[test]
    fn a_write_that_stops_is_told_from_one_that_never_began() {
        let len = NonZero::new(2 * PAGE).unwrap();
        let both = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        #[allow(unsafe_code)]
        // SAFETY: the kernel picks the place, and nothing else knows it.
        let pages = unsafe { mmap_anonymous(None, len, both, MapFlags::MAP_PRIVATE) }.unwrap();
        #[allow(unsafe_code)]
        // SAFETY: the second of the two pages just mapped, which nothing refers to.
        let closed = unsafe { mprotect(pages.byte_add(PAGE), PAGE, ProtFlags::PROT_NONE) };
        closed.unwrap();
        let end = (pages.addr().get() + PAGE) as u64;
        let written = write_bytes(me(), end - 3, b"text");
        assert!(matches!(written, Err(MemoryError::Partly)), "{written:?}");
        let written = write_bytes(me(), end, b"text");
        assert!(matches!(written, Err(MemoryError::Io(_))), "{written:?}");
        write_bytes(me(), end - 4, b"text").unwrap();
    }

    #[test]
    fn who_is_gone_is_told_from_a_bad_address() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let read = read_bytes(child.id(), 4096, 1, &mut Vec::new());
        assert!(matches!(read, Err(MemoryError::Gone)), "{read:?}");
    }
}
