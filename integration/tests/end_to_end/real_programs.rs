//! Programs that people use, on a plain directory, on the plain mount, under the bypass with either policy, and
//! posting their calls themselves: same status, same words, same trees. Likewise on daemons of others, plain and
//! under `finesse-serve`.
//!
//! What they do is in `integration/programs`, a script each. `FINESSE_PROGRAMS` (default 1) is how many times as
//! much they do; above 1, on the memory file system as well. `FINESSE_FAST_RUNS` (default 0) is how often each is
//! run again posting its calls itself, on either file system; `make soak-fast`. With `--nocapture` each says how long it took.

mod compare;
mod side;

use crate::foreign::Foreign;
use crate::guest::Kind;
use crate::real_programs::compare::{same_everywhere, same_on_daemon};
use crate::real_programs::side::Shell;

/// One system call by its several names, of which a program makes whichever its libc has.
type Call = &'static [&'static str];

const MAKE: Call = &["mkdir", "mkdirat"];
const REMOVE: Call = &["unlink", "unlinkat"];
const REMOVE_DIRECTORY: Call = &["rmdir", "unlinkat"];
const RENAME: Call = &["rename", "renameat", "renameat2"];
const LINK: Call = &["link", "linkat"];
const SYMLINK: Call = &["symlink", "symlinkat"];
const MAKE_NODE: Call = &["mknod", "mknodat"];
const MODE: Call = &["chmod", "fchmodat", "fchmodat2"];
const TIMES: Call = &["utime", "utimes", "futimesat", "utimensat"];
const LOOK: Call = &["stat", "lstat", "newfstatat", "statx"];
const MAY: Call = &["access", "faccessat", "faccessat2"];
const READ_LINK: Call = &["readlink", "readlinkat"];

/// A script and what it is about.
#[derive(Debug, Clone, Copy)]
struct Program {
    /// File name in `integration/programs`, without its `.sh`.
    script: &'static str,
    /// It works where another has left something, and not in a new directory.
    reads: bool,
    shell: Shell,
    /// What must be in PATH, or the test is skipped.
    needs: &'static [&'static str],
    /// How `GUEST` is built, and from what.
    guest: Option<(Kind, &'static str)>,
    /// An extended regular expression: files whose size and content depend on time or place.
    volatile: &'static str,
    /// On a daemon that need not have what all file systems have: links of directories, extended attributes.
    on_daemon: bool,
    /// Must be bypassed at least once, with either policy.
    changes: &'static [Call],
    /// The same with the policy that bypasses all.
    looks: &'static [Call],
}

const PROGRAM: Program = Program {
    script: "",
    reads: false,
    shell: Shell::Bash,
    needs: &[],
    guest: None,
    volatile: "^$",
    on_daemon: false,
    changes: &[],
    looks: &[LOOK],
};

#[test]
fn bash() {
    same_everywhere(Program {
        script: "bash",
        changes: &[MAKE, REMOVE, RENAME, SYMLINK, MAKE_NODE],
        ..PROGRAM
    });
}

const COREUTILS: Program = Program {
    script: "coreutils",
    changes: &[
        MAKE,
        REMOVE,
        REMOVE_DIRECTORY,
        RENAME,
        LINK,
        SYMLINK,
        MAKE_NODE,
    ],
    looks: &[LOOK, READ_LINK],
    ..PROGRAM
};

#[test]
fn coreutils_dynamic() {
    same_everywhere(COREUTILS);
}

#[test]
fn coreutils_static() {
    same_everywhere(Program {
        shell: Shell::Busybox,
        ..COREUTILS
    });
}

#[test]
fn git() {
    same_everywhere(Program {
        script: "git",
        needs: &["git"],
        // It holds inode numbers and change times.
        volatile: r"\.git/index$",
        changes: &[MAKE, REMOVE, REMOVE_DIRECTORY, RENAME, LINK, SYMLINK],
        looks: &[LOOK, MAY, READ_LINK],
        ..PROGRAM
    });
}

