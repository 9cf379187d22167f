use finesse_wire::SetTime;
use fuser::{FileType, InitFlags, TimeOrNow};
use std::time::SystemTime;

use super::*;

fn chmod(path: &str, mode: u32) -> Call<'_> {
    Call::Chmod {
        at: at(path),
        mode,
        follow: true,
    }
}

fn chown(path: &str, uid: u32, gid: u32) -> Call<'_> {
    Call::Chown {
        at: at(path),
        uid,
        gid,
        follow: false,
    }
}

fn truncate(path: &str, size: i64) -> Call<'_> {
    Call::Truncate { at: at(path), size }
}

fn utimens(path: &str, atime: SetTime, mtime: SetTime) -> Call<'_> {
    Call::Utimens {
        at: at(path),
        atime,
        mtime,
        follow: true,
    }
}

fn tree(world: &World) {
    world.fs.file("f");
    world.fs.dir("d");
    world.fs.symlink_to("l", "f");
    world.fs.make("p", FileType::NamedPipe, 0o666);
    world.fs.make("s", FileType::RegularFile, 0o6755);
}

fn mode_of(world: &World, path: &str) -> u16 {
    let node = world.fs.find(path);
    world.fs.nodes.lock()[&node].attr.perm
}

#[test]
fn chmod_decides_as_chmod_common() {
    let world = World::new();
    tree(&world);
    let no_follow = Call::Chmod {
        at: at("l"),
        mode: 0o600,
        follow: false,
    };
    assert_eq!(world.run(no_follow), errno(libc::EOPNOTSUPP));
    assert_eq!(world.run(chmod("none", 0)), errno(libc::ENOENT));
    assert_eq!(world.run(chmod("l", 0o170_600)), Got::Done);
    assert_eq!(mode_of(&world, "f"), 0o600);
    assert_eq!(world.fs.changes.lock()[0].mode, Some(libc::S_IFREG | 0o600));
    // Without default_permissions the file system is asked, and setgid is its business.
    assert_eq!(world.run_as(&user(7), chmod("f", 0o2711)), Got::Done);
    assert_eq!(mode_of(&world, "f"), 0o2711);
    assert_eq!(world.run(chmod("d/", 0o700)), Got::Done);
    assert_eq!(mode_of(&world, "d"), 0o700);
}

#[test]
fn chmod_on_a_checked_mount_needs_the_owner() {
    let world = World::checked();
    tree(&world);
    assert_eq!(
        world.run_as(&user(7), chmod("f", 0o777)),
        errno(libc::EPERM)
    );
    let f = world.fs.find("f");
    world.fs.edit(f, |file| file.attr.gid = 33);
    assert_eq!(world.run(chmod("f", 0o2755)), Got::Done);
    assert_eq!(mode_of(&world, "f"), 0o755);
    assert_eq!(world.run_as(&root(), chmod("f", 0o2755)), Got::Done);
    assert_eq!(mode_of(&world, "f"), 0o2755);
}

#[test]
fn a_read_only_mount_refuses_after_the_walk() {
    let world = World::read_only();
    tree(&world);
    let now = SetTime::Now;
    for call in [
        chmod("f", 0),
        chown("f", 1, 1),
        truncate("f", 0),
        utimens("f", now, now),
    ] {
        assert_eq!(world.run(call), errno(libc::EROFS), "{call:?}");
    }
    assert_eq!(world.run(chmod("none", 0)), errno(libc::ENOENT));
    assert_eq!(world.run(truncate("d", 0)), errno(libc::EISDIR));
}

#[test]
fn chown_clears_privileges_of_files() {
    let world = World::new();
    tree(&world);
    assert_eq!(world.run(chown("s", u32::MAX, u32::MAX)), Got::Done);
    assert_eq!(mode_of(&world, "s"), 0o755);
    assert_eq!(world.run(chown("d", 5, u32::MAX)), Got::Done);
    let changes = world.fs.changes.lock().clone();
    assert_eq!(changes[0].mode, Some(libc::S_IFREG | 0o755));
    assert_eq!((changes[0].uid, changes[0].gid), (None, None));
    assert_eq!(
        (changes[1].uid, changes[1].gid, changes[1].mode),
        (Some(5), None, None)
    );
}

#[test]
fn the_file_system_clears_privileges_when_it_said_so() {
    let world = World::with(|mount| {
        mount.negotiated.settle(InitFlags::FUSE_HANDLE_KILLPRIV, 1);
    });
    tree(&world);
    assert_eq!(world.run(chown("s", 5, 5)), Got::Done);
    assert_eq!(world.fs.changes.lock()[0].mode, None);
}

#[test]
fn chown_on_a_checked_mount_keeps_the_rules() {
    let world = World::checked();
    tree(&world);
    assert_eq!(world.run(chown("f", 1000, 1000)), Got::Done);
    assert_eq!(world.run(chown("f", 1001, u32::MAX)), errno(libc::EPERM));
    assert_eq!(world.run(chown("f", u32::MAX, 33)), errno(libc::EPERM));
    let mut member = user(1000);
    member.groups = vec![33];
    assert_eq!(world.run_as(&member, chown("f", u32::MAX, 33)), Got::Done);
    assert_eq!(
        world.run_as(&user(7), chown("f", u32::MAX, 7)),
        errno(libc::EPERM)
    );
    assert_eq!(world.run_as(&root(), chown("f", 7, 7)), Got::Done);
}

