use super::*;

fn unlink(path: &str) -> Call<'_> {
    Call::Unlink { at: at(path) }
}

fn rmdir(path: &str) -> Call<'_> {
    Call::Rmdir { at: at(path) }
}

fn tree(world: &World) {
    world.fs.dir("d");
    world.fs.file("d/f");
    world.fs.dir("d/e");
    world.fs.symlink_to("toe", "d/e");
}

#[test]
fn unlink_decides_as_do_unlinkat() {
    let world = World::new();
    tree(&world);
    for (path, expected) in [
        ("d/.", errno(libc::EISDIR)),
        ("d/..", errno(libc::EISDIR)),
        ("..", errno(libc::EISDIR)),
        ("d/none", errno(libc::ENOENT)),
        ("d/none/", errno(libc::ENOENT)),
        ("d/f/", errno(libc::ENOTDIR)),
        ("d/e/", errno(libc::EISDIR)),
        ("d/e", errno(libc::EISDIR)),
        ("toe/", errno(libc::ENOTDIR)),
        ("d/f/x", errno(libc::ENOTDIR)),
        ("none/x", errno(libc::ENOENT)),
        ("", not_mine(NotMine::Unsupported)),
        ("///", not_mine(NotMine::Unsupported)),
        (".finesse-door", not_mine(NotMine::Unsupported)),
        ("d/f\0", not_mine(NotMine::Malformed)),
        ("d/f", Got::Done),
        ("d/f", errno(libc::ENOENT)),
        ("toe", Got::Done),
    ] {
        assert_eq!(world.run(unlink(path)), expected, "{path:?}");
    }
    assert!(world.fs.has("d", "e"));
}

#[test]
fn rmdir_decides_as_do_rmdir() {
    let world = World::new();
    tree(&world);
    for (path, expected) in [
        ("d/e/.", errno(libc::EINVAL)),
        ("d/e/..", errno(libc::ENOTEMPTY)),
        ("d/none", errno(libc::ENOENT)),
        ("d/f", errno(libc::ENOTDIR)),
        ("d/f/", errno(libc::ENOTDIR)),
        ("toe", errno(libc::ENOTDIR)),
        ("toe/", errno(libc::ENOTDIR)),
        ("d/e/", Got::Done),
        ("d/e", errno(libc::ENOENT)),
    ] {
        assert_eq!(world.run(rmdir(path)), expected, "{path:?}");
    }
}

#[test]
fn a_read_only_mount_refuses_before_the_name_is_looked_up() {
    let world = World::read_only();
    tree(&world);
    assert_eq!(world.run(unlink("d/none")), errno(libc::EROFS));
    assert_eq!(world.run(unlink("d/.")), errno(libc::EISDIR));
    assert_eq!(world.run(unlink("x/y")), errno(libc::ENOENT));
    assert_eq!(world.run(rmdir("d/f")), errno(libc::EROFS));
}

#[test]
fn permission_comes_before_the_kind() {
    let world = World::checked();
    tree(&world);
    let other = user(7);
    assert_eq!(world.run_as(&other, unlink("d/e")), errno(libc::EACCES));
    assert_eq!(world.run_as(&other, unlink("d/none")), errno(libc::ENOENT));
    assert_eq!(world.run_as(&other, unlink("d/f/")), errno(libc::ENOTDIR));
    assert_eq!(world.run_as(&root(), unlink("d/e")), errno(libc::EISDIR));
    assert_eq!(world.run_as(&root(), unlink("d/f")), Got::Done);
}

#[test]
fn a_sticky_directory_protects_what_others_own() {
    let sticky = |world: &World| {
        tree(world);
        let d = world.fs.find("d");
        world.fs.edit(d, |node| {
            node.attr.perm = 0o1777;
            node.attr.uid = 5;
        });
    };
    let world = World::checked();
    sticky(&world);
    let other = user(7);
    // Sticky comes before EISDIR.
    assert_eq!(world.run_as(&other, unlink("d/f")), errno(libc::EPERM));
    assert_eq!(world.run_as(&other, unlink("d/e")), errno(libc::EPERM));
    assert_eq!(world.run_as(&other, rmdir("d/f")), errno(libc::EPERM));
    assert_eq!(world.run_as(&user(5), unlink("d/f")), Got::Done);
    assert_eq!(world.run_as(&user(1000), rmdir("d/e")), Got::Done);
    // Where nothing is checked, the kernel's inodes have no sticky bit.
    let world = World::new();
    sticky(&world);
    assert_eq!(world.run_as(&other, unlink("d/e")), errno(libc::EISDIR));
    assert_eq!(world.run_as(&other, unlink("d/f")), Got::Done);
}

#[test]
fn errors_of_the_file_system_come_through() {
    let world = World::new();
    tree(&world);
    world.fs.force("rmdir", fuser::Errno::ENOTEMPTY);
    world.fs.force("unlink", fuser::Errno::from_i32(524));
    assert_eq!(world.run(rmdir("d/e")), errno(libc::ENOTEMPTY));
    assert_eq!(world.run(unlink("d/f")), errno(libc::EIO));
    assert!(world.sent().is_empty());
}

#[test]
fn the_kernel_is_told_what_it_may_hold() {
    let world = World::new();
    tree(&world);
    let (d, f, e) = (
        world.fs.find("d"),
        world.fs.find("d/f"),
        world.fs.find("d/e"),
    );
    world.kernel_knows(1, "d", d);
    world.kernel_knows(d, "f", f);
    world.kernel_knows(d, "e", e);
    assert_eq!(world.run(unlink("d/f")), Got::Done);
    assert!(world.sent().contains(&format!("entry {d} f")));
    assert_eq!(world.run(rmdir("d/e")), Got::Done);
    assert!(world.sent().contains(&format!("delete {d} {e} e")));
}
