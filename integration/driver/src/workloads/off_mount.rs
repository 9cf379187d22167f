//! Work in a directory that belongs to no mount of ours.

use std::ffi::CString;
use std::io;

use super::{Step, Workload, nothing};
use crate::place::{Place, c_path};
use crate::sys;

pub(super) const WORKLOADS: &[Workload] = &[
    // Calls that no filter of ours traps.
    Workload {
        name: "off-mount",
        prepare: |place, _| place.make_filled("f", 1, 4096),
        start: untrapped,
    },
    // Calls of the kinds that are trapped, answered by the kernel in the end.
    Workload {
        name: "off-mount-trapped",
        prepare: nothing,
        start: trapped,
    },
];

fn untrapped(place: &Place, _: usize) -> io::Result<Step> {
    let path: CString = place.paths("f", 1)?.remove(0);
    let mut buffer = [0; 4096];
    Ok(Box::new(move |_| {
        sys::getppid();
        sys::stat(&path)?;
        let file = sys::open(&path, libc::O_RDONLY, 0)?;
        sys::read(&file, &mut buffer)?;
        sys::close(file)
    }))
}

fn trapped(place: &Place, _: usize) -> io::Result<Step> {
    let path = c_path(&place.path("d"))?;
    // Three calls in turn, one an operation; they leave the directory as they found it.
    Ok(Box::new(move |index| match index % 3 {
        0 => sys::mkdir(&path, 0o700),
        1 => sys::chmod(&path, 0o755),
        _ => sys::rmdir(&path),
    }))
}
