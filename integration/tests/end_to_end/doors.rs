//! Doors that lead astray, keys that are somebody else's, and mounts and runtimes of other users: nobody gets
//! through the bypass what the kernel would have refused, and a lie about a door costs the bypass alone.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use finesse_channel::{Geometry, Server};
use finesse_integration::mount::{FileSystem, MountRequest, Mounted};
use finesse_integration::programs;
use finesse_wire::{
    CallerId, Credentials, DOOR_NAME, FromRuntime, MAX_REPLY, MAX_REQUEST, PROTOCOL_VERSION,
    Refusal, Reply,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, mknod};
use rustix::fs::{MemfdFlags, SealFlags};

use crate::guest::{self, Kind};
use crate::lines::assert_same;
use crate::peer::{self, FakeRuntime, answer_once, keep_session};
use crate::report::Report;
use crate::timed;
use crate::twins::{self, Setting, Twin, Twins};

const LIMIT: Duration = Duration::from_secs(60);
const USER: u32 = 1000;
const FOR_ALL: Setting = Setting {
    options: &["--allow-other"],
    ..Setting::PASSTHROUGH
};

fn am_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        println!("skipped: only root can become another user");
    }
    is_root
}

/// Device number of a mount's file system.
pub(crate) fn device_of(mount: &Path) -> (u32, u32) {
    let device = fs::metadata(mount).unwrap().dev();
    let part = |number: u64| u32::try_from(number).unwrap();
    (
        part(nix::sys::stat::major(device)),
        part(nix::sys::stat::minor(device)),
    )
}

/// Puts a door of our making into a file system that has none.
pub(crate) fn put_door(twin: &Twin, text: &str) {
    let link = twin.path().join(DOOR_NAME);
    let _ = fs::remove_file(&link);
    symlink(text, link).unwrap();
}

pub(crate) fn geometry() -> Geometry {
    let bytes = |len: usize| u32::try_from(len).unwrap();
    Geometry {
        slots: 64,
        request_max: bytes(MAX_REQUEST),
        reply_max: bytes(MAX_REPLY),
    }
}

/// Serves a session soundly, except that every request is done without being done.
fn do_nothing(socket: &OwnedFd, device: (u32, u32)) {
    let (server, memory) = Server::create(geometry()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut request, mut reply) = (Vec::new(), Vec::new());
            while let Some(ticket) = server.next(&mut request) {
                Reply::Done.encode(&mut reply);
                server.reply(ticket, &reply);
            }
        });
        keep_session(socket, device, &memory);
        server.close();
    });
}

/// Makes a directory under `finesse-run` on the mount without a runtime: what was said, whether there is a
/// directory, and how often the bypass answered.
fn make(twins: &Twins, name: &str) -> (String, bool, u64) {
    let report = twins.dir.path().join("report.json");
    let made = twins.plain.path().join(name);
    let mut command = timed::command(&[programs::run().unwrap()]);
    command.arg("--policy").arg(&twins.policy);
    command.arg("--report-json").arg(&report);
    command.arg("--").arg("mkdir").arg(&made);
    let done = timed::run(&mut command, LIMIT);
    assert!(done.status.success(), "{done:?}");
    let there = twins.plain.source.join(name).exists();
    (done.err, there, Report::read(&report).bypassed("mkdir"))
}

/// As `make`, for a door that must not be believed; the supervisor says why not.
fn assert_left(twins: &Twins, name: &str, why: &str) {
    let (said, there, bypassed) = make(twins, name);
    assert!(
        there && bypassed == 0,
        "{name}: {there}, {bypassed}: {said}"
    );
    assert!(said.contains(why), "{name}: {said}");
}

#[test]
fn another_mounts_door() {
    let Some(twins) = Twins::mount(FOR_ALL, "") else {
        return;
    };
    put_door(
        &twins.plain,
        &peer::door_of(twins.bypass.path()).to_string(),
    );
    assert_left(&twins, "made", "not to the mount's own");
    assert!(!twins.bypass.source.join("made").exists());
}

/// The impostor does all right; who it is decides.
#[test]
fn another_users_socket() {
    if !am_root() {
        return;
    }
    let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
        return;
    };
    let device = device_of(twins.plain.path());
    for (user, name) in [(0, "own"), (USER, "other")] {
        let fake = FakeRuntime::start(user, move |socket| do_nothing(socket, device));
        put_door(&twins.plain, &fake.door().to_string());
        if user == USER {
            assert_left(&twins, name, "belongs to user 1000");
        } else {
            // One's own user is believed: what follows is the difference.
            let (said, there, bypassed) = make(&twins, name);
            assert!(!there && bypassed > 0, "{said}");
        }
    }
}

