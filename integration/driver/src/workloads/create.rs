//! Making names.

use super::{Workload, files, nothing, on_named_pairs, on_names, on_pairs, on_paths};
use crate::sys;

pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "mkdir",
        prepare: nothing,
        start: |place, ops| on_paths(place, "d", ops, |path| sys::mkdir(path, 0o755)),
    },
    Workload {
        name: "mkdirat",
        prepare: nothing,
        start: |place, ops| on_names(place, "d", ops, |dir, name| sys::mkdirat(dir, name, 0o755)),
    },
    Workload {
        name: "mknod-file",
        prepare: nothing,
        start: |place, ops| {
            on_paths(place, "n", ops, |path| {
                sys::mknod(path, libc::S_IFREG | 0o644, 0)
            })
        },
    },
    Workload {
        name: "mknod-fifo",
        prepare: nothing,
        start: |place, ops| {
            on_paths(place, "p", ops, |path| {
                sys::mknod(path, libc::S_IFIFO | 0o644, 0)
            })
        },
    },
    Workload {
        name: "mknodat",
        prepare: nothing,
        start: |place, ops| {
            on_names(place, "n", ops, |dir, name| {
                sys::mknodat(dir, name, libc::S_IFREG | 0o644, 0)
            })
        },
    },
    Workload {
        name: "link",
        prepare: files,
        start: |place, ops| on_pairs(place, ("f", "l"), ops, |from, to| sys::link(from, to)),
    },
    Workload {
        name: "linkat",
        prepare: files,
        start: |place, ops| {
            on_named_pairs(place, ("f", "l"), ops, |dir, from, to| {
                sys::linkat(dir, from, to)
            })
        },
    },
    Workload {
        name: "symlink",
        prepare: nothing,
        start: |place, ops| on_paths(place, "s", ops, |path| sys::symlink(c"some/target", path)),
    },
    Workload {
        name: "symlinkat",
        prepare: nothing,
        start: |place, ops| {
            on_names(place, "s", ops, |dir, name| {
                sys::symlinkat(c"some/target", dir, name)
            })
        },
    },
];
