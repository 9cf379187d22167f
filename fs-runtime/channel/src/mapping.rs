//! The mapped memory: the one place with raw pointers.
//!
//! Every access is an atomic one (relaxed for payload), because the peer may write at
//! any time; so there is no data race to speak of and no reference into payload.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use thiserror::Error;

use crate::bell::Bell;
use crate::completions::Completions;
use crate::doorbell::Doorbell;
use crate::geometry::{Geometry, GeometryError, MAGIC};
use crate::placement::Placement;

/// Offsets of the header's fields. The words that move have cache lines of their own.
mod header {
    pub(super) const MAGIC: usize = 0;
    pub(super) const SLOTS: usize = 8;
    pub(super) const REQUEST_MAX: usize = 12;
    pub(super) const REPLY_MAX: usize = 16;
    pub(super) const BELL: usize = 128;
    pub(super) const SLEEPERS: usize = 192;
    pub(super) const SPINNERS: usize = 256;
    pub(super) const COMPLETIONS: usize = 320;
    pub(super) const CLIENT_CPU: usize = 384;
    pub(super) const SERVER_CPU: usize = 448;
}

/// What statfs(2) calls the kernel's own tmpfs, where ordinary memfds live.
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// Why a descriptor from a peer is no channel.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A system call failed.
    #[error("cannot map the channel: {0}")]
    Io(#[from] io::Error),
    /// Not ordinary memory: huge pages, for instance, run out, which is SIGBUS.
    #[error("the channel's memory is not of ordinary pages")]
    NotPlain,
    /// The memory could still change its size under us.
    #[error("the channel's memory is not sealed against resizing")]
    NotSealed,
    /// The header is not a channel's.
    #[error("the channel's header is not of this version")]
    BadMagic,
    /// The header promises something impossible.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The header promises more than there is.
    #[error("the channel's memory has {actual} bytes, its header speaks of {promised}")]
    Size {
        /// Bytes there are.
        actual: u64,
        /// Bytes the header needs.
        promised: usize,
    },
}

/// One mapping of a channel's memory.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
    geometry: Geometry,
}