#[test]
fn rsync() {
    same_everywhere(Program {
        script: "rsync",
        needs: &["rsync", "setfattr"],
        changes: &[MAKE, REMOVE, RENAME, LINK, SYMLINK, MAKE_NODE, TIMES],
        looks: &[LOOK, READ_LINK],
        ..PROGRAM
    });
}

#[test]
fn tar() {
    same_everywhere(Program {
        script: "tar",
        needs: &["tar", "setfattr"],
        changes: &[MAKE, REMOVE, LINK, SYMLINK, MAKE_NODE, TIMES],
        looks: &[LOOK, READ_LINK],
        ..PROGRAM
    });
}

#[test]
fn sqlite() {
    same_everywhere(Program {
        script: "sqlite",
        needs: &["sqlite3"],
        changes: &[REMOVE],
        ..PROGRAM
    });
}

#[test]
fn python() {
    same_everywhere(Program {
        script: "python",
        needs: &["python3"],
        changes: &[MAKE, REMOVE, REMOVE_DIRECTORY, RENAME, SYMLINK],
        ..PROGRAM
    });
}

#[test]
fn cargo() {
    same_everywhere(Program {
        script: "cargo",
        changes: &[MAKE, REMOVE, LINK],
        ..PROGRAM
    });
}

#[test]
fn go() {
    same_everywhere(Program {
        script: "go",
        guest: Some((Kind::Go, "walk.go")),
        changes: &[MAKE, REMOVE, REMOVE_DIRECTORY, RENAME, LINK, SYMLINK, TIMES],
        ..PROGRAM
    });
}

#[test]
fn find() {
    same_everywhere(Program {
        script: "find",
        changes: &[MAKE, REMOVE, REMOVE_DIRECTORY, RENAME, SYMLINK],
        looks: &[LOOK, READ_LINK],
        ..PROGRAM
    });
}

#[test]
fn spawn_storm() {
    same_everywhere(Program {
        script: "spawn",
        guest: Some((Kind::GlibcDynamic, "spawn_storm.c")),
        changes: &[MAKE, REMOVE, REMOVE_DIRECTORY, RENAME],
        ..PROGRAM
    });
}

#[test]
fn make() {
    same_everywhere(Program {
        script: "make",
        needs: &["make", "gcc"],
        changes: &[MAKE, REMOVE, RENAME],
        ..PROGRAM
    });
}

const ON_DAEMON: Program = Program {
    script: "daemon",
    on_daemon: true,
    needs: &["git", "tar", "perl"],
    // It holds inode numbers and change times.
    volatile: r"\.git/index$",
    changes: &[MAKE, REMOVE, REMOVE_DIRECTORY, RENAME, SYMLINK, MODE],
    looks: &[LOOK, MAY, READ_LINK],
    ..PROGRAM
};

const READING: Program = Program {
    script: "reading",
    reads: true,
    changes: &[],
    looks: &[LOOK, READ_LINK],
    ..ON_DAEMON
};

#[test]
fn on_bindfs_and_read_from_squashfuse() {
    same_on_daemon(
        ON_DAEMON,
        Foreign::BINDFS,
        Some((Foreign::SQUASHFUSE, READING)),
    );
}

#[test]
fn on_sshfs() {
    same_on_daemon(ON_DAEMON, Foreign::SSHFS, None);
}

#[test]
fn on_overlay() {
    same_on_daemon(ON_DAEMON, Foreign::OVERLAY, None);
}

#[test]
fn on_mergerfs() {
    same_on_daemon(ON_DAEMON, Foreign::MERGERFS, None);
}

#[test]
fn on_unionfs() {
    same_on_daemon(ON_DAEMON, Foreign::UNIONFS, None);
}

#[test]
fn on_an_example_of_libfuse() {
    same_on_daemon(ON_DAEMON, Foreign::PASSTHROUGH_LL, None);
}

#[test]
fn on_fuser() {
    same_on_daemon(ON_DAEMON, Foreign::FUSER, None);
}

#[test]
fn on_disorderfs() {
    same_on_daemon(ON_DAEMON, Foreign::DISORDERFS, None);
}
