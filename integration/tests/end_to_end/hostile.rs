//! A file system's process, or a supervisor, that has gone mad: it answers what was not asked, or writes random
//! bytes over the whole shared memory. The honest side neither crashes nor hangs, and whom it serves notices at
//! most that calls fail.
//!
//! `FINESSE_HOSTILE_SECONDS` (default 2) says how long each writes.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use finesse_channel::{Client, Server};
use finesse_integration::programs;
use finesse_wire::{
    Call, CallerId, Credentials, MAX_REPLY, MAX_REQUEST, NodeId, NotMine, Place, Reply, Request,
    SetTime, Stat, Statfs,
};

use crate::doors::{device_of, geometry, put_door};
use crate::environment::number;
use crate::guest::{self, Kind};
use crate::peer::{self, FakeRuntime, keep_session};
use crate::timed;
use crate::twins::{Setting, Twins};

const LIMIT: Duration = Duration::from_secs(60);
/// A call that takes longer hangs.
const HANGS: u64 = 5000;

fn duration() -> Duration {
    Duration::from_secs(number("FINESSE_HOSTILE_SECONDS", 2))
}

/// A small generator (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_le_bytes()[3]).collect()
    }

    /// Small and extreme values, and plausible states.
    fn word(&mut self) -> u32 {
        let random = (self.next() >> 32) as u32;
        match self.next() % 3 {
            0 => random % 64,
            1 => u32::MAX - random % 64,
            _ => random,
        }
    }
}

/// Where words lie that mean something; the rest is payload. See the map in finesse-channel's documentation.
const PAGE: usize = 4096;
const WORDS: usize = 2 * PAGE;

/// Writes at random over the whole of `memory` until told to stop.
fn scribble(memory: &File, seed: u64, stop: &AtomicBool) -> u64 {
    let size = usize::try_from(memory.metadata().unwrap().len()).unwrap();
    let pages = (size - WORDS) / PAGE;
    let (mut random, mut writes) = (Random(seed), 0);
    while !stop.load(Ordering::Relaxed) {
        let (offset, bytes) = match random.next() % 8 {
            // Doorbells, of which the first few are in use, and the header's words.
            0..=2 => (
                PAGE + 4 * random.below(16),
                random.word().to_le_bytes().to_vec(),
            ),
            3 => (
                4 * random.below(WORDS / 4),
                random.word().to_le_bytes().to_vec(),
            ),
            // The start of a page: a length, and what follows.
            4..=5 => {
                let len = 4 + random.below(64);
                (WORDS + PAGE * random.below(pages), random.bytes(len))
            }
            _ => {
                let len = 1 + random.below(300);
                (random.below(size - 300), random.bytes(len))
            }
        };
        memory.write_all_at(&bytes, offset as u64).unwrap();
        writes += 1;
        if random.next().is_multiple_of(64) {
            thread::sleep(Duration::from_micros(random.next() % 300));
        }
    }
    writes
}

fn any_reply<'a>(random: &mut Random, bytes: &'a [u8]) -> Reply<'a> {
    let stat = Stat {
        ino: random.next(),
        size: random.next(),
        mode: random.word(),
        ..Stat::default()
    };
    let len = [0, 1, 16, 17, 120, 144, 256, bytes.len()][random.below(8)];
    match random.next() % 7 {
        0 => Reply::Done,
        1 => Reply::Stat(stat),
        2 => Reply::Statfs(Statfs::default()),
        3 => Reply::Bytes(&bytes[..len]),
        4 => Reply::Size(random.word()),
        5 => Reply::NotMine(NotMine::Unsupported),
        _ => Reply::Errno(i32::try_from(1 + random.next() % 511).unwrap()),
    }
}

/// Serves a session as `reply` says, by two threads.
fn serve(
    socket: &OwnedFd,
    device: (u32, u32),
    reply: &(impl Fn(&mut Random, &mut Vec<u8>) + Sync),
    beside: impl Fn(&File, &AtomicBool) + Sync,
) {
    let (server, memory) = Server::create(geometry()).unwrap();
    let file = File::from(memory.try_clone().unwrap());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for seed in [3, 5] {
            let server = &server;
            scope.spawn(move || {
                let (mut request, mut bytes) = (Vec::new(), Vec::new());
                let mut random = Random(seed << 32 | u64::from(std::process::id()));
                while let Some(ticket) = server.next(&mut request) {
                    reply(&mut random, &mut bytes);
                    server.reply(ticket, &bytes);
                }
            });
        }
        scope.spawn(|| beside(&file, &stop));
        keep_session(socket, device, &memory);
        stop.store(true, Ordering::Relaxed);
        server.close();
    });
}