/// A memory file that is no channel.
fn unsealed() -> OwnedFd {
    let memory = rustix::fs::memfd_create("forged", MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&memory, 1 << 20).unwrap();
    memory
}

fn without_header() -> OwnedFd {
    let memory = unsealed();
    rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW).unwrap();
    memory
}

fn no_memory_at_all() -> OwnedFd {
    File::open("/proc/self/exe").unwrap().into()
}

#[test]
fn doors_that_lie() {
    let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
        return;
    };
    let fine = "finesse:1:finesse-nobody:00000000000000000000000000000000";
    for (name, text, why) in [
        ("words", "nowhere", "cannot be used"),
        ("version", "finesse:999:x:00", "protocol version 999"),
        ("path", "finesse:1:/etc/passwd:00", "cannot be used"),
        ("nobody", fine, "cannot reach"),
    ] {
        put_door(&twins.plain, text);
        assert_left(&twins, name, why);
    }
    let device = device_of(twins.plain.path());
    let refused = FromRuntime::Refused(Refusal::Limit).encode();
    let registered = FromRuntime::Registered {
        caller: CallerId(1),
    };
    let other_version = FromRuntime::Welcome {
        version: PROTOCOL_VERSION + 1,
        features: 0,
        device,
    };
    let welcome = || peer::welcome(device);
    let stranger = peer::welcome((device.0, device.1 + 1));
    type Memory = Option<fn() -> OwnedFd>;
    let lies: [(&str, Vec<u8>, Memory, &str); 9] = [
        ("refuses", refused, None, "refuses: Limit"),
        ("out-of-turn", registered.encode(), None, "out of turn"),
        ("new", other_version.encode(), None, "protocol version"),
        ("stranger", stranger, Some(unsealed), "not to the mount's"),
        ("empty-handed", welcome(), None, "out of turn"),
        ("garbage", b"GET / HTTP/1.1".to_vec(), None, "protocol"),
        ("unsealed", welcome(), Some(unsealed), "sealed"),
        (
            "blank",
            welcome(),
            Some(without_header),
            "left to the kernel",
        ),
        (
            "file",
            welcome(),
            Some(no_memory_at_all),
            "left to the kernel",
        ),
    ];
    for (name, answer, memory, why) in lies {
        let session =
            move |socket: &OwnedFd| answer_once(socket, &answer, memory.map(|it| it()).as_ref());
        let fake = FakeRuntime::start(0, session);
        put_door(&twins.plain, &fake.door().to_string());
        assert_left(&twins, name, why);
    }
    // One that says nothing: nobody waits long for it.
    let fake = FakeRuntime::start(0, |socket| answer_once(socket, &[], None));
    put_door(&twins.plain, &fake.door().to_string());
    assert_left(&twins, "silent", "");
}

fn refused(why: Refusal) -> Option<FromRuntime> {
    Some(FromRuntime::Refused(why))
}

fn is_welcome(answer: &Option<FromRuntime>) -> bool {
    matches!(answer, Some(FromRuntime::Welcome { .. }))
}

/// What the door of `mount` answers to a token that another user shows.
fn hello_of_another_user(mount: &Path, then: impl FnOnce(&OwnedFd, Option<FromRuntime>) + Send) {
    let door = peer::door_of(mount);
    thread::scope(|scope| {
        scope.spawn(|| {
            peer::become_user(USER);
            let socket = peer::knock(&door).unwrap();
            let (answer, _memory) = peer::hello(&socket, door.token);
            then(&socket, answer);
        });
    });
}

