//! The memory of a waiting thread.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use thiserror::Error;

/// Longest string in bytes, with its NUL: `PATH_MAX` (linux/limits.h).
pub const MAX_STRING: usize = 4096;

const PAGE: usize = 4096;
/// Most paths are shorter; one read then does.
const FIRST_READ: usize = 256;

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
    /// The program whose memory it was has ended, or its process runs another one.
    #[error("the target runs this program no longer")]
    Gone,
}

/// A handle on the memory of a process: proc_pid_mem(5).
///
/// It is bound to the program that the process runs when it is opened (`mem_open`,
/// fs/proc/base.c): after an exec, and in another process that was given the same id, it
/// reads as [`MemoryError::Gone`].
#[derive(Debug)]
pub struct Memory(File);

impl Memory {
    /// Opens `/proc/TID/mem`. Check after this that the thread still waits.
    ///
    /// # Errors
    /// When the thread is gone or may not be accessed.
    pub fn open(tid: u32) -> io::Result<Memory> {
        File::options()
            .read(true)
            .write(true)
            .open(format!("/proc/{tid}/mem"))
            .map(Memory)
    }

    /// Copies the NUL-terminated string at `address` into `into`, without its NUL.
    ///
    /// Reads stop at page ends, as the next page may be unmapped, and each byte is read
    /// once. The caller checks that the thread that waits is one of this process.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn read_string(&self, address: u64, into: &mut Vec<u8>) -> Result<(), MemoryError> {
        into.clear();
        let mut at = usize::try_from(address).map_err(io::Error::other)?;
        let mut chunk = [0; PAGE];
        let mut want = FIRST_READ;
        while into.len() < MAX_STRING {
            let to_page_end = PAGE - at % PAGE;
            let len = want.min(to_page_end).min(MAX_STRING - into.len());
            let got = self.read(at, &mut chunk[..len])?;
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
        &self,
        address: u64,
        len: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), MemoryError> {
        into.clear();
        into.resize(len, 0);
        if len > 0 {
            let at = usize::try_from(address).map_err(io::Error::other)?;
            if self.read(at, into)? < len {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(())
    }

    /// One pread(2); at least one byte. The memory of a program that has ended reads as
    /// nothing, without an error (`mem_rw`).
    fn read(&self, at: usize, into: &mut [u8]) -> Result<usize, MemoryError> {
        match self.0.read_at(into, at as u64)? {
            0 => Err(MemoryError::Gone),
            read => Ok(read),
        }
    }

    /// Writes all of `bytes` at `address`.
    ///
    /// # Errors
    /// When not all of them can be written; some may have been.
    pub fn write(&self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Memory {
        Memory::open(std::process::id()).unwrap()
    }

    #[test]
    fn strings_of_all_lengths() {
        let mut read = Vec::new();
        for len in [0, 1, FIRST_READ - 1, FIRST_READ, 4000, MAX_STRING - 1] {
            let mut text = vec![b'x'; len];
            text.push(0);
            own().read_string(text.as_ptr() as u64, &mut read).unwrap();
            assert_eq!(read.len(), len);
        }
        let text = vec![b'x'; MAX_STRING];
        let long = own().read_string(text.as_ptr() as u64, &mut read);
        assert!(matches!(long, Err(MemoryError::TooLong)), "{long:?}");
    }

    #[test]
    fn nothing_is_read_where_nothing_is() {
        let unmapped = own().read_string(8, &mut Vec::new());
        assert!(matches!(unmapped, Err(MemoryError::Io(_))), "{unmapped:?}");
        let partly = own().read_bytes(u64::MAX - 100, 50, &mut Vec::new());
        assert!(matches!(partly, Err(MemoryError::Io(_))), "{partly:?}");
    }

    #[test]
    fn the_memory_of_an_ended_program_is_gone() {
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .spawn()
            .unwrap();
        let memory = Memory::open(child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let read = memory.read_bytes(4096, 1, &mut Vec::new());
        assert!(matches!(read, Err(MemoryError::Gone)), "{read:?}");
    }
}
