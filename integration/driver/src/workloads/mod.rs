//! The workloads, a table a family.

mod attributes;
mod create;
mod files;
mod lookups;
mod mixed;
mod off_mount;
mod remove;
mod rename;
mod tree;

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::place::Place;

/// One timed operation, by number.
pub type Step = Box<dyn FnMut(usize) -> io::Result<()>>;

/// A loop of operations and what has to be there before it.
#[derive(Debug)]
pub struct Workload {
    /// Its name on the command line.
    pub name: &'static str,
    /// Creates what that many operations need. Untimed, possibly below another path than the one timed.
    pub prepare: fn(&Place, usize) -> io::Result<()>,
    /// Opens and builds, untimed, what the loop uses.
    pub start: fn(&Place, usize) -> io::Result<Step>,
}

/// Every workload.
pub fn all() -> impl Iterator<Item = &'static Workload> {
    let families = [
        remove::WORKLOADS,
        create::WORKLOADS,
        rename::WORKLOADS,
        attributes::WORKLOADS,
        lookups::WORKLOADS,
        files::WORKLOADS,
        tree::WORKLOADS,
        mixed::WORKLOADS,
        off_mount::WORKLOADS,
    ];
    families.into_iter().flatten()
}

/// The workload called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Workload> {
    all().find(|workload| workload.name == name)
}

/// Nothing to prepare.
fn nothing(_: &Place, _: usize) -> io::Result<()> {
    Ok(())
}

/// As many empty files `f…` as operations.
fn files(place: &Place, count: usize) -> io::Result<()> {
    place.make_files("f", count)
}

/// A step that makes `call` on the full path of each `KIND…`.
fn on_paths(
    place: &Place,
    kind: &str,
    count: usize,
    mut call: impl FnMut(&CString) -> io::Result<()> + 'static,
) -> io::Result<Step> {
    let paths = place.paths(kind, count)?;
    Ok(Box::new(move |index| call(&paths[index])))
}

/// A step that makes `call` on each name `KIND…` relative to a descriptor of the directory.
fn on_names(
    place: &Place,
    kind: &str,
    count: usize,
    call: impl Fn(BorrowedFd<'_>, &CString) -> io::Result<()> + 'static,
) -> io::Result<Step> {
    let (dir, names): (File, _) = (place.open()?, place.names(kind, count)?);
    Ok(Box::new(move |index| call(dir.as_fd(), &names[index])))
}

/// A step that makes `call` on the full paths of each pair `FROM…`, `TO…`.
fn on_pairs(
    place: &Place,
    (from, to): (&str, &str),
    count: usize,
    call: impl Fn(&CString, &CString) -> io::Result<()> + 'static,
) -> io::Result<Step> {
    let (from, to) = (place.paths(from, count)?, place.paths(to, count)?);
    Ok(Box::new(move |index| call(&from[index], &to[index])))
}

/// The same, relative to a descriptor of the directory.
fn on_named_pairs(
    place: &Place,
    (from, to): (&str, &str),
    count: usize,
    call: impl Fn(BorrowedFd<'_>, &CString, &CString) -> io::Result<()> + 'static,
) -> io::Result<Step> {
    let (dir, from, to) = (
        place.open()?,
        place.names(from, count)?,
        place.names(to, count)?,
    );
    Ok(Box::new(move |index| {
        call(dir.as_fd(), &from[index], &to[index])
    }))
}
