//! Which notifications a process has received and not answered yet, in memory that
//! outlives it.
//!
//! The kernel writes a notification straight into its entry, so there is no moment at
//! which a killed receiver has one that the ledger does not show.

use std::io;
use std::num::{NonZeroU64, NonZeroUsize};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Calls that may be under way at once; more wait in the kernel until one is answered.
pub(crate) const ENTRIES: usize = 4096;

/// One notification under way. `notif` comes first: the kernel writes there.
#[repr(C, align(128))]
pub(crate) struct Entry {
    notif: std::cell::UnsafeCell<libc::seccomp_notif>,
    /// Where the call went once it may have had an effect; zero before.
    trace: AtomicU64,
}

/// Shared anonymous memory: a process that forks shares it with its child.
#[derive(Debug)]
pub struct Ledger {
    entries: NonNull<Entry>,
}

// SAFETY: the mapping lives as long as the value; `Entry`'s fields are accessed as the
// methods below say.
unsafe impl Send for Ledger {}
// SAFETY: as above; `notif` is only touched by the entry's one owner (`Listener` hands
// entries out once) or, after that process has died, by the guardian.
unsafe impl Sync for Ledger {}

impl Ledger {
    /// Makes an empty ledger; to be called before the fork.
    ///
    /// # Errors
    /// When mmap(2) fails.
    pub fn new() -> io::Result<Ledger> {
        // SAFETY: anonymous memory at an address of the kernel's choice.
        let base = unsafe {
            mmap_anonymous(
                None,
                NonZeroUsize::new(Self::LEN).ok_or(io::ErrorKind::InvalidInput)?,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
            )?
        };
        Ok(Ledger {
            entries: base.cast(),
        })
    }

    const LEN: usize = ENTRIES * size_of::<Entry>();

    fn entry(&self, index: usize) -> &Entry {
        assert!(index < ENTRIES);
        // SAFETY: in bounds by the assertion; the mapping is zeroed memory, which is a
        // valid `Entry`, page-aligned, and lives as long as `self`.
        unsafe { self.entries.add(index).as_ref() }
    }

    /// Where the kernel shall write the next notification; zeroed, as it demands.
    pub(crate) fn prepare(&self, index: usize) -> *mut libc::seccomp_notif {
        let entry = self.entry(index);
        entry.trace.store(0, Ordering::Release);
        let notif = entry.notif.get();
        // SAFETY: only the entry's owner gets here (see `Sync`); zeroes are valid.
        unsafe { notif.write(std::mem::zeroed()) };
        notif
    }

    /// A copy of what the kernel wrote.
    pub(crate) fn read(&self, index: usize) -> libc::seccomp_notif {
        // SAFETY: only the entry's owner gets here, after the ioctl has returned, or whoever
        // takes over from it when it is dead; every value is a valid `seccomp_notif`.
        unsafe { self.entry(index).notif.get().read() }
    }

    /// Where a call that may have an effect from now on goes.
    pub(crate) fn set_trace(&self, index: usize, trace: Option<NonZeroU64>) {
        // Pairs with the load in `orphans`, across the death of this process.
        let value = trace.map_or(0, NonZeroU64::get);
        self.entry(index).trace.store(value, Ordering::Release);
    }

    /// The notification is answered.
    pub(crate) fn clear(&self, index: usize) {
        self.id(index).store(0, Ordering::Release);
    }

    fn id(&self, index: usize) -> &AtomicU64 {
        // SAFETY: `id` is the first field of `seccomp_notif`, 8-byte aligned by the
        // entry's alignment, in live memory; the owner is not in `read` or `prepare`.
        unsafe { AtomicU64::from_ptr(self.entry(index).notif.get().cast()) }
    }

    /// Notifications that a dead receiver left behind: entry, id, and trace of those that
    /// may have had an effect. Call only once that process is gone.
    pub(crate) fn orphans(&self) -> impl Iterator<Item = (usize, u64, Option<NonZeroU64>)> {
        (0..ENTRIES).filter_map(|index| match self.id(index).load(Ordering::Acquire) {
            0 => None,
            id => {
                let trace = self.entry(index).trace.load(Ordering::Acquire);
                Some((index, id, NonZeroU64::new(trace)))
            }
        })
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, of the same length; no borrow outlives it.
        let _ = unsafe { munmap(self.entries.cast(), Self::LEN) };
    }
}
