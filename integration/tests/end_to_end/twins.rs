//! Two identical mounts side by side: one of the plain build, one with the bypass door.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use finesse_integration::mount::{FileSystem, MountRequest, Mounted};
use finesse_integration::programs;
use tempfile::TempDir;

use crate::foreign::Foreign;
use crate::timed;

/// Everything to the bypass, look-ups too.
pub(crate) const BYPASS_ALL: &str = "version = 1\n[defaults]\nall = \"bypass\"\n";

/// Which file system, and how it is mounted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) memory: bool,
    pub(crate) ttl: f64,
    pub(crate) options: &'static [&'static str],
    /// Under `finesse-run --fast`.
    pub(crate) fast: bool,
    /// A daemon of others in their place; it has options of its own.
    pub(crate) foreign: Option<Foreign>,
}

impl Setting {
    pub(crate) const PASSTHROUGH: Setting = Setting {
        memory: false,
        ttl: 1.0,
        options: &[],
        fast: false,
        foreign: None,
    };
    pub(crate) const MEMORY: Setting = Setting {
        memory: true,
        ..Setting::PASSTHROUGH
    };
}

/// A mounted file system below a directory of its own.
#[derive(Debug)]
pub(crate) struct Twin {
    pub(crate) mounted: Mounted,
    /// What lies below a pass-through mount.
    pub(crate) source: PathBuf,
}

impl Twin {
    pub(crate) fn path(&self) -> &Path {
        self.mounted.path()
    }
}

/// Both; paths of the one are as long as paths of the other.
#[derive(Debug)]
pub(crate) struct Twins {
    pub(crate) plain: Twin,
    pub(crate) bypass: Twin,
    pub(crate) policy: PathBuf,
    fast: bool,
    // Last: the mounts go before the directory.
    pub(crate) dir: TempDir,
}

/// Whether there is FUSE; says so if not.
pub(crate) fn have_fuse() -> bool {
    let there = fs::File::options().read(true).write(true).open("/dev/fuse");
    if let Err(error) = &there {
        println!("skipped: /dev/fuse cannot be opened: {error}");
    }
    there.is_ok()
}

impl Twins {
    /// `None`, with the reason printed, when there is no FUSE. `below` is where in each twin's own directory
    /// the mountpoint lies.
    pub(crate) fn mount(setting: Setting, below: &str) -> Option<Twins> {
        if !have_fuse() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        open_to_all(dir.path());
        let (plain, bypass) = programs_of(setting);
        let policy = dir.path().join("policy.toml");
        fs::write(&policy, BYPASS_ALL).unwrap();
        Some(Twins {
            plain: twin(&plain, setting, &dir.path().join("p"), below),
            bypass: twin(&bypass, setting, &dir.path().join("b"), below),
            policy,
            fast: setting.fast,
            dir,
        })
    }

    /// Unmounts both and mounts them again, with `setting`, over what lies below.
    pub(crate) fn mounted_again(self, setting: Setting) -> Twins {
        let again = |program: &Path, twin: Twin| {
            let mountpoint = twin.path().to_owned();
            twin.mounted.unmount().unwrap();
            Twin {
                mounted: start(program, setting, &twin.source, &mountpoint),
                source: twin.source,
            }
        };
        Twins {
            plain: again(&programs_of(setting).0, self.plain),
            bypass: again(&programs_of(setting).1, self.bypass),
            ..self
        }
    }

    /// `arguments` under `finesse-run` with the policy that bypasses everything.
    pub(crate) fn finesse_run<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = timed::command(&[programs::run().unwrap()]);
        command.arg("--policy").arg(&self.policy);
        command.args(self.fast.then_some("--fast"));
        command.args(arguments);
        command
    }
}

/// What serves the plain mount, and what the one with the bypass door.
fn programs_of(setting: Setting) -> (PathBuf, PathBuf) {
    match setting.foreign {
        Some(foreign) => (foreign.path(), programs::serve().unwrap()),
        None => (programs::mount_plain().unwrap(), programs::mount().unwrap()),
    }
}

fn twin(program: &Path, setting: Setting, dir: &Path, below: &str) -> Twin {
    let source = dir.join("source");
    let mountpoint = dir.join("at").join(below);
    for made in [&source, &mountpoint] {
        fs::create_dir_all(made).unwrap();
    }
    let mounted = start(program, setting, &source, &mountpoint);
    Twin { mounted, source }
}

fn start(program: &Path, setting: Setting, source: &Path, mountpoint: &Path) -> Mounted {
    if let Some(foreign) = setting.foreign {
        return foreign.start(program, setting.ttl, source, mountpoint);
    }
    let file_system = match setting.memory {
        true => FileSystem::Memory,
        false => FileSystem::Passthrough(source),
    };
    let request = MountRequest {
        ttl: Some(Duration::from_secs_f64(setting.ttl)),
        options: setting.options.iter().map(OsString::from).collect(),
        ..MountRequest::new(program, file_system)
    };
    request.start(mountpoint).unwrap()
}

/// Temporary directories are closed to other users, whom some tests become.
pub(crate) fn open_to_all(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
}
