//! Removing names.

use super::{Workload, files, on_names, on_paths};
use crate::sys;

pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "unlink",
        prepare: files,
        start: |place, ops| on_paths(place, "f", ops, |path| sys::unlink(path)),
    },
    Workload {
        name: "unlinkat",
        prepare: files,
        start: |place, ops| on_names(place, "f", ops, |dir, name| sys::unlinkat(dir, name, 0)),
    },
    // The kernel holds every name that goes: the worst case for a bypass, which has to tell it.
    Workload {
        name: "unlink-known",
        prepare: files,
        start: |place, ops| {
            place
                .paths("f", ops)?
                .iter()
                .try_for_each(|path| sys::stat(path))?;
            on_paths(place, "f", ops, |path| sys::unlink(path))
        },
    },
    Workload {
        name: "rmdir",
        prepare: |place, ops| place.make_directories("d", ops),
        start: |place, ops| on_paths(place, "d", ops, |path| sys::rmdir(path)),
    },
    Workload {
        name: "unlinkat-dir",
        prepare: |place, ops| place.make_directories("d", ops),
        start: |place, ops| {
            on_names(place, "d", ops, |dir, name| {
                sys::unlinkat(dir, name, libc::AT_REMOVEDIR)
            })
        },
    },
];
