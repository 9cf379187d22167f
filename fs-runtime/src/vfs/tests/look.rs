use fuser::{Errno, FileType};

use super::*;

fn access(path: &str, mode: u32, effective: bool) -> Call<'_> {
    Call::Access {
        at: at(path),
        mode,
        effective,
        follow: true,
    }
}

fn readlink(path: &str) -> Call<'_> {
    Call::Readlink { at: at(path) }
}

fn tree(world: &World) {
    world.fs.file("f");
    world.fs.dir("d");
    world.fs.symlink_to("l", "f");
    world.fs.make("p", FileType::NamedPipe, 0o666);
}

#[test]
fn stat_shows_what_the_file_system_said() {
    let world = World::new();
    tree(&world);
    let f = world.fs.find("f");
    world.fs.edit(f, |file| {
        file.attr.size = 12;
        file.attr.rdev = 99;
        file.attr.blksize = 5000;
        file.attr.mtime = std::time::UNIX_EPOCH - Duration::from_millis(1200);
    });
    let Got::Stat(stat) = world.run(Call::Stat {
        at: at("l"),
        follow: true,
    }) else {
        panic!("no attributes");
    };
    assert_eq!(
        (stat.ino, stat.size, stat.rdev, stat.blksize),
        (f, 12, 0, 4096)
    );
    assert_eq!(stat.mode, libc::S_IFREG | 0o644);
    assert_eq!(
        (stat.mtime.seconds, stat.mtime.nanoseconds),
        (-2, 800_000_000)
    );
    for (path, follow, kind) in [
        ("l", false, libc::S_IFLNK),
        ("d/", false, libc::S_IFDIR),
        ("d/..", false, libc::S_IFDIR),
        ("", false, libc::S_IFDIR),
    ] {
        let got = world.run(Call::Stat {
            at: at(path),
            follow,
        });
        assert!(
            matches!(got, Got::Stat(s) if s.mode & libc::S_IFMT == kind),
            "{path} {got:?}"
        );
    }
}

#[test]
fn access_asks_the_file_system_unless_the_kernel_checks() {
    let world = World::new();
    tree(&world);
    assert_eq!(world.run(access("f", 8, false)), errno(libc::EINVAL));
    assert_eq!(world.run(access("none", 0, false)), errno(libc::ENOENT));
    world.fs.force("access", fuser::Errno::EACCES);
    assert_eq!(world.run(access("f", 4, false)), errno(libc::EACCES));
    world.fs.force("access", fuser::Errno::ENOSYS);
    assert_eq!(world.run(access("f", 4, false)), Got::Done);
    world.fs.force("access", fuser::Errno::EACCES);
    assert_eq!(world.run(access("f", 4, false)), Got::Done);
    assert_eq!(
        world.run(access("f", 1, false)),
        not_mine(NotMine::Restricted)
    );
}

#[test]
fn access_counts_real_ids_unless_told_otherwise() {
    let world = World::checked();
    tree(&world);
    let mut setuid = user(7);
    setuid.uids = [7, 1000, 1000, 1000];
    assert_eq!(world.run_as(&setuid, access("f", 2, true)), Got::Done);
    assert_eq!(
        world.run_as(&setuid, access("f", 2, false)),
        errno(libc::EACCES)
    );
    let mut capable = user(7);
    capable.capabilities = u64::MAX;
    assert_eq!(world.run_as(&capable, access("f", 2, true)), Got::Done);
    // SECBIT_NO_SETUID_FIXUP may let them count.
    assert_eq!(
        world.run_as(&capable, access("f", 2, false)),
        not_mine(NotMine::Unsupported)
    );
    capable.capabilities = 1 << 3;
    assert_eq!(
        world.run_as(&capable, access("f", 2, false)),
        errno(libc::EACCES)
    );
    assert_eq!(world.run_as(&root(), access("f", 2, false)), Got::Done);
    assert_eq!(
        world.run_as(&user(0), access("f", 2, false)),
        not_mine(NotMine::Unsupported)
    );
}

#[test]
fn access_to_a_read_only_mount() {
    let world = World::read_only();
    tree(&world);
    assert_eq!(world.run(access("f", 2, false)), errno(libc::EROFS));
    assert_eq!(world.run(access("p", 2, false)), Got::Done);
    assert_eq!(world.run(access("d", 4, false)), Got::Done);
}

#[test]
fn readlink_decides_as_do_readlinkat() {
    let world = World::new();
    tree(&world);
    assert_eq!(world.run(readlink("l")), Got::Bytes(b"f".to_vec()));
    assert_eq!(world.run(readlink("f")), errno(libc::EINVAL));
    assert_eq!(world.run(readlink("d/.")), errno(libc::EINVAL));
    assert_eq!(world.run(readlink("none")), errno(libc::ENOENT));
    assert_eq!(world.run(readlink("l/")), errno(libc::ENOTDIR));
    assert_eq!(world.run(readlink("")), not_mine(NotMine::Unsupported));
}

#[test]
fn statfs_follows_links() {
    let world = World::new();
    tree(&world);
    let statfs = |path| Call::Statfs { at: at(path) };
    assert!(matches!(world.run(statfs("l")), Got::Statfs(s) if s.bsize == 512));
    assert_eq!(world.run(statfs("none")), errno(libc::ENOENT));
}

#[test]
fn a_base_without_attributes_is_left_to_the_kernel() {
    let world = World::new();
    tree(&world);
    world.fs.force("getattr", Errno::ENOSYS);
    let left = not_mine(NotMine::Unsupported);
    assert_eq!(world.run(Call::Statfs { at: at(".") }), left);
    assert_eq!(world.run(access(".", 2, true)), left);
    let stat = Call::Stat {
        at: at("."),
        follow: true,
    };
    assert_eq!(world.run(stat), left);
    assert!(matches!(
        world.run(Call::Statfs { at: at("f") }),
        Got::Statfs(_)
    ));
}