#[test]
fn tokens_open_their_own_door_only() {
    if !am_root() {
        return;
    }
    let (Some(ones), Some(others)) = (
        Twins::mount(FOR_ALL, ""),
        Twins::mount(Setting::PASSTHROUGH, ""),
    ) else {
        return;
    };
    let (one, other) = (
        peer::door_of(ones.bypass.path()),
        peer::door_of(others.bypass.path()),
    );
    let say = |door, token| peer::hello(&peer::knock(door).unwrap(), token).0;
    assert!(is_welcome(&say(&one, one.token)) && is_welcome(&say(&one, one.token)));
    assert_eq!(say(&other, one.token), refused(Refusal::Token));
    // One that leaked does not make its bearer the owner.
    hello_of_another_user(others.bypass.path(), |_, answer| {
        assert_eq!(answer, refused(Refusal::NotAllowed));
    });
    // Nor one that may use the mount anybody but himself.
    hello_of_another_user(ones.bypass.path(), |socket, answer| {
        assert!(is_welcome(&answer));
        let himself = Credentials {
            uids: [USER; 4],
            ..Credentials::default()
        };
        let mut impostors = [(); 4].map(|()| himself.clone());
        impostors[0].uids[1] = 0;
        impostors[1].uids[3] = USER + 1;
        impostors[2].groups.push(12345);
        impostors[3].capabilities = 1 << 1;
        for credentials in &impostors {
            let answer = peer::register(socket, credentials);
            assert_eq!(answer, refused(Refusal::NotAllowed), "{credentials:?}");
        }
        let answer = peer::register(socket, &himself);
        assert!(matches!(answer, Some(FromRuntime::Registered { .. })));
    });
}

#[test]
fn a_token_dies_with_its_mount() {
    if !twins::have_fuse() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let program = programs::mount().unwrap();
    let mount = || MountRequest::new(&program, FileSystem::Memory).start(dir.path());
    let mounted = mount().unwrap();
    let before = peer::door_of(dir.path());
    mounted.unmount().unwrap();
    assert!(peer::knock(&before).is_err());
    let mounted = mount().unwrap();
    let after = peer::door_of(dir.path());
    let socket = peer::knock(&after).unwrap();
    assert_eq!(
        peer::hello(&socket, before.token).0,
        refused(Refusal::Token)
    );
    mounted.unmount().unwrap();
}

/// A place that other users can reach, with `finesse-run` in it: the target directory may be closed to them.
struct Common {
    program: PathBuf,
    supervisor: PathBuf,
    report: PathBuf,
}

impl Common {
    fn in_dir(dir: &Path) -> Option<Common> {
        let program = guest::build(Kind::GlibcStatic, "confine.c", dir)?;
        let (supervisor, report) = (dir.join("run"), dir.join("report.json"));
        fs::copy(programs::run().unwrap(), &supervisor).unwrap();
        fs::write(&report, "").unwrap();
        fs::set_permissions(&report, fs::Permissions::from_mode(0o666)).unwrap();
        Some(Common {
            program,
            supervisor,
            report,
        })
    }

    /// What `user` gets below `mount` in `work` through the kernel, or through `finesse-run`.
    fn reach(&self, user: u32, policy: Option<&Path>, mount: &Path, work: &Path) -> timed::Done {
        let mut command = timed::command(&["setpriv", "--clear-groups"]);
        command.arg(format!("--reuid={user}"));
        command.arg(format!("--regid={user}"));
        if let Some(policy) = policy {
            command.arg(&self.supervisor).arg("--policy").arg(policy);
            command.arg("--report-json").arg(&self.report).arg("--");
        }
        command.arg(&self.program).arg("reach").arg(mount).arg(work);
        let done = timed::run(&mut command, LIMIT);
        assert!(done.status.success(), "{done:?}");
        done
    }
}

/// Of a mount for all, another user's `finesse-run` serves what is that user's to do.
#[test]
fn another_users_supervisor_on_a_mount_for_all() {
    if !am_root() {
        return;
    }
    let Some(twins) = Twins::mount(FOR_ALL, "") else {
        return;
    };
    let Some(common) = Common::in_dir(twins.dir.path()) else {
        return;
    };
    let mount = twins.bypass.path();
    let work = mount.join("work");
    let reach = |mode, policy| {
        fs::create_dir_all(work.join("old")).unwrap();
        fs::write(work.join("victim"), "").unwrap();
        fs::set_permissions(&work, fs::Permissions::from_mode(mode)).unwrap();
        let done = common.reach(USER, policy, mount, &work);
        fs::remove_dir_all(&work).unwrap();
        done
    };
    for (mode, says) in [
        (0o777, "in a program: mkdirat done\n"),
        (0o1777, "in a program: unlinkat of what was there EPERM\n"),
        (0o755, "in a program: mkdirat EACCES\n"),
    ] {
        let kernel = reach(mode, None);
        let bypass = reach(mode, Some(&twins.policy));
        assert_same("modes", ("FUSE", &kernel.out), ("bypass", &bypass.out));
        assert!(kernel.out.contains(says), "{mode:o}: {kernel:?}");
        let report = Report::read(&common.report);
        assert!(report.bypassed("mkdirat") > 0, "{report:?}");
    }
}