/// The guest on the mount that the impostor has taken over; it finds nothing that must not be.
fn wary(twins: &Twins, program: &Path, arguments: &[&str]) {
    let mut command = timed::command(&[programs::run().unwrap()]);
    command.arg("--policy").arg(&twins.policy).arg("--");
    command.arg(program).arg(twins.plain.path()).args(arguments);
    let done = timed::run(&mut command, LIMIT);
    assert!(done.status.success(), "{done:?}");
    // One line of the supervisor about the impostor, none about itself.
    assert!(
        !done.err.contains("have died") && !done.err.contains("panicked"),
        "{done:?}"
    );
    let longest = done.out.trim_end().rsplit(' ').next().unwrap();
    let longest: u64 = longest.parse().unwrap_or_else(|_| panic!("{done:?}"));
    assert!(longest < HANGS, "a call took {longest} ms: {done:?}");
}

#[test]
fn replies_of_another_form() {
    let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "wary.c", twins.dir.path()) else {
        return;
    };
    let device = device_of(twins.plain.path());
    let stuff = vec![b'x'; MAX_REPLY - 16];
    type Form = fn(&[u8]) -> Reply<'_>;
    // The first reply of a wrong form ends the session, so each is tried on some calls, by the
    // order in which the guest makes them: mknodat, newfstatat, statx, statfs, readlinkat,
    // getxattr, getxattr of a size, listxattr of a size.
    const CALLS: [&str; 8] = ["0", "9", "10", "11", "13", "14", "15", "17"];
    let [mknod, stat, statx, statfs, readlink, xattr, size, list_size] = CALLS;
    let forms: [(Form, &[&str]); 7] = [
        (|_| Reply::Done, &[stat, statfs, readlink, size]),
        (
            |_| Reply::Stat(Stat::default()),
            &[mknod, statfs, readlink, xattr],
        ),
        (
            |_| Reply::Statfs(Statfs::default()),
            &[stat, statx, readlink],
        ),
        (|stuff| Reply::Bytes(stuff), &[mknod, stat, readlink]),
        (|_| Reply::Size(65537), &[mknod, readlink, xattr, size]),
        (|_| Reply::Size(u32::MAX), &[size, list_size]),
        (|_| Reply::Errno(512), &[mknod, stat]),
    ];
    for (form, firsts) in forms {
        let stuff = stuff.clone();
        let session = move |socket: &OwnedFd| {
            let answer = |_: &mut Random, bytes: &mut Vec<u8>| form(&stuff).encode(bytes);
            serve(socket, device, &answer, |_, _| ());
        };
        let fake = FakeRuntime::start(0, session);
        put_door(&twins.plain, &fake.door().to_string());
        for first in firsts {
            wary(&twins, &program, &["1", first]);
        }
    }
}

#[test]
fn a_runtime_that_writes_at_random() {
    let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "wary.c", twins.dir.path()) else {
        return;
    };
    let device = device_of(twins.plain.path());
    let (sessions, writes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (session_count, write_count) = (Arc::clone(&sessions), Arc::clone(&writes));
    let session = move |socket: &OwnedFd| {
        let seed = session_count.fetch_add(1, Ordering::Relaxed) + 1;
        // Every other one answers soundly: then what is written is all that is wrong.
        let stuff = vec![b'x'; MAX_REPLY - 16];
        let answer = |random: &mut Random, bytes: &mut Vec<u8>| {
            let sound = Reply::NotMine(NotMine::Unsupported);
            let reply = if seed.is_multiple_of(2) {
                any_reply(random, &stuff)
            } else {
                sound
            };
            reply.encode(bytes);
            if seed.is_multiple_of(4) && !bytes.is_empty() {
                let at = random.below(bytes.len());
                bytes[at] = random.next().to_le_bytes()[0];
            }
        };
        serve(socket, device, &answer, |memory, stop| {
            thread::sleep(Duration::from_millis(seed % 16));
            let written = scribble(memory, seed << 20 | 1, stop);
            write_count.fetch_add(written, Ordering::Relaxed);
        });
    };
    let fake = FakeRuntime::start(0, session);
    put_door(&twins.plain, &fake.door().to_string());
    let end = Instant::now() + duration();
    let mut runs = 0;
    while Instant::now() < end {
        wary(&twins, &program, &["5"]);
        runs += 1;
    }
    drop(fake);
    let (sessions, writes) = (
        sessions.load(Ordering::Relaxed),
        writes.load(Ordering::Relaxed),
    );
    println!("{runs} programs, {sessions} sessions, {writes} writes");
    assert!(sessions >= runs && writes > 0);
}

/// Requests of all kinds below a directory that nobody else uses.
fn calls() -> Vec<Call<'static>> {
    let place = |path: &'static str| Place {
        base: NodeId::ROOT,
        path: path.as_bytes(),
    };
    let (at, to) = (place("hostile/one"), place("hostile/two"));
    let follow = false;
    vec![
        Call::Mknod {
            at,
            mode: 0o100_644,
            rdev: 0,
        },
        Call::Mkdir {
            at: to,
            mode: 0o755,
        },
        Call::Symlink {
            target: b"hostile",
            at,
        },
        Call::Link {
            from: at,
            to,
            follow,
        },
        Call::Rename {
            from: at,
            to,
            flags: 0,
        },
        Call::Chmod {
            at,
            mode: 0o600,
            follow,
        },
        Call::Chown {
            at,
            uid: 1,
            gid: 1,
            follow,
        },
        Call::Truncate { at, size: 100 },
        Call::Utimens {
            at,
            atime: SetTime::Now,
            mtime: SetTime::At(1, 1),
            follow,
        },
        Call::Setxattr {
            at,
            name: b"user.a",
            value: b"value",
            flags: 0,
            follow,
        },
        Call::Removexattr {
            at,
            name: b"user.a",
            follow,
        },
        Call::Stat { at, follow },
        Call::Access {
            at,
            mode: 4,
            effective: true,
            follow,
        },
        Call::Readlink { at },
        Call::Getxattr {
            at,
            name: b"user.a",
            size: 100,
            follow,
        },
        Call::Listxattr {
            at,
            size: 100,
            follow,
        },
        Call::Statfs { at },
        Call::Unlink { at },
        Call::Rmdir { at: to },
    ]
}

