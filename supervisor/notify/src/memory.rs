//! The memory of a waiting thread.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use thiserror::Error;

/// Longest string in bytes, with its NUL: `PATH_MAX` (linux/limits.h).
pub const MAX_STRING: usize = 4096;

const PAGE: usize = 4096;
/// Most paths are shorter; one read then does.
const FIRST_READ: usize = 512;

/// Why a thread's memory gave nothing. The kernel then answers the call, with `EFAULT` or
/// otherwise.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// It cannot be read or written there.
    #[error("the target's memory cannot be accessed: {0}")]
    Io(#[from] io::Error),
    /// No NUL within [`MAX_STRING`] bytes.
    #[error("a string of the target is longer than {MAX_STRING} bytes")]
    TooLong,
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
/// [`MemoryError::Io`] when not all of them can be read.
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

/// One process_vm_readv(2); at least one byte.
fn read(tid: u32, at: usize, into: &mut [u8]) -> io::Result<usize> {
    let tid = Pid::from_raw(i32::try_from(tid).map_err(io::Error::other)?);
    let remote = RemoteIoVec {
        base: at,
        len: into.len(),
    };
    match process_vm_readv(tid, &mut [IoSliceMut::new(into)], &[remote])? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => Ok(read),
    }
}

/// A handle on the memory of a process, bound to it when opened: it cannot end up in
/// another process that was given the same id.
#[derive(Debug)]
pub struct Memory(File);

impl Memory {
    /// Opens `/proc/TID/mem`. Check after this that the thread still waits.
    ///
    /// # Errors
    /// When the thread is gone or may not be accessed.
    pub fn open(tid: u32) -> io::Result<Memory> {
        File::options()
            .write(true)
            .open(format!("/proc/{tid}/mem"))
            .map(Memory)
    }

    /// Writes all of `bytes` at `address`.
    ///
    /// # Errors
    /// When not all of them can be written; some may have been.
    pub fn write(&self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, address)
    }
}
