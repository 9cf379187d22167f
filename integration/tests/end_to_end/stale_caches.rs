//! What the supervisor remembers, or looks at for each call, is never an old one: credentials, umask, working
//! directories, descriptors and mounts change between two calls, and while calls are made. The oracle is the
//! same program on a plain FUSE mount.
//!
//! The guests bypass by mkdir and mkdirat and ask the kernel by mknod and mknodat, so the report tells whether
//! each call took the way that it should. `FINESSE_RACES` (default 100) asks for more calls in each race.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use finesse_integration::mount::{FileSystem, MountRequest, Mounted, is_fuse_mount};
use finesse_integration::programs;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{SIGCONT, SIGSTOP, SIGTERM, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::guest::{self, Kind};
use crate::lines::assert_same;
use crate::report::Report;
use crate::timed::{self, Running};
use crate::tree;
use crate::twins::{Setting, Twin, Twins};

const LIMIT: Duration = Duration::from_secs(60);
const FOR_ALL: Setting = Setting {
    options: &["--allow-other"],
    ..Setting::PASSTHROUGH
};
const CALLERS: &str = "stale_callers.c";
const PLACES: &str = "stale_places.c";

/// How a scenario is run, and what must be seen.
struct Scenario<'a> {
    setting: Setting,
    source: &'static str,
    name: &'static str,
    /// Lines that must be among those printed: so what the scenario is about did happen.
    says: &'a [&'a str],
    /// Calls that must have been bypassed, all of them.
    bypassed: &'a [&'a str],
    /// Calls that must have been the kernel's, all of them.
    continued: &'a [&'a str],
}

/// One of the two runs.
struct Side<'t> {
    twin: &'t mut Twin,
    program: PathBuf,
    /// `None`: the plain mount.
    run: Option<(PathBuf, PathBuf)>,
    /// Mounts that came later, the latest last.
    later: Vec<Mounted>,
    asked: usize,
    /// A process that was stopped.
    hung: Option<Pid>,
}

impl Scenario<'_> {
    /// Runs it on both mounts and compares. `outsider` does what the guest asks for.
    fn same(&self, mut outsider: impl FnMut(&mut Side<'_>, &str)) {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: only root can do all that the guest does");
            return;
        }
        let Some(mut twins) = Twins::mount(self.setting, "") else {
            return;
        };
        let Some(program) = guest::build(Kind::GlibcStatic, self.source, twins.dir.path()) else {
            return;
        };
        let report = twins.dir.path().join("report.json");
        let answers = twins.dir.path().join("answers");
        mkfifo(&answers, Mode::S_IRWXU).unwrap();
        let mut results = Vec::new();
        let Twins {
            plain,
            bypass,
            policy,
            ..
        } = &mut twins;
        for (twin, run) in [
            (plain, None),
            (bypass, Some((policy.clone(), report.clone()))),
        ] {
            let mut side = Side {
                twin,
                program: program.clone(),
                run,
                later: Vec::new(),
                asked: 0,
                hung: None,
            };
            results.push(side.run(self.name, &answers, &mut outsider));
        }
        let [kernel, finesse] = &results[..] else {
            unreachable!()
        };
        assert_same(self.name, ("FUSE", &kernel.0), ("bypass", &finesse.0));
        // Where a race leaves things is chance.
        if !self.name.starts_with("racing") {
            assert_same(
                self.name,
                ("FUSE's tree", &kernel.1),
                ("bypass's tree", &finesse.1),
            );
        }
        for line in self.says {
            assert!(
                kernel.0.lines().any(|it| it == *line),
                "{line:?}: {}",
                kernel.0
            );
        }
        let report = Report::read(&report);
        for call in self.bypassed {
            assert!(
                report.bypassed(call) > 0 && report.continued(call) == 0,
                "{call}: {report:#?}"
            );
        }
        for call in self.continued {
            assert!(
                report.continued(call) > 0 && report.bypassed(call) == 0,
                "{call}: {report:#?}"
            );
        }
    }

    fn alone(&self) {
        self.same(|_, request| panic!("nobody does {request:?}"));
    }
}