/// Posts requests, most of them spoilt, until told to stop.
fn post(client: &Client, random: &mut Random, is_over: impl Fn() -> bool) -> u64 {
    let calls = calls();
    let (mut bytes, mut reply, mut posted) = (Vec::new(), Vec::new(), 0);
    while !is_over() {
        let request = Request {
            caller: CallerId(1),
            pid: 1,
            umask: 0o22,
            call: calls[random.below(calls.len())],
        };
        request.encode(&mut bytes);
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = random.next().to_le_bytes()[0];
        }
        if random.next().is_multiple_of(16) {
            let len = random.below(MAX_REQUEST.min(3000));
            bytes = random.bytes(len);
        }
        let patience = Duration::from_millis(1);
        // The slots may all be spoilt: then there is another session soon.
        let Ok(pending) = client.post(&bytes, patience) else {
            return posted;
        };
        posted += 1;
        if client.wait(&pending, patience) {
            let _ = client.take(pending, &mut reply);
        } else {
            client.abandon(pending);
        }
    }
    posted
}

/// One hostile session, until its slots are used up or it is told to stop.
fn attack(mount: &Path, seed: u64, stop: &AtomicBool) -> (u64, u64) {
    let door = peer::door_of(mount);
    let socket = peer::knock(&door).unwrap();
    let (_, memory) = peer::hello(&socket, door.token);
    let memory = memory.expect("a welcome with memory");
    peer::register(
        &socket,
        &Credentials {
            capabilities: u64::MAX,
            ..Credentials::default()
        },
    );
    let client = Client::open(&memory).unwrap();
    let file = File::from(memory);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| scribble(&file, seed << 20 | 1, &over));
        let end = Instant::now() + Duration::from_millis(200);
        let is_over = || Instant::now() > end || stop.load(Ordering::Relaxed);
        let posted = post(&client, &mut Random(seed << 24 | 1), is_over);
        over.store(true, Ordering::Relaxed);
        client.close();
        (posted, writer.join().unwrap())
    })
}

/// What /proc says of a process: resident KiB and threads.
fn size_of_process(pid: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (field("VmRSS:"), field("Threads:"))
}

#[test]
fn a_supervisor_that_writes_at_random() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: the hostile supervisor speaks for root");
        return;
    }
    let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "steady.c", twins.dir.path()) else {
        return;
    };
    let mount = twins.bypass.path();
    for dir in ["hostile", "work-of-others"] {
        fs::create_dir(mount.join(dir)).unwrap();
    }
    let server = twins.bypass.mounted.pid().unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let attackers = [1_u64, 2].map(|attacker| {
            let stop = &stop;
            scope.spawn(move || {
                let (mut sessions, mut posted, mut writes) = (0, 0, 0);
                while !stop.load(Ordering::Relaxed) {
                    sessions += 1;
                    let (p, w) = attack(mount, sessions * 2 + attacker, stop);
                    (posted, writes) = (posted + p, writes + w);
                }
                (sessions, posted, writes)
            })
        });
        let (end, mut runs) = (Instant::now() + duration(), 0);
        while Instant::now() < end {
            let work = mount.join(format!("work-of-others/{runs}"));
            fs::create_dir(&work).unwrap();
            let mut command = twins.finesse_run(&["--"]);
            command.arg(&program).arg(&work).arg("50");
            let done = timed::run(&mut command, LIMIT);
            assert!(done.status.success(), "{done:?}");
            assert!(done.out.ends_with("done, unsure of 0\n"), "{done:?}");
            assert_eq!(fs::read_dir(&work).unwrap().count(), 5);
            runs += 1;
        }
        stop.store(true, Ordering::Relaxed);
        for attacker in attackers {
            let (sessions, posted, writes) = attacker.join().unwrap();
            println!("{runs} programs, {sessions} sessions, {posted} requests, {writes} writes");
            assert!(posted > 0 && writes > 0);
        }
    });
    assert_eq!(twins.bypass.mounted.pid(), Some(server));
    timed::until("the hostile sessions have gone", LIMIT, || {
        size_of_process(server).1 < 20
    });
    let (resident, _) = size_of_process(server);
    assert!(resident < 300 * 1024, "{resident} KiB");
    twins.bypass.mounted.unmount().unwrap();
}
