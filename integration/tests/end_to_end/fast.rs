//! A program that posts its requests itself (`finesse-run --fast`).

mod changes;
mod choice;
mod reasons;
mod soundness;
mod threads;
mod unusual;
mod ways;
mod windows;

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use finesse_channel::Server;
use finesse_wire::{FEATURE_DIRECT, FromSupervisor, Reply};
use nix::sys::signal::{SIGKILL, kill};

use crate::doors::{device_of, geometry, put_door};
use crate::guest::{self, Kind};
use crate::lines::assert_same;
use crate::peer::{FakeRuntime, keep_session_and};
use crate::processes;
use crate::report::Report;
use crate::timed;
use crate::tree;
use crate::twins::{Setting, Twins};

const LIMIT: Duration = Duration::from_secs(120);

/// Most calls of the guest need no trap: what suspends the agent is the exception.
const UNTRAPPED: u64 = 300;

fn resident(kind: Kind, setting: Setting) {
    let Some(twins) = Twins::mount(setting, "") else {
        return;
    };
    let Some(program) = guest::build(kind, "resident.c", twins.dir.path()) else {
        return;
    };
    same_and_posted(&twins, |dir| {
        let mut arguments = vec![program.clone().into(), dir.into()];
        if nix::unistd::geteuid().is_root() {
            arguments.push("switch-users".into());
        }
        arguments
    });
}

/// Runs a guest, which is told where, on the plain mount and posting its calls itself.
fn same_and_posted(twins: &Twins, arguments: impl Fn(&Path) -> Vec<OsString>) {
    let untrapped = same(twins, arguments).untrapped();
    assert!(untrapped > UNTRAPPED, "{untrapped} calls without a trap");
}

/// The same, however many calls it posts; the report.
fn same(twins: &Twins, arguments: impl Fn(&Path) -> Vec<OsString>) -> Report {
    let plain = timed::run(&mut timed::command(&arguments(twins.plain.path())), LIMIT);
    let report = twins.dir.path().join("report.json");
    let mut fast: Vec<OsString> = vec!["--report-json".into(), report.clone().into(), "--".into()];
    fast.extend(arguments(twins.bypass.path()));
    let fast = timed::run(&mut twins.finesse_run(&fast), LIMIT);
    assert!(plain.status.success(), "{plain:?}");
    assert_same("output", ("FUSE", &plain.out), ("fast", &fast.out));
    assert!(fast.status.success(), "{fast:?}");
    assert_eq!(fast.err, "");
    let trees = [&twins.plain, &twins.bypass]
        .map(|twin| tree::describe(twin.path(), twin.path()).join("\n"));
    assert_same("tree", ("FUSE", &trees[0]), ("fast", &trees[1]));
    Report::read(&report)
}

const FAST: Setting = Setting {
    fast: true,
    options: &["--allow-other"],
    ..Setting::PASSTHROUGH
};

#[test]
fn a_static_program_posts_itself() {
    resident(Kind::GlibcStatic, FAST);
}

#[test]
fn a_dynamic_program_posts_itself() {
    resident(Kind::GlibcDynamic, FAST);
}

#[test]
fn a_program_posts_itself_to_memory() {
    resident(
        Kind::GlibcStatic,
        Setting {
            memory: true,
            ..FAST
        },
    );
}

/// One session of a runtime that says of all requests that they are done, after `before_reply`; notes whether it
/// is a program's own, which it welcomes after `before_welcome`.
fn do_all(
    socket: &OwnedFd,
    device: (u32, u32),
    is_own: &AtomicBool,
    before_welcome: impl Fn(),
    before_reply: impl Fn() + Sync,
) {
    let (server, memory) = Server::create(geometry()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut request, mut reply) = (Vec::new(), Vec::new());
            while let Some(ticket) = server.next(&mut request) {
                before_reply();
                Reply::Done.encode(&mut reply);
                server.reply(ticket, &reply);
            }
        });
        keep_session_and(socket, device, &memory, |message| {
            if matches!(message, FromSupervisor::Hello { features, .. } if features & FEATURE_DIRECT != 0)
            {
                is_own.store(true, Ordering::SeqCst);
                before_welcome();
            }
        });
        server.close();
    });
}

/// When the workers of a supervisor are killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Killed {
    /// The program's bootstrap waits for the agent.
    WhileAsked,
    /// It has the agent, and waits for a reply.
    Afterwards,
}

/// A file system's process that kills the workers of the supervisor that `policy` tells when an agent is brought in.
/// All requests are done without being done.
#[derive(Debug, Clone)]
struct Killer {
    when: Killed,
    device: (u32, u32),
    policy: std::path::PathBuf,
    /// The program has a session of its own.
    is_coming: Arc<AtomicBool>,
    has_killed: Arc<AtomicBool>,
}

impl Killer {
    fn serve(&self, socket: &OwnedFd) {
        let kill_if = |when| {
            if self.when == when && self.is_coming.load(Ordering::SeqCst) {
                self.kill();
            }
        };
        do_all(
            socket,
            self.device,
            &self.is_coming,
            || kill_if(Killed::WhileAsked),
            || kill_if(Killed::Afterwards),
        );
    }

    fn kill(&self) {
        if self.has_killed.swap(true, Ordering::SeqCst) {
            return;
        }
        let workers = || processes::supervisor(&self.policy).and_then(|it| it.workers);
        kill(workers().expect("workers").pid(), SIGKILL).unwrap();
        timed::until("the workers are dead", LIMIT, || workers().is_none());
    }
}

/// What it printed, making calls all the while.
fn survive(when: Killed) -> Option<String> {
    let setting = Setting {
        fast: true,
        ..Setting::PASSTHROUGH
    };
    let twins = Twins::mount(setting, "")?;
    let program = guest::build(Kind::GlibcStatic, "pairs.c", twins.dir.path())?;
    let killer = Killer {
        when,
        device: device_of(twins.plain.path()),
        policy: twins.policy.clone(),
        is_coming: Arc::default(),
        has_killed: Arc::default(),
    };
    let fake = {
        let killer = killer.clone();
        FakeRuntime::start(nix::unistd::geteuid().as_raw(), move |socket| {
            killer.serve(socket);
        })
    };
    put_door(&twins.plain, &fake.door().to_string());
    let mut command = twins.finesse_run(&["--".as_ref(), program.as_os_str()]);
    let done = timed::run(command.arg(twins.plain.path()), LIMIT);
    assert!(killer.has_killed.load(Ordering::SeqCst), "{done:?}");
    assert!(done.status.success(), "{done:?}");
    Some(done.out)
}

/// It makes its call.
#[test]
fn a_program_survives_the_workers_that_it_asks_for_the_agent() {
    if let Some(out) = survive(Killed::WhileAsked) {
        assert_eq!(out, "failed 0\n");
    }
}

#[test]
fn a_program_survives_the_workers_that_bring_the_agent() {
    if let Some(out) = survive(Killed::Afterwards) {
        // The call that was answered last was not done.
        assert_eq!(out, "failed 1\n");
    }
}
