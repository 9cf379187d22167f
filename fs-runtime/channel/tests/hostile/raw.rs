//! The shared memory as an attacker sees it.

use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{MapFlags, ProtFlags};

/// A mapping that writes anywhere.
pub(crate) struct Raw {
    base: NonNull<AtomicU32>,
    len: usize,
}

// SAFETY: every access to the mapping is atomic, and this value alone unmaps it.
unsafe impl Sync for Raw {}

impl Raw {
    /// Maps the first `len` bytes, which the file has.
    pub(crate) fn map(fd: &OwnedFd, len: usize) -> Raw {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let anywhere = std::ptr::null_mut();
        // SAFETY: the kernel picks the address, so no existing mapping is touched.
        let base = unsafe { rustix::mm::mmap(anywhere, len, access, MapFlags::SHARED, fd, 0) };
        Raw {
            base: NonNull::new(base.unwrap().cast()).unwrap(),
            len,
        }
    }

    /// Writes one word at a multiple of 4.
    pub(crate) fn set(&self, offset: usize, value: u32) {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.len);
        // SAFETY: the assertion keeps the word inside the live mapping, and aligned.
        let word = unsafe { self.base.byte_add(offset).as_ref() };
        word.store(value, Ordering::Relaxed);
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: `base` and `len` are those of the mapping; nothing borrowed outlives it.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
