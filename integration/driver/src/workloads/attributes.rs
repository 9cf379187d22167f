//! Changing attributes, extended ones too.

use std::ffi::CStr;

use super::{Workload, files, on_names, on_paths};
use crate::sys;

/// The extended attribute that the workloads set, read and remove.
pub(super) const XATTR: &CStr = c"user.finesse";

pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "chmod",
        prepare: files,
        start: |place, ops| on_paths(place, "f", ops, |path| sys::chmod(path, 0o600)),
    },
    Workload {
        name: "fchmodat",
        prepare: files,
        start: |place, ops| on_names(place, "f", ops, |dir, name| sys::fchmodat(dir, name, 0o600)),
    },
    Workload {
        name: "fchmodat2",
        prepare: files,
        start: |place, ops| {
            on_names(place, "f", ops, |dir, name| {
                sys::fchmodat2(dir, name, 0o600, 0)
            })
        },
    },
    Workload {
        name: "chown",
        prepare: files,
        start: |place, ops| {
            let (user, group) = sys::user_and_group();
            on_paths(place, "f", ops, move |path| sys::chown(path, user, group))
        },
    },
    Workload {
        name: "lchown",
        prepare: files,
        start: |place, ops| {
            let (user, group) = sys::user_and_group();
            on_paths(place, "f", ops, move |path| sys::lchown(path, user, group))
        },
    },
    Workload {
        name: "fchownat",
        prepare: files,
        start: |place, ops| {
            let (user, group) = sys::user_and_group();
            on_names(place, "f", ops, move |dir, name| {
                sys::fchownat(dir, name, user, group, 0)
            })
        },
    },
    Workload {
        name: "truncate",
        prepare: |place, ops| place.make_filled("f", ops, 4096),
        start: |place, ops| on_paths(place, "f", ops, |path| sys::truncate(path, 100)),
    },
    Workload {
        name: "utime",
        prepare: files,
        start: |place, ops| on_paths(place, "f", ops, |path| sys::utime(path, 1_000_000_000)),
    },
    Workload {
        name: "utimensat",
        prepare: files,
        start: |place, ops| {
            on_names(place, "f", ops, |dir, name| {
                sys::utimensat(dir, name, 1_000_000_000)
            })
        },
    },
    Workload {
        name: "setxattr",
        prepare: files,
        start: |place, ops| on_paths(place, "f", ops, |path| sys::setxattr(path, XATTR, b"value")),
    },
    Workload {
        name: "removexattr",
        prepare: with_xattr,
        start: |place, ops| on_paths(place, "f", ops, |path| sys::removexattr(path, XATTR)),
    },
];

/// Files that carry [`XATTR`].
pub(super) fn with_xattr(place: &crate::place::Place, ops: usize) -> std::io::Result<()> {
    files(place, ops)?;
    place
        .paths("f", ops)?
        .iter()
        .try_for_each(|path| sys::setxattr(path, XATTR, b"value"))
}
