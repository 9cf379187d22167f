use super::*;

fn mkdir(path: &str, mode: u32) -> Call<'_> {
    Call::Mkdir { at: at(path), mode }
}

fn mknod(path: &str, mode: u32) -> Call<'_> {
    Call::Mknod {
        at: at(path),
        mode,
        rdev: 0x0103,
    }
}

fn symlink<'a>(target: &'a str, path: &'a str) -> Call<'a> {
    Call::Symlink {
        target: target.as_bytes(),
        at: at(path),
    }
}

fn link<'a>(from: &'a str, to: &'a str) -> Call<'a> {
    Call::Link {
        from: at(from),
        to: at(to),
        follow: false,
    }
}

fn tree(world: &World) {
    world.fs.dir("d");
    world.fs.file("f");
}

fn perm(world: &World, path: &str) -> u16 {
    let node = world.fs.find(path);
    world.fs.nodes.lock()[&node].attr.perm
}

#[test]
fn names_are_made_as_filename_create_lets_them() {
    let world = World::new();
    tree(&world);
    for (call, expected) in [
        (mkdir("d/.", 0o777), errno(libc::EEXIST)),
        (mkdir("..", 0o777), errno(libc::EEXIST)),
        (mkdir("d", 0o777), errno(libc::EEXIST)),
        (mkdir("f/", 0o777), errno(libc::EEXIST)),
        (mkdir("none/x", 0o777), errno(libc::ENOENT)),
        (mkdir("f/x", 0o777), errno(libc::ENOTDIR)),
        (mkdir("", 0o777), not_mine(NotMine::Unsupported)),
        (mkdir("new/", 0o777), Got::Done),
        (mknod("x/", libc::S_IFREG), errno(libc::ENOENT)),
        (mknod("f/", libc::S_IFREG), errno(libc::EEXIST)),
        (symlink("", "f"), errno(libc::ENOENT)),
        (symlink("t", "f"), errno(libc::EEXIST)),
        (symlink("t", "x/"), errno(libc::ENOENT)),
        (symlink("t", "x"), Got::Done),
        (symlink("t", "x"), errno(libc::EEXIST)),
        (link("none", "f"), errno(libc::ENOENT)),
        (link("f", "d"), errno(libc::EEXIST)),
        (link("d", "f"), errno(libc::EEXIST)),
        (link("d", "y"), errno(libc::EPERM)),
        (link("f", "y/"), errno(libc::ENOENT)),
        (link("", "y"), not_mine(NotMine::Unsupported)),
        (link("f", "d/g"), Got::Done),
    ] {
        assert_eq!(world.run(call), expected, "{call:?}");
    }
    assert_eq!(world.fs.find("f"), world.fs.find("d/g"));
}

#[test]
fn existing_names_come_before_a_read_only_mount() {
    let world = World::read_only();
    tree(&world);
    assert_eq!(world.run(mkdir("d", 0)), errno(libc::EEXIST));
    assert_eq!(world.run(mkdir("new", 0)), errno(libc::EROFS));
    assert_eq!(world.run(mknod("x/", 0)), errno(libc::ENOENT));
    assert_eq!(world.run(link("f", "x")), errno(libc::EROFS));
}

#[test]
fn modes_are_masked_as_the_kernel_masks_them() {
    let world = World::new();
    tree(&world);
    assert_eq!(world.run(mkdir("m", 0o7777)), Got::Done);
    assert_eq!(perm(&world, "m"), 0o1755);
    assert_eq!(world.run(mknod("n", 0o6777)), Got::Done);
    assert_eq!(perm(&world, "n"), 0o6755);
    world.fs.edit(1, |root| {
        root.attr.perm = 0o2777;
        root.attr.gid = 33;
    });
    // The attributes of the root may be a second old; a change is told.
    crate::kernel_door::NameCache::attr_changed(world.vfs.names().as_ref(), INodeNo(1));
    assert_eq!(world.run(mknod("o", 0o2775)), Got::Done);
    assert_eq!(perm(&world, "o"), 0o755);
}

#[test]
fn special_files_need_what_mknod_needs() {
    let world = World::new();
    tree(&world);
    for (mode, expected) in [
        (libc::S_IFDIR, errno(libc::EPERM)),
        (libc::S_IFLNK, errno(libc::EINVAL)),
        (libc::S_IFCHR, errno(libc::EPERM)),
        (libc::S_IFBLK, errno(libc::EPERM)),
        (libc::S_IFIFO, Got::Done),
    ] {
        assert_eq!(world.run(mknod("n", mode | 0o600)), expected, "{mode:o}");
    }
    // The wrong type comes before everything else, the capability after EEXIST.
    assert_eq!(world.run(mknod("f", libc::S_IFDIR)), errno(libc::EPERM));
    assert_eq!(world.run(mknod("f", libc::S_IFCHR)), errno(libc::EEXIST));
    let device = mknod("c", libc::S_IFCHR);
    assert_eq!(
        world.run_as(&root(), device),
        not_mine(NotMine::Unsupported)
    );
    let whiteout = Call::Mknod {
        at: at("w"),
        mode: libc::S_IFCHR,
        rdev: 0,
    };
    assert_eq!(world.run(whiteout), Got::Done);
}

#[test]
fn hard_links_are_protected() {
    let protected = std::fs::read("/proc/sys/fs/protected_hardlinks").unwrap()[0] == b'1';
    let world = World::checked();
    tree(&world);
    world.fs.edit(1, |root| root.attr.perm = 0o777);
    let other = user(7);
    let expected = if protected {
        errno(libc::EPERM)
    } else {
        Got::Done
    };
    assert_eq!(world.run_as(&other, link("f", "l")), expected);
    let f = world.fs.find("f");
    world.fs.edit(f, |file| file.attr.perm = 0o666);
    assert_eq!(world.run_as(&other, link("f", "m")), Got::Done);
    world.fs.edit(f, |file| file.attr.perm = 0o4666);
    let expected = if protected {
        errno(libc::EPERM)
    } else {
        Got::Done
    };
    assert_eq!(world.run_as(&other, link("f", "n")), expected);
    assert_eq!(world.run_as(&root(), link("f", "o")), Got::Done);
}

#[test]
fn an_answer_of_another_kind_is_an_error() {
    let world = World::new();
    tree(&world);
    world.fs.force("link", fuser::Errno::ENOSYS);
    assert_eq!(world.run(link("f", "x")), not_mine(NotMine::Unsupported));
    assert_eq!(world.run_as(&user(7), mkdir("x", 0o700)), Got::Done);
}

#[test]
fn directories_need_write_and_search() {
    let world = World::checked();
    tree(&world);
    assert_eq!(
        world.run_as(&user(7), mkdir("d/x", 0o700)),
        errno(libc::EACCES)
    );
    assert_eq!(
        world.run_as(&user(7), mkdir("d", 0o700)),
        errno(libc::EEXIST)
    );
    let mut member = user(7);
    member.groups = vec![1000];
    let d = world.fs.find("d");
    world.fs.edit(d, |dir| dir.attr.perm = 0o775);
    // A refusal by remembered attributes is checked with fresh ones.
    assert_eq!(world.run_as(&member, mkdir("d/x", 0o700)), Got::Done);
}
