//! A big tree, as in the paper: files of 4 KiB, evenly in 100 directories.

use std::ffi::CString;
use std::fs;
use std::io;

use super::Workload;
use crate::place::{Place, c_path};
use crate::sys;

/// Directories of the tree.
pub(super) const DIRECTORIES: usize = 100;
const BYTES: usize = 4096;

pub(super) const WORKLOADS: &[Workload] = &[Workload {
    name: "unlink-tree",
    prepare: make_tree,
    start: |place, ops| {
        let paths = tree_paths(place, ops)?;
        Ok(Box::new(move |index| sys::unlink(&paths[index])))
    },
}];

fn name(index: usize, count: usize) -> String {
    let per_directory = count.div_ceil(DIRECTORIES);
    format!(
        "dir{:03}/file{:06}",
        index / per_directory,
        index % per_directory
    )
}

fn make_tree(place: &Place, count: usize) -> io::Result<()> {
    (0..DIRECTORIES).try_for_each(|index| fs::create_dir(place.path(&format!("dir{index:03}"))))?;
    let content = [b'f'; BYTES];
    (0..count).try_for_each(|index| fs::write(place.path(&name(index, count)), content))
}

fn tree_paths(place: &Place, count: usize) -> io::Result<Vec<CString>> {
    (0..count)
        .map(|index| c_path(&place.path(&name(index, count))))
        .collect()
}
