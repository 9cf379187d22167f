//! Calls on open files: never trapped, they show what being watched costs.

use std::ffi::CString;
use std::io;

use super::{Workload, nothing, on_paths};
use crate::sys;

/// Bytes of a file, and of one read or write.
const BYTES: usize = 4096;

pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "open-read-close",
        prepare: |place, ops| place.make_filled("f", ops, BYTES),
        start: |place, ops| {
            let mut buffer = vec![0; BYTES];
            on_paths(place, "f", ops, move |path| {
                open_read_close(path, &mut buffer)
            })
        },
    },
    Workload {
        name: "create-write-close",
        prepare: nothing,
        start: |place, ops| on_paths(place, "f", ops, create_write_close),
    },
];

fn open_read_close(path: &CString, buffer: &mut [u8]) -> io::Result<()> {
    let file = sys::open(path, libc::O_RDONLY, 0)?;
    sys::read(&file, buffer)?;
    sys::close(file)
}

#[allow(clippy::ptr_arg)] // The signature that `on_paths` calls.
fn create_write_close(path: &CString) -> io::Result<()> {
    let file = sys::open(path, libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY, 0o644)?;
    sys::write(&file, &[b'f'; BYTES])?;
    sys::close(file)
}
