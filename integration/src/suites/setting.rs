//! How a file system is mounted.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::mount::{FileSystem, MountRequest, Mounted};

/// What both sides of a comparison have in common.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// In memory, else the pass-through of a directory.
    pub memory: bool,
    /// Further options of the mount.
    pub options: &'static [&'static str],
    /// Time-out of names and attributes; `None` leaves the default.
    pub ttl: Option<Duration>,
}

impl Setting {
    /// Mounts it, served by `program`, on a new directory in `dir`.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn mount(&self, program: &Path, dir: &Path) -> Result<Mounted> {
        let (source, mountpoint) = (dir.join("source"), dir.join("at"));
        for made in [&source, &mountpoint] {
            fs::create_dir_all(made).with_context(|| format!("cannot make {}", made.display()))?;
        }
        // The suites become other users, whom the mount alone may keep out.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
        let file_system = match self.memory {
            true => FileSystem::Memory,
            false => FileSystem::Passthrough(&source),
        };
        let request = MountRequest {
            ttl: self.ttl,
            options: self.options.iter().map(Into::into).collect(),
            ..MountRequest::new(program, file_system)
        };
        Ok(request.start(&mountpoint)?)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.memory { "memory" } else { "passthrough" };
        let options = match self.options {
            [] => "no options".to_owned(),
            options => options.join(" "),
        };
        write!(f, "{name}, {options}")?;
        match self.ttl {
            Some(ttl) => write!(f, ", time-outs of {} s", ttl.as_secs_f64()),
            None => Ok(()),
        }
    }
}
