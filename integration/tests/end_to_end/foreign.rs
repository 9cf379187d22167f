//! File systems of others, plain and under `finesse-serve`.

pub(crate) mod examples;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use finesse_integration::mount::{FileSystem, MountRequest, Mounted};
use finesse_integration::{programs, ssh};

use crate::timed;

/// A daemon that serves what lies in a source directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Foreign {
    /// Its name in PATH.
    pub(crate) program: &'static str,
    /// Its arguments, but for the mountpoint, which comes last: from time-outs in seconds and the source.
    pub(crate) arguments: fn(ttl: f64, source: &Path) -> Vec<OsString>,
}

/// Checked by the kernel, as far as a daemon does not say so itself.
const CHECKED: &str = "default_permissions,allow_other";

/// All in the foreground, so that each is this process's child.
impl Foreign {
    pub(crate) const BINDFS: Foreign = Foreign {
        program: "bindfs",
        arguments: |ttl, source| words(&["-f", "-o", &time_outs(ttl)], source),
    };

    pub(crate) const SSHFS: Foreign = Foreign {
        program: "sshfs",
        arguments: |ttl, source| {
            let command = ssh::command(&beside(source, "ssh")).unwrap();
            let options = [CHECKED, &time_outs(ttl), "dir_cache=no", &command].join(",");
            let mut remote = OsString::from("here:");
            remote.push(source);
            ["-f".into(), "-o".into(), options.into(), remote].into()
        },
    };

    /// An image of the source as it was when it was first mounted.
    pub(crate) const SQUASHFUSE: Foreign = Foreign {
        program: "squashfuse",
        arguments: |ttl, source| {
            let image = beside(source, "image");
            if !image.exists() {
                let program = OsString::from("mksquashfs");
                let mut make = timed::command(&[&program, source.as_os_str(), image.as_os_str()]);
                make.args(["-quiet", "-no-progress"]);
                let made = timed::run(&mut make, std::time::Duration::from_secs(60));
                assert!(made.status.success(), "mksquashfs: {}", made.err);
            }
            let options = [CHECKED, &time_outs(ttl)].join(",");
            words(&["-f", "-o", &options], &image)
        },
    };

    /// The source is the upper layer, above an empty one. Write-back caching and
    /// access control lists keep the bypass door shut. It shows what it has in memory just now, which depends on
    /// what the kernel keeps: as a directory's links, and by the time at which it reads a directory once more. So
    /// links are not counted and reading changes no time.
    pub(crate) const OVERLAY: Foreign = Foreign {
        program: "fuse-overlayfs",
        arguments: |ttl, source| {
            let [lower, work] = ["lower", "work"].map(|name| directory_beside(source, name));
            reading_changes_no_time(&[source, &lower, &work]);
            let layers = format!(
                "{CHECKED},noacl,writeback=0,static_nlink,timeout={ttl},lowerdir={},workdir={},upperdir={}",
                lower.display(),
                work.display(),
                source.display()
            );
            ["-f", "-o", &layers].map(OsString::from).into()
        },
    };

    pub(crate) const MERGERFS: Foreign = Foreign {
        program: "mergerfs",
        arguments: |ttl, source| {
            let options = format!("{CHECKED},cache.entry={ttl},cache.attr={ttl}");
            words(&["-f", "-o", &options], source)
        },
    };

    pub(crate) const UNIONFS: Foreign = Foreign {
        program: "unionfs",
        arguments: |ttl, source| {
            let lower = directory_beside(source, "lower");
            let options = ["cow", CHECKED, &time_outs(ttl)].join(",");
            let branches = format!("{}=RW:{}=RO", source.display(), lower.display());
            ["-f", "-o", &options, &branches].map(OsString::from).into()
        },
    };

