//! A program that confines itself, or becomes somebody else, reaches through the bypass what it would reach
//! through the kernel, and nothing more. The oracle is the same program without `finesse-run` on the same mount.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use finesse_integration::programs;

use crate::guest::{self, Kind};
use crate::lines::assert_same;
use crate::report::Report;
use crate::timed;
use crate::tree;
use crate::twins::{Setting, Twins};

const LIMIT: Duration = Duration::from_secs(60);
const FOR_ALL: Setting = Setting {
    options: &["--allow-other"],
    ..Setting::PASSTHROUGH
};

/// What becomes of the calls after the change; those before it are bypassed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// All are the kernel's.
    Kernel,
    /// Some are bypassed still.
    Bypass,
}

/// Runs the guest through the kernel and under `finesse-run`. `says` must be in what it prints: so the kernel
/// did refuse, or allow, what the scenario is about.
fn same(setting: Setting, scenario: &str, says: &[&str], after: After) {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can do all that the guest does");
        return;
    }
    let Some(twins) = Twins::mount(setting, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "confine.c", twins.dir.path()) else {
        return;
    };
    let report = twins.dir.path().join("report.json");
    let mount = twins.bypass.path();
    let work = mount.join("work");
    let run = |command: &mut Command| {
        fs::create_dir(&work).unwrap();
        command.arg(&program).arg(scenario).arg(mount).arg(&work);
        let done = timed::run(command, LIMIT);
        assert!(done.status.success() && done.err.is_empty(), "{done:?}");
        let tree = tree::describe(&work, mount).join("\n");
        fs::remove_dir_all(&work).unwrap();
        (done.out, tree)
    };
    let kernel = run(&mut timed::command(&["env"]));
    let options: [OsString; 3] = ["--report-json".into(), report.clone().into(), "--".into()];
    let bypass = run(&mut twins.finesse_run(&options));
    if kernel.0.starts_with("no ") {
        println!("skipped: this kernel has {}", kernel.0.trim_end());
        return;
    }
    assert_same(scenario, ("FUSE", &kernel.0), ("bypass", &bypass.0));
    assert_same(
        scenario,
        ("FUSE's tree", &kernel.1),
        ("bypass's tree", &bypass.1),
    );
    for line in says {
        assert!(
            kernel.0.lines().any(|it| it == *line),
            "{line:?}: {}",
            kernel.0
        );
    }
    let report = Report::read(&report);
    report.assert_bypassed(&["mkdir", "rmdir"]);
    assert_eq!(
        report.bypassed("mknodat") > 0,
        after == After::Bypass,
        "{report:#?}"
    );
    assert!(
        report.continued("mknodat") > 0 || after == After::Bypass,
        "{report:#?}"
    );
}

#[test]
fn chroot_to_above_the_mount() {
    same(
        Setting::PASSTHROUGH,
        "chroot-above",
        &[
            "by its name outside: mkdirat ENOENT",
            "by its name inside: unlinkat of what was there done",
            "from the root outside: mkdirat done",
            "by its name outside, in a child: mkdirat ENOENT",
        ],
        After::Kernel,
    );
}

#[test]
fn chroot_into_the_mount() {
    same(
        Setting::PASSTHROUGH,
        "chroot-into",
        &[
            "inside: mkdirat done",
            "outside: unlinkat of what was there ENOENT",
            "by an absolute link: mkdirat ENOENT",
            "from above by a link: mkdirat ENOENT",
            "from above by an absolute link: mkdirat ENOENT",
            "program: 0",
        ],
        // The program that it starts before is not confined.
        After::Bypass,
    );
}

#[test]
fn chroot_in_a_thread() {
    let says = ["outside: mkdirat ENOENT", "inside: mkdirat done"];
    same(
        Setting::PASSTHROUGH,
        "chroot-of-a-thread",
        &says,
        After::Kernel,
    );
    let says = [
        "in the thread, outside: mkdirat ENOENT",
        "beside the thread, outside: mkdirat done",
    ];
    let scenario = "thread-with-a-root-of-its-own";
    same(Setting::PASSTHROUGH, scenario, &says, After::Kernel);
}

#[test]
fn another_mount_namespace() {
    let says = [
        "by its name: unlinkat of what was there ENOENT",
        "from the cwd: mkdirat done",
        "by its name, in a child: mkdirat done",
    ];
    same(Setting::PASSTHROUGH, "unshare", &says, After::Kernel);
    let says = ["in its child: unlinkat of what was there ENOENT"];
    same(Setting::PASSTHROUGH, "clone", &says, After::Kernel);
    let says = [
        "in the other namespace: unlinkat of what was there ENOENT",
        "back: unlinkat of what was there done",
    ];
    same(Setting::PASSTHROUGH, "setns", &says, After::Kernel);
}

#[test]
fn a_user_namespace() {
    let says = ["in a user namespace: fchownat EINVAL"];
    same(FOR_ALL, "user-namespace", &says, After::Kernel);
}

#[test]
fn landlock() {
    let says = [
        "by its name: unlinkat of what was there EACCES",
        "from a descriptor: mkdirat EACCES",
        "in a child: mknodat EACCES",
        "in a thread: rmdir of what was there EACCES",
    ];
    same(Setting::PASSTHROUGH, "landlock", &says, After::Kernel);
}

const ORPHAN: [&str; 2] = [
    "in an orphan: unlinkat of what was there EACCES",
    "in the reaper: unlinkat of what was there done",
];

/// Its children inherit it, whoever adopts them.
#[test]
fn landlock_of_an_orphan_in_a_pid_namespace() {
    let scenario = "landlock-in-a-pid-namespace";
    same(Setting::PASSTHROUGH, scenario, &ORPHAN, After::Kernel);
}

