use fuser::{Errno, FileType};

use super::*;

fn set<'a>(path: &'a str, name: &'a str) -> Call<'a> {
    Call::Setxattr {
        at: at(path),
        name: name.as_bytes(),
        value: b"value",
        flags: 0,
        follow: false,
    }
}

fn get<'a>(path: &'a str, name: &'a str, size: u32) -> Call<'a> {
    Call::Getxattr {
        at: at(path),
        name: name.as_bytes(),
        size,
        follow: false,
    }
}

fn remove<'a>(path: &'a str, name: &'a str) -> Call<'a> {
    Call::Removexattr {
        at: at(path),
        name: name.as_bytes(),
        follow: false,
    }
}

fn list(path: &str, size: u32) -> Call<'_> {
    Call::Listxattr {
        at: at(path),
        size,
        follow: false,
    }
}

fn tree(world: &World) {
    world.fs.file("f");
    world.fs.make("d", FileType::Directory, 0o1777);
    world.fs.symlink_to("l", "f");
}

#[test]
fn values_go_round() {
    let world = World::new();
    tree(&world);
    assert_eq!(world.run(set("f", "user.a")), Got::Done);
    assert_eq!(world.run(get("f", "user.a", 0)), Got::Size(5));
    assert_eq!(world.run(get("f", "user.a", 4)), errno(libc::ERANGE));
    assert_eq!(
        world.run(get("f", "user.a", 5)),
        Got::Bytes(b"value".to_vec())
    );
    assert_eq!(world.run(list("f", 0)), Got::Size(7));
    assert_eq!(world.run(list("f", 100)), Got::Bytes(b"user.a\0".to_vec()));
    assert_eq!(world.run(remove("f", "user.a")), Got::Done);
    assert_eq!(world.run(remove("f", "user.a")), errno(libc::ENODATA));
    assert_eq!(world.run(list("f", 0)), Got::Size(0));
}

#[test]
fn name_spaces_have_their_rules() {
    let world = World::new();
    tree(&world);
    // Where nothing is checked, the kernel's inodes have no sticky bit.
    assert_eq!(world.run_as(&user(7), set("d", "user.b")), Got::Done);
    let world = World::checked();
    tree(&world);
    let other = user(7);
    let unsupported = || not_mine(NotMine::Unsupported);
    for (call, expected) in [
        (set("none", ""), errno(libc::ERANGE)),
        (set("none", "user.a"), errno(libc::ENOENT)),
        (set("l", "user.a"), errno(libc::EPERM)),
        (get("l", "user.a", 0), errno(libc::ENODATA)),
        (set("d", "user.a"), errno(libc::EPERM)),
        (get("d", "user.a", 0), errno(libc::ENODATA)),
        (set("f", "trusted.a"), errno(libc::EPERM)),
        (remove("f", "trusted.a"), errno(libc::EPERM)),
        (get("f", "trusted.a", 0), errno(libc::ENODATA)),
        (set("f", "security.a"), unsupported()),
        (get("f", "system.posix_acl_access", 0), unsupported()),
    ] {
        assert_eq!(world.run_as(&other, call), expected, "{call:?}");
    }
    assert_eq!(world.run_as(&root(), set("f", "trusted.a")), Got::Done);
    assert_eq!(world.run(set("d", "user.a")), Got::Done);
    let wrong = Call::Setxattr {
        at: at("none"),
        name: b"user.a",
        value: b"",
        flags: 4,
        follow: false,
    };
    assert_eq!(world.run(wrong), errno(libc::EINVAL));
}

#[test]
fn modes_count_on_a_checked_mount() {
    let world = World::checked();
    tree(&world);
    let f = world.fs.find("f");
    world.fs.edit(f, |file| file.attr.perm = 0o600);
    assert_eq!(
        world.run_as(&user(7), set("f", "user.a")),
        errno(libc::EACCES)
    );
    assert_eq!(
        world.run_as(&user(7), get("f", "user.a", 0)),
        errno(libc::EACCES)
    );
    assert_eq!(world.run_as(&user(7), list("f", 0)), Got::Size(0));
    let world = World::read_only();
    tree(&world);
    assert_eq!(world.run(set("f", "trusted.a")), errno(libc::EROFS));
}

#[test]
fn what_is_not_implemented_is_not_asked_for_again() {
    let world = World::new();
    tree(&world);
    for (name, call) in [
        ("setxattr", set("f", "user.a")),
        ("getxattr", get("f", "user.a", 0)),
        ("listxattr", list("f", 0)),
        ("removexattr", remove("f", "user.a")),
    ] {
        world.fs.force(name, Errno::ENOSYS);
        assert_eq!(world.run(call), errno(libc::EOPNOTSUPP));
        world.fs.took();
        assert_eq!(world.run(call), errno(libc::EOPNOTSUPP));
        assert!(!world.fs.took().contains(&name.to_owned()));
    }
}

#[test]
fn the_largest_buffer_turns_erange_into_e2big() {
    let world = World::new();
    tree(&world);
    world.fs.force("getxattr", Errno::ERANGE);
    assert_eq!(world.run(get("f", "user.a", 65_535)), errno(libc::ERANGE));
    assert_eq!(world.run(get("f", "user.a", 100_000)), errno(libc::E2BIG));
}
