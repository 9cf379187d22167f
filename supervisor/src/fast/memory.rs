//! A target's memory, where protection is not to be heeded.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Why;

/// `/proc/TID/mem`: writes reach text too (`FOLL_FORCE`), which is then the process's own.
#[derive(Debug)]
pub(super) struct Memory(File);

impl Memory {
    pub(super) fn open(tid: u32) -> io::Result<Self> {
        let path = format!("/proc/{tid}/mem");
        File::options()
            .read(true)
            .write(true)
            .open(path)
            .map(Memory)
    }

    pub(super) fn read(&self, address: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, address)
    }

    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, address)
    }
}

/// Why [`Memory::open`] failed, in words.
pub(super) fn not_opened(error: &io::Error) -> Why {
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => "it is not dumpable, or its memory is closed to us",
        _ => "its memory cannot be opened",
    }
}

/// Why [`Memory::write`] failed, in words: where the kernel does not force writes, what is not
/// writable is an I/O error (`mem_rw`, fs/proc/base.c).
pub(super) fn not_written(error: &io::Error) -> Why {
    match error.raw_os_error() {
        Some(libc::EIO) => "the kernel forces no writes (proc_mem.force_override)",
        _ => "its memory cannot be written",
    }
}