impl Side<'_> {
    /// What the guest printed, and what it left in the mount's source.
    fn run(
        &mut self,
        scenario: &str,
        answers: &Path,
        outsider: &mut impl FnMut(&mut Side<'_>, &str),
    ) -> (String, String) {
        let mountpoint = self.twin.path().to_owned();
        let unmounts = Unmounts(&mountpoint);
        for place in unmounts.beside() {
            fs::create_dir(place).unwrap();
        }
        fs::create_dir(self.work()).unwrap();
        let mut command = self.command();
        command
            .arg(&self.program)
            .arg(scenario)
            .arg(&mountpoint)
            .arg(self.work())
            .arg(answers);
        // For both: so that opening it waits for nobody.
        let mut answer = File::options()
            .read(true)
            .write(true)
            .open(answers)
            .unwrap();
        let mut running = timed::start(&mut command);
        while let Some(request) = self.next_request(&mut running) {
            outsider(self, &request);
            answer.write_all(b"+").unwrap();
        }
        let done = running.finish(LIMIT);
        let warned = |line: &str| line.contains("a file system's process has ended");
        let ended = done.out.ends_with("end\n")
            && done
                .err
                .lines()
                .all(|it| warned(it) && !self.later.is_empty());
        assert!(done.status.success() && ended, "{done:?}");
        let source = &self.twin.source;
        (done.out, tree::describe(source, &mountpoint).join("\n"))
    }

    fn command(&self) -> Command {
        let Some((policy, report)) = &self.run else {
            return timed::command(&["env"]);
        };
        let mut command = timed::command(&[programs::run().unwrap()]);
        command
            .arg("--policy")
            .arg(policy)
            .arg("--report-json")
            .arg(report)
            .arg("--");
        command
    }

    /// What the guest asks for next; none when it has ended.
    fn next_request(&mut self, running: &mut Running) -> Option<String> {
        let mut request = None;
        timed::until("the guest goes on", LIMIT, || {
            let written = running.written();
            let all = written.strip_suffix('\n').unwrap_or_default().lines();
            request = all
                .filter_map(|line| line.strip_prefix("> "))
                .nth(self.asked)
                .map(str::to_owned);
            request.is_some() || running.has_ended()
        });
        self.asked += usize::from(request.is_some());
        request
    }

    fn work(&self) -> PathBuf {
        self.twin.path().join("work")
    }

    /// Mounts again what is below `source` in the twin's directory.
    fn mount_again(&mut self, source: &Path) {
        let program = match self.run {
            Some(_) => programs::mount().unwrap(),
            None => programs::mount_plain().unwrap(),
        };
        let request = MountRequest {
            options: vec![OsString::from("--allow-other")],
            ..MountRequest::new(&program, FileSystem::Passthrough(source))
        };
        self.later.push(request.start(self.twin.path()).unwrap());
    }

    /// Where the latest mount's process is.
    fn server(&self) -> Pid {
        let mounted = self.later.last().unwrap_or(&self.twin.mounted);
        Pid::from_raw(mounted.pid().unwrap().try_into().unwrap())
    }

    /// Has the latest mount's process unmount and end.
    fn unmount(&self) {
        let server = self.server();
        kill(server, SIGTERM).unwrap();
        timed::until("the file system's process ends", LIMIT, || {
            fs::read_to_string(format!("/proc/{server}/stat"))
                .unwrap()
                .contains(") Z ")
        });
        assert!(!is_fuse_mount(self.twin.path()).unwrap());
    }

    fn detach(&self) {
        umount2(self.twin.path(), MntFlags::MNT_DETACH).unwrap();
    }

    /// Another tree to serve, with the guest's directory in it.
    fn other_source(&self, name: &str) -> PathBuf {
        let source = self.twin.source.with_file_name(name);
        fs::create_dir_all(source.join("work/there")).unwrap();
        source
    }
}

impl Drop for Side<'_> {
    fn drop(&mut self) {
        if let Some(hung) = self.hung {
            let _ = kill(hung, SIGCONT);
        }
        // The latest lies on top.
        while let Some(mounted) = self.later.pop() {
            drop(mounted);
        }
    }
}

/// Takes away what a guest that failed left mounted in, on and beside the mountpoint.
struct Unmounts<'p>(&'p Path);

impl Unmounts<'_> {
    /// Where the guest binds it.
    fn beside(&self) -> [PathBuf; 2] {
        [".outside", ".whole"].map(|name| {
            let mut path = self.0.as_os_str().to_owned();
            path.push(name);
            path.into()
        })
    }
}

impl Drop for Unmounts<'_> {
    fn drop(&mut self) {
        let mut left = Vec::from(self.beside());
        left.extend(["over", "place", "x"].map(|name| self.0.join("work").join(name)));
        for path in left {
            let _ = umount2(&path, MntFlags::MNT_DETACH);
        }
    }
}

