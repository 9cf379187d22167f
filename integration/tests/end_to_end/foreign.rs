//! File systems of others, plain and under `finesse-serve`.

use std::ffi::OsString;
use std::path::Path;

use finesse_integration::mount::{FileSystem, MountRequest, Mounted};

/// A daemon that serves what lies in a source directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Foreign {
    /// Its name in PATH.
    pub(crate) program: &'static str,
    /// Its arguments, but for the mountpoint, which comes last: from time-outs in seconds and the source.
    pub(crate) arguments: fn(ttl: f64, source: &Path) -> Vec<OsString>,
}

impl Foreign {
    /// In the foreground, so that it is this process's child.
    pub(crate) const BINDFS: Foreign = Foreign {
        program: "bindfs",
        arguments: |ttl, source| words(["-f", "-o", &time_outs(ttl)], source),
    };

    /// Mounts by `program`: the daemon itself, or `finesse-serve`.
    pub(crate) fn start(
        self,
        program: &Path,
        ttl: f64,
        source: &Path,
        mountpoint: &Path,
    ) -> Mounted {
        let mut words = (self.arguments)(ttl, source);
        if program != Path::new(self.program) {
            words.splice(0..0, ["--", self.program].map(OsString::from));
        }
        let request = MountRequest::new(program, FileSystem::Daemon(&words));
        request.start(mountpoint).unwrap()
    }
}

fn words<const N: usize>(options: [&str; N], source: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = options.map(OsString::from).into();
    words.push(source.into());
    words
}

fn time_outs(ttl: f64) -> String {
    format!("entry_timeout={ttl},attr_timeout={ttl}")
}
