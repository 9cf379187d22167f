use super::*;

const NOREPLACE: u32 = libc::RENAME_NOREPLACE;
const EXCHANGE: u32 = libc::RENAME_EXCHANGE;

fn rename<'a>(from: &'a str, to: &'a str, flags: u32) -> Call<'a> {
    Call::Rename {
        from: at(from),
        to: at(to),
        flags,
    }
}

fn tree(world: &World) {
    world.fs.dir("d");
    world.fs.dir("d/e");
    world.fs.file("d/f");
    world.fs.file("g");
    world.fs.dir("h");
}

#[test]
fn rename_decides_as_do_renameat2() {
    let world = World::new();
    tree(&world);
    for (from, to, flags, expected) in [
        ("g", "x", 8, errno(libc::EINVAL)),
        ("g", "x", NOREPLACE | EXCHANGE, errno(libc::EINVAL)),
        (
            "g",
            "x",
            libc::RENAME_WHITEOUT,
            not_mine(NotMine::Unsupported),
        ),
        ("none/a", "d/.", 0, errno(libc::ENOENT)),
        ("d/.", "x", 0, errno(libc::EBUSY)),
        ("d/..", "x", 0, errno(libc::EBUSY)),
        ("g", "d/.", 0, errno(libc::EBUSY)),
        ("g", "d/..", NOREPLACE, errno(libc::EEXIST)),
        ("none", "x", 0, errno(libc::ENOENT)),
        ("none/", "x", 0, errno(libc::ENOENT)),
        ("g", "d/f", NOREPLACE, errno(libc::EEXIST)),
        ("g", "none", EXCHANGE, errno(libc::ENOENT)),
        ("g/", "x", 0, errno(libc::ENOTDIR)),
        ("g", "x/", 0, errno(libc::ENOTDIR)),
        ("h", "g/", EXCHANGE, errno(libc::ENOTDIR)),
        ("g", "h", 0, errno(libc::EISDIR)),
        ("h", "g", 0, errno(libc::ENOTDIR)),
        ("h/", "k/", 0, Got::Done),
        ("d", "h/x", 0, errno(libc::ENOENT)),
        ("d", "k/x", 0, not_mine(NotMine::Unsupported)),
        ("d", "d/e/x", 0, not_mine(NotMine::Unsupported)),
        ("d/f", "d", 0, not_mine(NotMine::Unsupported)),
        ("g", "g", 0, Got::Done),
        ("g", "d/f", 0, Got::Done),
        ("g", "d/f", 0, errno(libc::ENOENT)),
    ] {
        assert_eq!(
            world.run(rename(from, to, flags)),
            expected,
            "{from} {to} {flags}"
        );
    }
    assert!(world.fs.has("d", "f") && !world.fs.has("", "g"));
}

#[test]
fn two_names_of_one_node_stay() {
    let world = World::checked();
    tree(&world);
    let g = world.fs.find("g");
    let d = world.fs.find("d");
    world.fs.edit(d, |dir| {
        dir.names.insert(b"same".to_vec(), g);
    });
    world.fs.took();
    // Before any permission.
    assert_eq!(world.run_as(&user(7), rename("g", "d/same", 0)), Got::Done);
    assert!(!world.fs.took().contains(&"rename".into()));
    assert!(world.fs.has("", "g") && world.fs.has("d", "same"));
}

#[test]
fn names_are_exchanged() {
    let world = World::new();
    tree(&world);
    let (g, h) = (world.fs.find("g"), world.fs.find("h"));
    assert_eq!(world.run(rename("g", "h", EXCHANGE)), Got::Done);
    assert_eq!((world.fs.find("h"), world.fs.find("g")), (g, h));
    world.fs.force("rename", fuser::Errno::ENOSYS);
    assert_eq!(world.run(rename("g", "h", EXCHANGE)), errno(libc::EINVAL));
    assert_eq!(world.run(rename("h", "x", 0)), errno(libc::ENOSYS));
}

#[test]
fn directories_that_the_kernel_holds_are_left_to_it() {
    let world = World::new();
    tree(&world);
    let (g, h) = (world.fs.find("g"), world.fs.find("h"));
    world.kernel_knows(1, "h", h);
    world.kernel_knows(1, "g", g);
    let in_use = || not_mine(NotMine::HeldByKernel);
    assert_eq!(world.run(rename("h", "k", 0)), in_use());
    assert_eq!(world.run(rename("d", "h", 0)), in_use());
    assert_eq!(world.run(rename("g", "h", EXCHANGE)), in_use());
    assert_eq!(world.run(rename("g", "k", 0)), Got::Done);
    assert!(world.sent().contains(&"entry 1 g".into()));
}

#[test]
fn both_directories_are_checked() {
    let world = World::checked();
    tree(&world);
    let d = world.fs.find("d");
    world.fs.edit(d, |dir| dir.attr.perm = 0o777);
    assert_eq!(
        world.run_as(&user(7), rename("d/f", "x", 0)),
        errno(libc::EACCES)
    );
    assert_eq!(
        world.run_as(&user(7), rename("g", "d/x", 0)),
        errno(libc::EACCES)
    );
    assert_eq!(world.run_as(&user(7), rename("d/f", "d/x", 0)), Got::Done);
}

#[test]
fn a_moved_directory_is_found_under_its_new_name_only() {
    let world = World::new();
    tree(&world);
    let stat = |path| Call::Stat {
        at: at(path),
        follow: true,
    };
    assert!(matches!(world.run(stat("d/f")), Got::Stat(_)));
    assert_eq!(world.run(rename("d", "moved", 0)), Got::Done);
    assert_eq!(world.run(stat("d/f")), errno(libc::ENOENT));
    assert!(matches!(world.run(stat("moved/f")), Got::Stat(_)));
}