/// A scenario about callers, all of whose mkdirs are bypassed.
fn callers(name: &'static str, says: &[&str]) {
    let scenario = Scenario {
        setting: FOR_ALL,
        source: CALLERS,
        name,
        says,
        bypassed: &["mkdir"],
        continued: &[],
    };
    scenario.alone();
}

fn places<'a>(
    name: &'static str,
    says: &'a [&'a str],
    bypassed: &'a [&'a str],
    continued: &'a [&'a str],
) -> Scenario<'a> {
    Scenario {
        setting: FOR_ALL,
        source: PLACES,
        name,
        says,
        bypassed,
        continued,
    }
}

const ALL_BYPASSED: [&str; 2] = ["mkdir", "mkdirat"];
const ALL_CONTINUED: [&str; 2] = ["mknod", "mknodat"];

#[test]
fn credentials_of_one_thread() {
    callers(
        "credentials",
        &[
            "setfsuid, who changed: mkdir done, mode 755 owner 1000:0",
            "setfsuid, who changed: mkdir EACCES",
            "setfsuid, the other: mkdir done, mode 755 owner 0:0",
            "setgroups and setfsuid: mkdir done, mode 755 owner 1000:0",
            "capset, who dropped: mkdir EACCES",
            "setresuid with capabilities kept, who changed: mkdir done, mode 755 owner 1000:0",
        ],
    );
}

#[test]
fn credentials_that_a_child_inherits() {
    callers(
        "inheritance",
        &[
            "child of a user still: mkdir EACCES",
            "child, root: mkdir done, mode 755 owner 0:0",
        ],
    );
}

#[test]
fn numbers_of_processes_that_come_again() {
    callers(
        "numbers",
        &[
            "first of that number: mkdir done, mode 700 owner 1000:0",
            "second of that number: mkdir done, mode 755 owner 0:0",
        ],
    );
}

#[test]
fn credentials_that_change_all_the_time() {
    callers("racing-credentials", &["thread: 0 wrong", "main: 0 wrong"]);
}

#[test]
fn umasks_of_another_thread() {
    callers(
        "umasks",
        &[
            "main after another thread's umask: mkdir done, mode 700 owner 0:0",
            "main after its child's umask: mkdir done, mode 700 owner 0:0",
            "child after its umask: mkdir done, mode 777 owner 0:0",
        ],
    );
}

#[test]
fn umasks_that_change_all_the_time() {
    callers(
        "racing-umasks",
        &[
            "umask: 0 neither, 0 stale, both",
            "two umasks at once: 0 wrong",
        ],
    );
}

#[test]
fn working_directories_of_others() {
    let says = [
        "main after the thread's fchdir to b: mkdir done, mode 755 owner 0:0",
        "main after its sharer's chdir to c: mkdir done, mode 755 owner 0:0",
    ];
    places("cwd", &says, &["mkdir"], &["mknod"]).alone();
    let says = ["chdir: 0 neither, 0 stale, both"];
    places("racing-cwd", &says, &["mkdir"], &[]).alone();
}

