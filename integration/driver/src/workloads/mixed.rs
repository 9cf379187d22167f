//! Changes and look-ups in turn, as programs make them: what was just changed through one door is
//! asked for through the other, where look-ups are not bypassed.

use std::ffi::CString;
use std::io;

use super::{Workload, nothing};
use crate::place::{Place, c_path};
use crate::sys;

pub(super) const WORKLOADS: &[Workload] = &[Workload {
    name: "mixed",
    prepare: nothing,
    start: |place, ops| {
        let rounds: Vec<Round> = (0..ops)
            .map(|index| Round::in_directory(place, index))
            .collect::<io::Result<_>>()?;
        Ok(Box::new(move |index| rounds[index].run()))
    },
}];

/// A directory that comes and goes, with what is in it meanwhile.
struct Round {
    directory: CString,
    file: CString,
    second: CString,
    renamed: CString,
    symbolic: CString,
}

impl Round {
    fn in_directory(place: &Place, index: usize) -> io::Result<Self> {
        let directory = place.path(&format!("d{index:06}"));
        Ok(Round {
            file: c_path(&directory.join("file"))?,
            second: c_path(&directory.join("second"))?,
            renamed: c_path(&directory.join("renamed"))?,
            symbolic: c_path(&directory.join("symbolic"))?,
            directory: c_path(&directory)?,
        })
    }

    /// Ten changes and six look-ups.
    fn run(&self) -> io::Result<()> {
        sys::mkdir(&self.directory, 0o755)?;
        sys::stat(&self.directory)?;
        sys::mknod(&self.file, libc::S_IFREG | 0o644, 0)?;
        sys::stat(&self.file)?;
        sys::link(&self.file, &self.second)?;
        sys::stat(&self.second)?;
        sys::rename(&self.file, &self.renamed)?;
        sys::stat(&self.renamed)?;
        sys::chmod(&self.renamed, 0o600)?;
        sys::unlink(&self.renamed)?;
        sys::unlink(&self.second)?;
        is_missing(sys::stat(&self.second))?;
        sys::symlink(c"file", &self.symbolic)?;
        sys::readlink(&self.symbolic, &mut [0; 16])?;
        sys::unlink(&self.symbolic)?;
        sys::rmdir(&self.directory)
    }
}

fn is_missing(found: io::Result<()>) -> io::Result<()> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Err(io::Error::other("a removed name is still there")),
    }
}
