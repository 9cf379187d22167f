//! Where a script runs, and in which environment: the same everywhere, and nothing of the one who tests.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use finesse_integration::programs;

use crate::real_programs::Program;
use crate::timed::{self, Done};

/// What reads a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    /// A static busybox, whose applets are all that there is.
    Busybox,
}

/// What all sides have in common.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    /// For what is not on the mount.
    pub(crate) dir: &'a Path,
    pub(crate) shell: Shell,
    pub(crate) guest: Option<PathBuf>,
    pub(crate) scale: u64,
}

/// What a script did, and how long it took.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) done: Done,
    pub(crate) took: Duration,
}

impl Scene<'_> {
    /// Runs `script` in the directory `at`, by way of `launcher`, which is empty or ends in `--`.
    pub(crate) fn run(&self, launcher: &[OsString], script: &Path, at: &Path) -> Act {
        let limit =
            Duration::from_secs(120) + Duration::from_secs(60) * u32::try_from(self.scale).unwrap();
        let mut words = launcher.to_vec();
        words.extend(self.shell_words());
        words.push(script.into());
        let mut command = timed::command(&words);
        self.set(&mut command, at);
        let start = Instant::now();
        let mut done = timed::run(&mut command, limit);
        let took = start.elapsed();
        for text in [&mut done.out, &mut done.err] {
            *text = text.replace(at.to_str().unwrap(), "@");
        }
        Act { done, took }
    }

    /// The tree below `at` as text.
    pub(crate) fn tree(&self, at: &Path, program: Program) -> String {
        let mut command = timed::command(&[
            OsStr::new("bash"),
            super::compare::script("tree").as_os_str(),
        ]);
        self.set(&mut command, at);
        let daemon = if program.on_daemon { "yes" } else { "no" };
        command.env("PATH", path()).env("DAEMON", daemon);
        command.env("VOLATILE", program.volatile);
        let done = timed::run(&mut command, Duration::from_secs(300));
        assert!(done.status.success() && done.err.is_empty(), "{done:?}");
        done.out
    }

    /// A shell that reads the script after them, with the umask of most.
    fn shell_words(&self) -> Vec<OsString> {
        let mut words = match self.shell {
            Shell::Bash => vec!["bash".into()],
            Shell::Busybox => vec![programs::static_busybox().unwrap().into(), "sh".into()],
        };
        words.extend(["-c", "umask 022; . \"$0\""].map(OsString::from));
        words
    }

    /// Dates, names and seeds are fixed, for checksums depend on them.
    fn set(&self, command: &mut Command, at: &Path) {
        let home = self.dir.join("home");
        fs::create_dir_all(&home).unwrap();
        command.current_dir(at).env_clear();
        command.envs([
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
            ("PYTHONHASHSEED", "0"),
            ("CARGO_INCREMENTAL", "0"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            // Threads race for what becomes a delta of what.
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "pack.threads"),
            ("GIT_CONFIG_VALUE_0", "1"),
            ("GIT_AUTHOR_NAME", "A"),
            ("GIT_AUTHOR_EMAIL", "a@example.org"),
            ("GIT_AUTHOR_DATE", "2001-02-03T04:05:06Z"),
            ("GIT_COMMITTER_NAME", "C"),
            ("GIT_COMMITTER_EMAIL", "c@example.org"),
            ("GIT_COMMITTER_DATE", "2001-02-03T04:05:06Z"),
        ]);
        command.env("HOME", &home).env("CARGO_HOME", &home);
        command.env("SCALE", self.scale.to_string());
        command.env("PATH", self.path());
        command.envs(self.guest.iter().map(|guest| ("GUEST", guest)));
        let cargo = env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from);
        // A compiler that is not beside cargo is in PATH.
        let rustc = Some(cargo.with_file_name("rustc")).filter(|path| path.is_file());
        command
            .env("CARGO", &cargo)
            .envs(rustc.map(|path| ("RUSTC", path)));
    }

    fn path(&self) -> OsString {
        match self.shell {
            Shell::Bash => path(),
            Shell::Busybox => self.applets().into(),
        }
    }

    /// A directory of links to busybox, named after its applets.
    fn applets(&self) -> PathBuf {
        let applets = self.dir.join("applets");
        if !applets.is_dir() {
            fs::create_dir(&applets).unwrap();
            let busybox = programs::static_busybox().unwrap();
            let mut install = timed::command(&[
                busybox.as_os_str(),
                "--install".as_ref(),
                "-s".as_ref(),
                applets.as_os_str(),
            ]);
            let done = timed::run(&mut install, Duration::from_secs(30));
            assert!(done.status.success(), "{done:?}");
        }
        applets
    }
}

/// The system's own programs come first: what a developer put before them may need a HOME.
fn path() -> OsString {
    let system = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let own = env::var_os("PATH").unwrap_or_default();
    env::join_paths(system.into_iter().chain(env::split_paths(&own))).unwrap()
}

/// Whether `program` is in the path of scripts; says so if not.
pub(crate) fn have(program: &str) -> bool {
    let there = env::split_paths(&path()).any(|dir| dir.join(program).is_file());
    if !there {
        println!("skipped: no {program} in PATH");
    }
    there
}