#[test]
fn directories_above_the_cwd_that_move() {
    let says = [
        "by the old name: mkdir ENOENT",
        "after its own rename: mkdir done, mode 755 owner 0:0",
        "child in another directory: mkdir done, mode 755 owner 0:0",
    ];
    places("moved", &says, &ALL_BYPASSED, &["mknod"]).same(|side, request| {
        let moved = |from: &str, to: &str| {
            fs::rename(side.work().join(from), side.work().join(to)).unwrap();
        };
        match request {
            "mv p2 p3" => moved("p2", "p3"),
            "mv p3/q q3" => moved("p3/q", "q3"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn directories_that_are_removed() {
    let says = [
        "removed by itself: mknod ENOENT",
        "removed by its child: mknodat ENOENT",
        "removed by somebody: mknod ENOENT",
        "removed by somebody: mkdir done, mode 755 owner 0:0",
    ];
    places("removed", &says, &["mkdir"], &ALL_CONTINUED).same(|side, request| {
        assert_eq!(request, "rmdir others");
        fs::remove_dir(side.work().join("others")).unwrap();
    });
}

#[test]
fn numbers_of_descriptors_that_come_again() {
    let says = [
        "closed: mknodat EBADF",
        "b under the same number: mkdirat done, mode 755 owner 0:0",
        "no directory by dup3: mknodat ENOTDIR",
        "closed by close_range: mknodat EBADF",
    ];
    places("descriptors", &says, &ALL_BYPASSED, &["mknodat"]).alone();
    let says = [
        "dup2: 0 neither, 0 stale, both",
        "close and open: 0 neither, 0 stale, both",
    ];
    places("racing-descriptors", &says, &["mkdir"], &[]).alone();
}

#[test]
fn descriptors_of_processes() {
    let says = [
        "parent has closed it: mknodat EBADF",
        "closed by the process that shares: mknodat EBADF",
    ];
    places("processes", &says, &ALL_BYPASSED, &["mknodat"]).alone();
}

#[test]
fn descriptors_from_elsewhere() {
    let says = ["b, by pidfd_getfd at 100: mkdirat done, mode 755 owner 0:0"];
    places("received", &says, &ALL_BYPASSED, &[]).alone();
}

#[test]
fn descriptors_and_cwd_across_exec() {
    let says = [
        "before, to be closed: mkdirat done, mode 755 owner 0:0",
        "after, closed: mknodat EBADF",
        "after, kept: mkdirat done, mode 750 owner 0:0",
    ];
    places("exec", &says, &ALL_BYPASSED, &["mknodat"]).alone();
}

#[test]
fn what_a_thread_no_longer_shares() {
    let says = ["thread with its own descriptors, b: mknodat done, mode 644 owner 0:0"];
    places("unshared", &says, &ALL_BYPASSED, &ALL_CONTINUED).alone();
}

#[test]
fn mounts_over_a_directory() {
    places("covered", &[], &ALL_BYPASSED, &ALL_CONTINUED).same(|side, request| {
        let over = side.work().join("over");
        match request {
            "cover over" => {
                mount(
                    Some("none"),
                    &over,
                    Some("tmpfs"),
                    MsFlags::empty(),
                    None::<&str>,
                )
                .unwrap();
            }
            "uncover over" => umount2(&over, MntFlags::empty()).unwrap(),
            other => panic!("{other:?}"),
        }
    });
    let says = ["mount: 0 neither, 0 stale, both"];
    places("racing-mounts", &says, &[], &[]).alone();
}

#[test]
fn mounts_of_the_same_file_system() {
    places("bound", &[], &ALL_BYPASSED, &ALL_CONTINUED).alone();
}

#[test]
fn mounts_over_the_mount() {
    let says = [
        "read-only: mknod EROFS",
        "read-only file system: mknod EROFS",
    ];
    places("covered-mount", &says, &ALL_BYPASSED, &ALL_CONTINUED).alone();
}

#[test]
fn another_mount_at_the_same_place() {
    let says = ["the old one, from its cwd: mknod done, mode 644 owner 0:0"];
    places("anew", &says, &["mkdir"], &ALL_CONTINUED).same(|side, request| {
        let source = side.twin.source.clone();
        match request {
            "mount anew" => {
                side.unmount();
                side.mount_again(&source);
            }
            "mount another" => {
                side.unmount();
                let other = side.other_source("other");
                side.mount_again(&other);
            }
            "mount anew over the old one" => {
                side.detach();
                side.mount_again(&source);
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn another_mount_after_one_that_hung() {
    places("anew-after-a-hang", &[], &["mkdir"], &[]).same(|side, request| {
        let mut source = side.twin.source.clone();
        match request {
            "mount anew" => side.unmount(),
            "hang and mount anew" => {
                let hung = side.server();
                kill(hung, SIGSTOP).unwrap();
                side.hung = Some(hung);
                side.detach();
                source = side.other_source("other");
            }
            other => panic!("{other:?}"),
        }
        side.mount_again(&source);
    });
}

#[test]
fn directories_above_the_mount_that_move() {
    let says = ["its old name: mknod ENOENT"];
    let scenario = places("moved-mountpoint", &says, &ALL_BYPASSED, &["mknod"]);
    scenario.same(|side, request| {
        let above = side.twin.path().parent().unwrap();
        let away = above.with_file_name("away");
        match request {
            "mv above away" => fs::rename(above, away).unwrap(),
            "mkdir above" => fs::create_dir_all(side.work().join("there")).unwrap(),
            "mv above back" => {
                fs::remove_dir_all(above).unwrap();
                fs::rename(away, above).unwrap();
            }
            other => panic!("{other:?}"),
        }
    });
}
