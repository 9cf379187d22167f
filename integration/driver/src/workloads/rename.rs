//! Renaming, within a directory and across two.

use std::fs;

use super::{Workload, files, on_named_pairs, on_pairs};
use crate::sys;

pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "rename",
        prepare: files,
        start: |place, ops| on_pairs(place, ("f", "g"), ops, |from, to| sys::rename(from, to)),
    },
    Workload {
        name: "rename-replace",
        prepare: |place, ops| {
            place.make_files("f", ops)?;
            place.make_files("g", ops)
        },
        start: |place, ops| on_pairs(place, ("f", "g"), ops, |from, to| sys::rename(from, to)),
    },
    Workload {
        name: "rename-across",
        prepare: |place, ops| {
            fs::create_dir(place.path("from"))?;
            fs::create_dir(place.path("to"))?;
            place.make_files("from/f", ops)
        },
        start: |place, ops| {
            on_pairs(place, ("from/f", "to/f"), ops, |from, to| {
                sys::rename(from, to)
            })
        },
    },
    Workload {
        name: "renameat",
        prepare: files,
        start: |place, ops| {
            on_named_pairs(place, ("f", "g"), ops, |dir, from, to| {
                sys::renameat(dir, from, to)
            })
        },
    },
    Workload {
        name: "renameat2-noreplace",
        prepare: files,
        start: |place, ops| {
            on_named_pairs(place, ("f", "g"), ops, |dir, from, to| {
                sys::renameat2(dir, from, to, libc::RENAME_NOREPLACE)
            })
        },
    },
    Workload {
        name: "renameat2-exchange",
        prepare: |place, ops| {
            place.make_files("f", ops)?;
            place.make_files("g", ops)
        },
        start: |place, ops| {
            on_named_pairs(place, ("f", "g"), ops, |dir, from, to| {
                sys::renameat2(dir, from, to, libc::RENAME_EXCHANGE)
            })
        },
    },
];
