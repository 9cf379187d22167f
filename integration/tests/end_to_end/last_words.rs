//! A file system's process that ends as soon as it has answered: the answer counts.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::Duration;

use finesse_channel::Server;
use finesse_integration::programs;
use finesse_wire::Reply;
use nix::sys::signal::{SIGCONT, SIGSTOP, kill};
use rustix::net::{Shutdown, shutdown};

use crate::doors::{device_of, geometry, put_door};
use crate::peer::{FakeRuntime, keep_session};
use crate::processes::{self, is_stopped};
use crate::report::Report;
use crate::timed;
use crate::twins::{Setting, Twins};

const LIMIT: Duration = Duration::from_secs(60);
/// Whether the answer or the end is noticed first is chance.
const TRIES: usize = 12;

/// Answers one request and is gone, both while the workers of the supervisor that `policy` tells sleep.
fn answer_and_end(socket: &OwnedFd, device: (u32, u32), policy: &Path) {
    let (server, memory) = Server::create(geometry()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut request, mut reply) = (Vec::new(), Vec::new());
            let Some(ticket) = server.next(&mut request) else {
                return;
            };
            let supervisor = processes::supervisor(policy).expect("a supervisor");
            let workers = supervisor.workers.expect("workers").pid();
            kill(workers, SIGSTOP).unwrap();
            timed::until("the workers have stopped", LIMIT, || is_stopped(workers));
            Reply::Done.encode(&mut reply);
            server.reply(ticket, &reply);
            shutdown(socket.as_fd(), Shutdown::Both).unwrap();
            kill(workers, SIGCONT).unwrap();
        });
        keep_session(socket, device, &memory);
        server.close();
    });
}

#[test]
fn an_answer_before_the_end_counts() {
    let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
        return;
    };
    let device = device_of(twins.plain.path());
    let report = twins.dir.path().join("report.json");
    let policy = twins.policy.clone();
    let fake = FakeRuntime::start(nix::unistd::geteuid().as_raw(), move |socket| {
        answer_and_end(socket, device, &policy);
    });
    put_door(&twins.plain, &fake.door().to_string());
    for number in 0..TRIES {
        let made = twins.plain.path().join(number.to_string());
        let mut command = timed::command(&[programs::run().unwrap()]);
        command.arg("--policy").arg(&twins.policy);
        command.arg("--report-json").arg(&report);
        command.arg("--").arg("mkdir").arg(&made);
        let done = timed::run(&mut command, LIMIT);
        assert!(done.status.success(), "{number}: {done:?}");
        assert!(!made.exists(), "{number}: made twice");
        assert_eq!(Report::read(&report).bypassed("mkdir"), 1, "{number}");
    }
}