#[test]
fn truncate_decides_as_vfs_truncate() {
    let world = World::checked();
    tree(&world);
    assert_eq!(world.run(truncate("none", -1)), errno(libc::EINVAL));
    assert_eq!(world.run(truncate("none", 0)), errno(libc::ENOENT));
    assert_eq!(
        world.run_as(&user(7), truncate("d", 0)),
        errno(libc::EISDIR)
    );
    assert_eq!(
        world.run_as(&user(7), truncate("p", 0)),
        errno(libc::EINVAL)
    );
    assert_eq!(
        world.run_as(&user(7), truncate("f", 0)),
        errno(libc::EACCES)
    );
    assert_eq!(world.run(truncate("l", 77)), Got::Done);
    assert_eq!(world.fs.changes.lock()[0].size, Some(77));
    // The owner lacks CAP_FSETID, root does not.
    assert_eq!(world.run_as(&root(), truncate("s", 0)), Got::Done);
    assert_eq!(mode_of(&world, "s"), 0o6755);
    assert_eq!(world.run(truncate("s", 0)), Got::Done);
    assert_eq!(mode_of(&world, "s"), 0o755);
}

#[test]
fn owner_mode_and_size_of_what_the_kernel_holds_are_left_to_it() {
    let world = World::new();
    tree(&world);
    let held = not_mine(NotMine::HeldByKernel);
    assert_eq!(world.run(chmod("", 0o711)), held);
    world.kernel_knows(1, "f", world.fs.find("f"));
    assert_eq!(world.run(chmod("f", 0o600)), held);
    assert_eq!(world.run(chown("f", 1, 1)), held);
    assert_eq!(world.run(truncate("f", 0)), held);
    assert!(world.fs.changes.lock().is_empty());
}

#[test]
fn for_what_the_kernel_will_do_anyway_nothing_is_asked() {
    let world = World::new();
    tree(&world);
    world.kernel_knows(1, "f", world.fs.find("f"));
    world.kernel_knows(1, "none", 0);
    world.fs.took();
    let held = not_mine(NotMine::HeldByKernel);
    for name in ["f", "none"] {
        assert_eq!(world.run(chmod(name, 0o600)), held);
        assert_eq!(world.run(chown(name, 1, 1)), held);
        assert_eq!(world.run(truncate(name, 0)), held);
    }
    assert_eq!(world.fs.took(), Vec::<String>::new());
    // Times are changed here, so the name is looked up.
    let now = utimens("f", SetTime::Now, SetTime::Now);
    assert_eq!(world.run(now), Got::Done);
    assert!(!world.fs.took().is_empty());
}

#[test]
fn files_with_capabilities_are_left_to_the_kernel() {
    let world = World::new();
    tree(&world);
    let f = world.fs.find("f");
    world.fs.edit(f, |file| {
        file.xattrs.insert(b"security.capability".to_vec(), vec![1]);
    });
    assert_eq!(world.run(truncate("f", 0)), not_mine(NotMine::Unsupported));
    assert_eq!(world.run(chown("f", 1, 1)), not_mine(NotMine::Unsupported));
    assert!(world.fs.changes.lock().is_empty());
}

#[test]
fn times_need_the_owner_or_write_permission_for_now() {
    use SetTime::{At, Now, Omit};
    let world = World::checked();
    tree(&world);
    let other = user(7);
    assert_eq!(world.run_as(&other, utimens("none", Omit, Omit)), Got::Done);
    assert_eq!(
        world.run_as(&other, utimens("f", Now, Now)),
        errno(libc::EACCES)
    );
    assert_eq!(
        world.run_as(&other, utimens("f", Now, Omit)),
        errno(libc::EPERM)
    );
    assert_eq!(world.run_as(&other, utimens("p", Now, Now)), Got::Done);
    assert_eq!(
        world.run_as(&other, utimens("p", At(1, 0), Now)),
        errno(libc::EPERM)
    );
    world.fs.changes.lock().clear();
    assert_eq!(world.run(utimens("f", At(-1, 0), Omit)), Got::Done);
    assert_eq!(
        world.run(utimens("f", At(-1, 5), Omit)),
        not_mine(NotMine::Unsupported)
    );
    let change = world.fs.changes.lock()[0];
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(change.atime, Some(TimeOrNow::SpecificTime(before)));
    assert_eq!(change.mtime, None);
}

#[test]
fn times_are_cut_to_the_granularity() {
    let world = World::with(|mount| mount.negotiated.settle(InitFlags::empty(), 1000));
    tree(&world);
    let time = SetTime::At(1, 123_456);
    assert_eq!(world.run(utimens("f", time, time)), Got::Done);
    let expected = SystemTime::UNIX_EPOCH + Duration::new(1, 123_000);
    let change = world.fs.changes.lock()[0];
    assert_eq!(change.mtime, Some(TimeOrNow::SpecificTime(expected)));
}

#[test]
fn changed_attributes_are_told() {
    let world = World::new();
    tree(&world);
    let f = world.fs.find("f");
    world.kernel_knows(1, "f", f);
    let now = utimens("f", SetTime::Now, SetTime::Now);
    assert_eq!(world.run(now), Got::Done);
    assert!(world.sent().contains(&format!("inode {f} -1")));
}
