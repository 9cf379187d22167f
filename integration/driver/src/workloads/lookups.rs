//! Asking, without changing anything. Unless the name says *warm*, every name is asked for once.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;

use super::attributes::{XATTR, with_xattr};
use super::{Step, Workload, files, nothing, on_names, on_paths};
use crate::place::{Place, c_path};
use crate::sys;

/// Names that the repeating workloads go round.
const ROUND: usize = 64;
/// Directories between the working directory and the files of `stat-deep`.
const LEVELS: usize = 8;

pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "stat",
        prepare: files,
        start: |place, ops| on_paths(place, "f", ops, |path| sys::stat(path)),
    },
    Workload {
        name: "lstat",
        prepare: files,
        start: |place, ops| on_paths(place, "f", ops, |path| sys::lstat(path)),
    },
    Workload {
        name: "newfstatat",
        prepare: files,
        start: |place, ops| on_names(place, "f", ops, |dir, name| sys::newfstatat(dir, name)),
    },
    Workload {
        name: "statx",
        prepare: files,
        start: |place, ops| on_paths(place, "f", ops, |path| sys::statx(path)),
    },
    Workload {
        name: "access",
        prepare: files,
        start: |place, ops| on_paths(place, "f", ops, |path| sys::access(path, libc::R_OK)),
    },
    Workload {
        name: "faccessat",
        prepare: files,
        start: |place, ops| {
            on_names(place, "f", ops, |dir, name| {
                sys::faccessat(dir, name, libc::R_OK)
            })
        },
    },
    Workload {
        name: "faccessat2",
        prepare: files,
        start: |place, ops| {
            on_names(place, "f", ops, |dir, name| {
                sys::faccessat2(dir, name, libc::R_OK, 0)
            })
        },
    },
    Workload {
        name: "readlink",
        prepare: |place, ops| {
            (0..ops)
                .try_for_each(|index| symlink("some/target", place.path(&format!("s{index:06}"))))
        },
        start: |place, ops| {
            let mut text = [0; 256];
            on_paths(place, "s", ops, move |path| {
                sys::readlink(path, &mut text).map(drop)
            })
        },
    },
    Workload {
        name: "getxattr",
        prepare: with_xattr,
        start: |place, ops| {
            let mut value = [0; 256];
            on_paths(place, "f", ops, move |path| {
                sys::getxattr(path, XATTR, &mut value).map(drop)
            })
        },
    },
    Workload {
        name: "listxattr",
        prepare: with_xattr,
        start: |place, ops| {
            let mut list = [0; 1024];
            on_paths(place, "f", ops, move |path| {
                sys::listxattr(path, &mut list).map(drop)
            })
        },
    },
    Workload {
        name: "statfs",
        prepare: files,
        start: |place, ops| on_paths(place, "f", ops, |path| sys::statfs(path)),
    },
    Workload {
        name: "stat-warm",
        prepare: |place, _| files(place, ROUND),
        start: |place, _| stat_round(place.paths("f", ROUND)?),
    },
    Workload {
        name: "stat-missing",
        prepare: nothing,
        start: |place, _| stat_missing(&place.paths("missing", ROUND)?),
    },
    Workload {
        name: "stat-deep",
        prepare: make_deep,
        start: |place, _| stat_round(deep_paths(place)?),
    },
];

/// Goes round `paths`, each looked up once before the clock runs.
fn stat_round(paths: Vec<CString>) -> io::Result<Step> {
    paths.iter().try_for_each(|path| sys::stat(path))?;
    Ok(Box::new(move |index| {
        sys::stat(&paths[index % paths.len()])
    }))
}

fn stat_missing(paths: &[CString]) -> io::Result<Step> {
    let paths = paths.to_vec();
    Ok(Box::new(move |index| {
        match sys::stat(&paths[index % paths.len()]) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(io::Error::other("a missing file was found")),
        }
    }))
}

fn deep_name() -> String {
    (0..LEVELS).fold(String::new(), |path, level| {
        path + &format!("level{level}/")
    }) + "f"
}

fn make_deep(place: &Place, _: usize) -> io::Result<()> {
    let name = place.path(&deep_name());
    fs::create_dir_all(name.parent().expect("the file is below directories"))?;
    place.make_files(&deep_name(), ROUND)
}

fn deep_paths(place: &Place) -> io::Result<Vec<CString>> {
    (0..ROUND)
        .map(|index| c_path(&place.path(&format!("{}{index:06}", deep_name()))))
        .collect()
}