#[test]
fn landlock_of_an_orphan_with_a_subreaper() {
    let scenario = "landlock-of-an-orphan";
    same(Setting::PASSTHROUGH, scenario, &ORPHAN, After::Bypass);
}

/// `CLONE_PARENT`: nobody adopts it, and yet its parent is not who made it.
#[test]
fn landlock_of_a_sibling() {
    let says = [
        "in a sibling: unlinkat of what was there EACCES",
        "in the parent: unlinkat of what was there done",
    ];
    let scenario = "landlock-of-a-sibling";
    same(Setting::PASSTHROUGH, scenario, &says, After::Bypass);
}

#[test]
fn landlock_below_an_id_that_a_free_process_had() {
    let says = [
        "below a reused id: unlinkat of what was there EACCES",
        "above: unlinkat of what was there done",
    ];
    let scenario = "landlock-of-a-reused-id";
    same(Setting::PASSTHROUGH, scenario, &says, After::Bypass);
}

/// Any program may make calls of the i386 ABI, and go on in its own.
#[test]
fn landlock_by_another_abi() {
    let says = [
        "by its name: unlinkat of what was there EACCES",
        "in a child: mknodat EACCES",
    ];
    let scenario = "landlock-by-i386";
    same(Setting::PASSTHROUGH, scenario, &says, After::Kernel);
}

#[test]
fn users_and_umask_by_another_abi() {
    let says = [
        "effective user: mkdirat EACCES",
        "root again: mode 40700 owner 0:0",
        "user for good: unlinkat of what was there done",
    ];
    same(FOR_ALL, "users-by-i386", &says, After::Bypass);
}

#[test]
fn chroot_by_another_abi() {
    let says = [
        "outside: unlinkat of what was there ENOENT",
        "inside: mkdirat done",
    ];
    let scenario = "chroot-by-i386";
    same(Setting::PASSTHROUGH, scenario, &says, After::Kernel);
}

#[test]
fn users_on_a_mount_for_all() {
    let says = [
        "effective user: mkdirat done",
        "effective user: mkdirat EACCES",
        "effective user: unlinkat of what was there EPERM",
        "root again: unlinkat of what was there done",
        "user for good: setuid EPERM",
    ];
    same(FOR_ALL, "users", &says, After::Bypass);
}

#[test]
fn users_on_a_mount_for_its_owner() {
    let says = ["effective user: mkdirat EACCES", "root again: mkdirat done"];
    same(Setting::PASSTHROUGH, "users", &says, After::Bypass);
}

#[test]
fn groups() {
    let says = ["in the group: mkdirat done", "in no group: mkdirat EACCES"];
    same(FOR_ALL, "groups", &says, After::Bypass);
}

#[test]
fn capabilities() {
    let says = [
        "without CAP_DAC_OVERRIDE: mkdirat EACCES",
        "without CAP_FOWNER and CAP_CHOWN: fchownat EPERM",
        "with all: fchownat done",
    ];
    same(FOR_ALL, "capabilities", &says, After::Bypass);
}

#[test]
fn a_filter_of_its_own() {
    let says = ["under a filter of its own: mkdirat EXDEV"];
    same(Setting::PASSTHROUGH, "own-filter", &says, After::Bypass);
}

#[test]
fn root_and_umask_shared_by_processes() {
    let says = [
        "after its umask: mode 40700 owner 0:0",
        "the sibling, after the other's umask: mode 40750 owner 0:0",
        "after its chroot, outside: mkdirat ENOENT",
        "after its chroot, inside: mkdirat done",
    ];
    same(Setting::PASSTHROUGH, "siblings", &says, After::Bypass);
}

#[test]
fn an_umask_that_is_one_threads_own() {
    let says = [
        "beside the thread: mode 40755 owner 0:0",
        "after an umask of one's own: mode 40775 owner 0:0",
    ];
    same(
        Setting::PASSTHROUGH,
        "thread-with-an-umask-of-its-own",
        &says,
        After::Kernel,
    );
}

/// Another user's `finesse-run` gets from a mount for its owner what that user gets from the kernel.
#[test]
fn another_users_supervisor() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "confine.c", twins.dir.path()) else {
        return;
    };
    // The target directory may be closed to others.
    let (supervisor, report) = (
        twins.dir.path().join("run"),
        twins.dir.path().join("report.json"),
    );
    fs::copy(programs::run().unwrap(), &supervisor).unwrap();
    fs::write(&report, "").unwrap();
    fs::set_permissions(&report, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let (mount, work) = (twins.bypass.path(), twins.bypass.path().join("work"));
    fs::create_dir(&work).unwrap();
    fs::set_permissions(&work, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let run = |through: &[&Path]| {
        let mut command =
            timed::command(&["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]);
        command
            .args(through)
            .arg(&program)
            .arg("reach")
            .arg(mount)
            .arg(&work);
        timed::run(&mut command, LIMIT)
    };
    let kernel = run(&[]);
    let bypass = run(&[
        &supervisor,
        "--policy".as_ref(),
        &twins.policy,
        "--report-json".as_ref(),
        &report,
        "--".as_ref(),
    ]);
    assert!(
        kernel.status.success() && bypass.status.success(),
        "{bypass:?}"
    );
    assert_same(
        "another user",
        ("FUSE", &kernel.out),
        ("bypass", &bypass.out),
    );
    assert!(
        kernel.out.contains("in a program: mkdirat EACCES\n"),
        "{kernel:?}"
    );
    // It did trap, and got no further.
    let report = Report::read(&report);
    assert!(
        report.continued("mkdirat") > 0 && report.bypassed("mkdirat") == 0,
        "{report:?}"
    );
    assert_eq!(
        fs::read_dir(twins.bypass.source.join("work"))
            .unwrap()
            .count(),
        0
    );
}