    /// One of libfuse's examples, with a descriptor of /dev/fuse for each thread.
    pub(crate) const PASSTHROUGH_LL: Foreign = Foreign {
        program: "passthrough_ll",
        arguments: |ttl, source| {
            let options = format!(
                "{CHECKED},clone_fd,timeout={ttl},source={}",
                source.display()
            );
            ["-f", "-o", &options].map(OsString::from).into()
        },
    };

    /// Another one, in libfuse's high-level words: by paths.
    pub(crate) const PASSTHROUGH: Foreign = Foreign {
        program: "passthrough",
        arguments: below_a_directory,
    };

    /// Likewise, by descriptors where files are open.
    pub(crate) const PASSTHROUGH_FH: Foreign = Foreign {
        program: "passthrough_fh",
        arguments: below_a_directory,
    };

    /// The one in C++, for many users, without caching, which would be write-back too. Only libfuse's source has it.
    pub(crate) const PASSTHROUGH_HP: Foreign = Foreign {
        program: "passthrough_hp",
        arguments: |_, source| words(&["--foreground", "--nocache", "--num-threads=10"], source),
    };

    /// Sorted, so that it is the same twice. It reads a directory when that is opened, of which the kernel does not
    /// expect that it changes a time.
    pub(crate) const DISORDERFS: Foreign = Foreign {
        program: "disorderfs",
        arguments: |ttl, source| {
            reading_changes_no_time(&[source]);
            let own = ["-f", "-q", "--sort-dirents=yes", "--pad-blocks=0"];
            let options = [CHECKED, "use_ino", &time_outs(ttl)].join(",");
            let given = ["--reverse-dirents=no", "-o", &options];
            words(&[&own[..], &given[..]].concat(), source)
        },
    };

    /// A program on plain fuser, which reads and writes by libc as well.
    pub(crate) const FUSER: Foreign = Foreign {
        program: "finesse-mount-plain",
        arguments: |ttl, source| {
            let ttl = ttl.to_string();
            let options = ["passthrough", "--default-permissions", "--allow-other"];
            let times = ["--entry-ttl", &ttl, "--attr-ttl", &ttl];
            words(&[&options[..], &times[..]].concat(), source)
        },
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
        if program != self.path() {
            let daemon = self.path().into_os_string();
            words.splice(0..0, ["--".into(), daemon]);
        }
        let request = MountRequest::new(program, FileSystem::Daemon(&words));
        request.start(mountpoint).unwrap()
    }

    /// Whether it keeps nothing of its own in the source; an upper layer has marks of what is not below.
    pub(crate) fn is_a_mirror(self) -> bool {
        self.program != Self::OVERLAY.program
    }

    /// The daemon itself. Examples are built when they are first asked for.
    pub(crate) fn path(self) -> PathBuf {
        match self.program {
            name if name.starts_with("passthrough") => examples::built(name),
            "finesse-mount-plain" => programs::mount_plain().unwrap(),
            program => program.into(),
        }
    }
}

/// In these directories and what is made below them.
fn reading_changes_no_time(directories: &[&Path]) {
    let mut quiet = timed::command(&["chattr", "+A"]);
    let quiet = timed::run(quiet.args(directories), std::time::Duration::from_secs(10));
    assert!(quiet.status.success(), "chattr: {}", quiet.err);
}

fn words(options: &[&str], source: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = options.iter().map(OsString::from).collect();
    words.push(source.into());
    words
}

/// Of an example that shows all there is.
fn below_a_directory(ttl: f64, source: &Path) -> Vec<OsString> {
    let below = format!("modules=subdir,subdir={}", source.display());
    let options = [CHECKED, &time_outs(ttl), &below].join(",");
    ["-f", "-o", &options].map(OsString::from).into()
}

fn time_outs(ttl: f64) -> String {
    format!("entry_timeout={ttl},attr_timeout={ttl}")
}

fn beside(source: &Path, name: &str) -> PathBuf {
    source.with_file_name(name)
}

fn directory_beside(source: &Path, name: &str) -> PathBuf {
    let made = beside(source, name);
    fs::create_dir_all(&made).unwrap();
    made
}
