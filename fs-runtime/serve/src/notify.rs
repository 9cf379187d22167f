//! Notifications: those that the bypass door sends to the kernel, and those of the daemon,
//! which the bypass door must hear of too.

use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use finesse_fuse::INodeNo;
use finesse_fuse::doors::{Doors, Sink};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::abi::{NotifyDelete, NotifyInvalEntry, NotifyInvalInode, OUT_HEADER, OutHeader, notify};
use crate::device;

const NONE: RawFd = -1;

/// How long closing waits for a notification that is about to be written.
const CLOSING: Duration = Duration::from_millis(50);

/// The descriptor to which notifications go, while it is open.
///
/// The daemon may close it at any time, and its number may then mean another file. So
/// closing withdraws the number first and waits until nobody is about to use it. Who is
/// inside the system call by then holds the file and not the number; to tell this from
/// being about to, the wait has a limit.
#[derive(Debug)]
pub(crate) struct Notifier {
    device: AtomicI32,
    writers: AtomicUsize,
}

impl Notifier {
    pub(crate) fn new(device: RawFd) -> Arc<Self> {
        Arc::new(Notifier {
            device: AtomicI32::new(device),
            writers: AtomicUsize::new(0),
        })
    }

    /// The daemon is about to close the descriptor.
    pub(crate) fn close(&self, device: RawFd) {
        // SeqCst, all four: a writer either sees that there is none or is seen here.
        let mine = self
            .device
            .compare_exchange(device, NONE, Ordering::SeqCst, Ordering::SeqCst);
        let end = Instant::now() + CLOSING;
        while mine.is_ok() && self.writers.load(Ordering::SeqCst) != 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    fn send<T: IntoBytes + Immutable>(&self, code: i32, body: &T, name: &OsStr) -> io::Result<()> {
        // A name ends with a NUL, a notification without a name does not.
        let (name, end) = match name.as_bytes() {
            [] => (&[][..], &[][..]),
            name => (name, &[0][..]),
        };
        let len = OUT_HEADER + size_of::<T>() + name.len() + end.len();
        let header = OutHeader {
            len: u32::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?,
            error: code,
            unique: 0,
        };
        let parts = [header.as_bytes(), body.as_bytes(), name, end].map(IoSlice::new);
        self.writers.fetch_add(1, Ordering::SeqCst);
        let sent = match self.device.load(Ordering::SeqCst) {
            NONE => Err(io::ErrorKind::NotConnected.into()),
            device => rustix::io::writev(device::borrow(device), &parts)
                .map(drop)
                .map_err(io::Error::from),
        };
        self.writers.fetch_sub(1, Ordering::SeqCst);
        sent
    }
}

/// What coherence sends its notifications to.
#[derive(Debug)]
pub(crate) struct ToKernel(pub(crate) Arc<Notifier>);

impl Sink for ToKernel {
    fn inval_entry(&self, parent: INodeNo, name: &OsStr) -> io::Result<()> {
        let body = NotifyInvalEntry {
            parent: parent.0,
            namelen: namelen(name)?,
            flags: 0,
        };
        self.0.send(notify::INVAL_ENTRY, &body, name)
    }

    fn delete(&self, parent: INodeNo, child: INodeNo, name: &OsStr) -> io::Result<()> {
        let body = NotifyDelete {
            parent: parent.0,
            child: child.0,
            namelen: namelen(name)?,
            padding: 0,
        };
        self.0.send(notify::DELETE, &body, name)
    }

    fn inval_inode(&self, node: INodeNo, offset: i64, len: i64) -> io::Result<()> {
        let body = NotifyInvalInode {
            ino: node.0,
            off: offset,
            len,
        };
        self.0.send(notify::INVAL_INODE, &body, OsStr::new(""))
    }
}

fn namelen(name: &OsStr) -> io::Result<u32> {
    u32::try_from(name.len()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// The daemon sends a notification of its own.
pub(crate) fn heard(doors: &Doors, code: i32, body: &[u8]) {
    match code {
        notify::INVAL_INODE | notify::STORE => {
            // Both begin with the node.
            if let Ok((node, _)) = u64::read_from_prefix(body) {
                doors.attr_changed(INodeNo(node));
            }
        }
        notify::INVAL_ENTRY => {
            if let Ok((out, rest)) = NotifyInvalEntry::read_from_prefix(body) {
                name_heard(doors, out.parent, rest, out.namelen);
            }
        }
        notify::DELETE => {
            if let Ok((out, rest)) = NotifyDelete::read_from_prefix(body) {
                name_heard(doors, out.parent, rest, out.namelen);
                doors.attr_changed(INodeNo(out.child));
            }
        }
        _ => {}
    }
}

fn name_heard(doors: &Doors, parent: u64, rest: &[u8], len: u32) {
    if let Some(name) = rest.get(..len as usize) {
        doors.name_changed(INodeNo(parent), OsStr::from_bytes(name));
    }
}