/// Opens /dev/fuse to everybody, as it is on most machines, for this thread and what it starts: in a mount
/// namespace of its own, by another device node in `dir`. False where that cannot be done.
fn open_device(dir: &Path) -> bool {
    let is_open = |device: &Path| {
        let mode = fs::metadata(device).unwrap().permissions().mode();
        mode & 0o006 == 0o006 && File::options().read(true).write(true).open(device).is_ok()
    };
    let fuse = Path::new("/dev/fuse");
    if is_open(fuse) {
        return true;
    }
    let node = dir.join("fuse");
    let number = fs::metadata(fuse).unwrap().rdev();
    if mknod(&node, SFlag::S_IFCHR, Mode::empty(), number).is_err() {
        println!("skipped: no device node can be made");
        return false;
    }
    fs::set_permissions(&node, fs::Permissions::from_mode(0o666)).unwrap();
    if !is_open(&node) {
        println!("skipped: device nodes in {} are none", dir.display());
        return false;
    }
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
    let nothing = None::<&Path>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(nothing, "/", nothing, private, nothing).unwrap();
    // Those of other tests would not end while this namespace lasts.
    let table = fs::read_to_string("/proc/thread-self/mounts").unwrap();
    for line in table.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        if fields[2] == "fuse" || fields[2].starts_with("fuse.") {
            let _ = umount2(fields[1], MntFlags::MNT_DETACH);
        }
    }
    mount(Some(&node), fuse, nothing, MsFlags::MS_BIND, nothing).unwrap();
    true
}

/// Mounts as `USER`, for `USER` alone.
fn users_own_mount(dir: &Path) -> Mounted {
    let (server, wrapper) = (dir.join("serve"), dir.join("wrapper"));
    fs::copy(programs::mount().unwrap(), &server).unwrap();
    let script = format!(
        "#!/bin/sh\nexec setpriv --reuid={USER} --regid={USER} --clear-groups {} \"$@\"\n",
        server.display()
    );
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let (source, at) = (dir.join("source"), dir.join("at"));
    for made in [&source, &at] {
        fs::create_dir(made).unwrap();
        chown(made, Some(USER), Some(USER)).unwrap();
    }
    let request = MountRequest::new(&wrapper, FileSystem::Passthrough(&source));
    request.start(&at).unwrap()
}

/// Not even root gets into a user's mount for its owner, neither way; its owner does, both ways.
#[test]
fn another_users_runtime() {
    if am_root() && twins::have_fuse() {
        // Which may have a mount namespace of its own.
        thread::scope(|scope| scope.spawn(reach_another_users_mount).join().unwrap());
    }
}

fn reach_another_users_mount() {
    let dir = tempfile::tempdir().unwrap();
    twins::open_to_all(dir.path());
    let policy = dir.path().join("policy.toml");
    fs::write(&policy, twins::BYPASS_ALL).unwrap();
    let Some(common) = Common::in_dir(dir.path()) else {
        return;
    };
    if !open_device(dir.path()) {
        return;
    }
    let mounted = users_own_mount(dir.path());
    let work = mounted.path();
    let reach = |user, policy| {
        let done = common.reach(user, policy, work, work);
        // Through the mount: it may remember for a while what went behind its back.
        let owner = format!("--reuid={USER} --regid={USER} --clear-groups");
        let mut clean = timed::command(&["setpriv"]);
        clean.args(owner.split(' ')).args(["find"]).arg(work);
        clean.args(["-mindepth", "1", "-delete"]);
        let cleaned = timed::run(&mut clean, LIMIT);
        assert!(cleaned.status.success(), "{cleaned:?}");
        done
    };
    for (user, says, is_bypassed) in [
        (0, "in a program: mkdirat EACCES\n", false),
        (USER, "in a program: mkdirat done\n", true),
    ] {
        let kernel = reach(user, None);
        let bypass = reach(user, Some(&policy));
        let who = format!("user {user}");
        assert_same(&who, ("FUSE", &kernel.out), ("bypass", &bypass.out));
        assert!(kernel.out.contains(says), "{kernel:?}");
        let report = Report::read(&common.report);
        assert_eq!(report.bypassed("mkdirat") > 0, is_bypassed, "{report:?}");
        assert!(is_bypassed || report.continued("mkdirat") > 0, "{report:?}");
    }
    mounted.unmount().unwrap();
}