// SAFETY: the mapping is owned by this value alone (unmapped in its drop), and every
// access to it is atomic.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Makes new memory of the geometry's size, sealed against resizing.
    pub(crate) fn create(geometry: Geometry) -> io::Result<(Self, OwnedFd)> {
        let geometry = geometry.check().map_err(io::Error::other)?;
        let fd = rustix::fs::memfd_create(
            "finesse-channel",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )?;
        rustix::fs::ftruncate(&fd, geometry.total() as u64)?;
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let mapping = Self::map(&fd, geometry)?;
        mapping
            .atomic_u64(header::MAGIC)
            .store(MAGIC, Ordering::Relaxed);
        for (offset, value) in [
            (header::SLOTS, geometry.slots),
            (header::REQUEST_MAX, geometry.request_max),
            (header::REPLY_MAX, geometry.reply_max),
        ] {
            mapping.atomic_u32(offset).store(value, Ordering::Relaxed);
        }
        Ok((mapping, fd))
    }

    /// Maps memory that a peer made, after checking that it is what it should be.
    pub(crate) fn open(fd: &OwnedFd) -> Result<Self, OpenError> {
        let seals = rustix::fs::fcntl_get_seals(fd).map_err(io::Error::from)?;
        // A file that could shrink would turn an access into SIGBUS.
        if !seals.contains(SealFlags::SHRINK | SealFlags::GROW) {
            return Err(OpenError::NotSealed);
        }
        let file_system = rustix::fs::fstatfs(fd).map_err(io::Error::from)?.f_type;
        if file_system != TMPFS_MAGIC {
            return Err(OpenError::NotPlain);
        }
        let size = rustix::fs::fstat(fd).map_err(io::Error::from)?.st_size;
        let actual = u64::try_from(size).unwrap_or(0);
        let smallest = Geometry {
            slots: 1,
            request_max: 1,
            reply_max: 1,
        };
        if actual < smallest.total() as u64 {
            return Err(OpenError::Size {
                actual,
                promised: smallest.total(),
            });
        }
        let geometry = Self::map(fd, smallest)?.read_header()?;
        if (geometry.total() as u64) > actual {
            return Err(OpenError::Size {
                actual,
                promised: geometry.total(),
            });
        }
        Ok(Self::map(fd, geometry)?)
    }

    fn read_header(&self) -> Result<Geometry, OpenError> {
        if self.atomic_u64(header::MAGIC).load(Ordering::Relaxed) != MAGIC {
            return Err(OpenError::BadMagic);
        }
        let word = |offset| self.atomic_u32(offset).load(Ordering::Relaxed);
        Ok(Geometry {
            slots: word(header::SLOTS),
            request_max: word(header::REQUEST_MAX),
            reply_max: word(header::REPLY_MAX),
        }
        .check()?)
    }

    /// Maps the whole of `geometry`, which the caller has found to lie within the file.
    fn map(fd: impl AsFd, geometry: Geometry) -> io::Result<Self> {
        let len = geometry.total();
        // SAFETY: the kernel picks the address (null hint, no MAP_FIXED), so no existing
        // mapping is touched.
        let base = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd,
                0,
            )?
        };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Mapping {
            base,
            len,
            geometry,
        })
    }

    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The words that server threads sleep on.
    pub(crate) fn bell(&self) -> Bell<'_> {
        Bell {
            bell: self.atomic_u32(header::BELL),
            sleepers: self.atomic_u32(header::SLEEPERS),
            spinners: self.atomic_u32(header::SPINNERS),
        }
    }

    /// Where the two sides run.
    pub(crate) fn placement(&self) -> Placement<'_> {
        Placement {
            client: self.atomic_u32(header::CLIENT_CPU),
            server: self.atomic_u32(header::SERVER_CPU),
        }
    }

    /// The word that a client thread sleeps on for several slots.
    pub(crate) fn completions(&self) -> Completions<'_> {
        Completions(self.atomic_u32(header::COMPLETIONS))
    }

    /// State and waiter words of a slot.
    pub(crate) fn doorbell(&self, slot: u32) -> Doorbell<'_> {
        let offset = self.geometry.doorbell(slot);
        Doorbell {
            state: self.atomic_u32(offset),
            waiter: self.atomic_u32(offset + 4),
        }
    }

    /// Writes a request; `bytes` is at most `request_max` long.
    pub(crate) fn write_request(&self, slot: u32, bytes: &[u8]) {
        self.write(
            self.geometry.request(slot),
            self.geometry.request_max,
            bytes,
        );
    }

    /// Writes a reply; `bytes` is at most `reply_max` long.
    pub(crate) fn write_reply(&self, slot: u32, bytes: &[u8]) {
        self.write(self.geometry.reply(slot), self.geometry.reply_max, bytes);
    }

    /// Copies a request out; false when its length is out of bounds.
    pub(crate) fn read_request(&self, slot: u32, into: &mut Vec<u8>) -> bool {
        self.read(self.geometry.request(slot), self.geometry.request_max, into)
    }

    /// Copies a reply out; false when its length is out of bounds.
    pub(crate) fn read_reply(&self, slot: u32, into: &mut Vec<u8>) -> bool {
        self.read(self.geometry.reply(slot), self.geometry.reply_max, into)
    }

    fn write(&self, offset: usize, max: u32, bytes: &[u8]) {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        assert!(len <= max, "payload of {len} bytes in a slot of {max}");
        self.atomic_u32(offset).store(len, Ordering::Relaxed);
        let (words, tail) = bytes.as_chunks::<8>();
        for (index, word) in words.iter().enumerate() {
            self.atomic_u64(offset + 8 + index * 8)
                .store(u64::from_ne_bytes(*word), Ordering::Relaxed);
        }
        for (index, byte) in tail.iter().enumerate() {
            self.atomic_u8(offset + 8 + words.len() * 8 + index)
                .store(*byte, Ordering::Relaxed);
        }
    }

    fn read(&self, offset: usize, max: u32, into: &mut Vec<u8>) -> bool {
        into.clear();
        let len = self.atomic_u32(offset).load(Ordering::Relaxed);
        if len > max {
            return false;
        }
        let len = len as usize;
        into.reserve(len.next_multiple_of(8));
        // Whole words: the area is padded to a page, so the last one lies inside it.
        for index in 0..len.div_ceil(8) {
            let word = self
                .atomic_u64(offset + 8 + index * 8)
                .load(Ordering::Relaxed);
            into.extend_from_slice(&word.to_ne_bytes());
        }
        into.truncate(len);
        true
    }

    fn at<T>(&self, offset: usize) -> *mut T {
        // Checked always: it is the bound that keeps a wrong offset inside the mapping.
        assert!(offset.is_multiple_of(align_of::<T>()) && offset + size_of::<T>() <= self.len);
        // SAFETY: the assertion above keeps the offset inside the mapping of `len` bytes.
        unsafe { self.base.as_ptr().add(offset).cast() }
    }

    fn atomic_u8(&self, offset: usize) -> &AtomicU8 {
        // SAFETY: `at` gives an aligned pointer into the live mapping; all accesses to
        // the mapping are atomic; the lifetime is that of `self`, which unmaps it.
        unsafe { AtomicU8::from_ptr(self.at(offset)) }
    }

    fn atomic_u32(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: as in `atomic_u8`.
        unsafe { AtomicU32::from_ptr(self.at(offset)) }
    }

    fn atomic_u64(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: as in `atomic_u8`.
        unsafe { AtomicU64::from_ptr(self.at(offset)) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `base` and `len` are those of the mapping made in `map`; nothing
        // borrowed from `self` outlives it.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
