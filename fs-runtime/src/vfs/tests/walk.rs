use std::sync::atomic::{AtomicUsize, Ordering};

use fuser::FileType;

use super::*;

fn stat(path: &str) -> Call<'_> {
    Call::Stat {
        at: at(path),
        follow: true,
    }
}

fn tree(world: &World) {
    world.fs.dir("a");
    world.fs.dir("a/b");
    world.fs.file("a/b/f");
    world.fs.symlink_to("up", "a/b");
    world.fs.symlink_to("a/back", "../a/b/f");
    world.fs.symlink_to("a/out", "../../etc");
    world.fs.symlink_to("abs", "/etc");
    world.fs.symlink_to("slash", "a/b/");
    world.fs.symlink_to("slashed", "a/b/f/");
    world.fs.symlink_to("dangling", "none");
    world.fs.symlink_to("empty", "");
}

#[test]
fn paths_lead_where_the_kernel_says() {
    let world = World::new();
    tree(&world);
    let (b, f) = (world.fs.find("a/b"), world.fs.find("a/b/f"));
    for (path, node) in [
        ("a/b/f", f),
        ("a//b/./f", f),
        ("a/b/../b/f", f),
        ("up/f", f),
        ("up", b),
        ("up/", b),
        ("up/../back", f),
        ("slash/f", f),
        ("slash", b),
        ("a/back", f),
        ("a/b/..", world.fs.find("a")),
        (".", 1),
    ] {
        let got = world.run(stat(path));
        assert!(
            matches!(got, Got::Stat(s) if s.ino == node),
            "{path} {got:?}"
        );
    }
}

#[test]
fn paths_fail_as_the_kernel_says() {
    let world = World::new();
    tree(&world);
    let long = "n".repeat(1025);
    for (path, expected) in [
        ("none", errno(libc::ENOENT)),
        ("none/x", errno(libc::ENOENT)),
        ("a/b/f/", errno(libc::ENOTDIR)),
        ("a/b/f/x", errno(libc::ENOTDIR)),
        ("a/b/f/..", errno(libc::ENOTDIR)),
        ("a/back/", errno(libc::ENOTDIR)),
        ("slashed", errno(libc::ENOTDIR)),
        ("dangling", errno(libc::ENOENT)),
        ("dangling/x", errno(libc::ENOENT)),
        ("..", not_mine(NotMine::LeavesMount)),
        ("a/../..", not_mine(NotMine::LeavesMount)),
        ("a/out", not_mine(NotMine::LeavesMount)),
        ("a/out/x", not_mine(NotMine::LeavesMount)),
        ("abs", not_mine(NotMine::LeavesMount)),
        ("abs/x", not_mine(NotMine::LeavesMount)),
        ("empty", not_mine(NotMine::Unsupported)),
        (&long, not_mine(NotMine::Unsupported)),
    ] {
        assert_eq!(world.run(stat(path)), expected, "{path}");
    }
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let world = World::new();
    world.fs.file("l0");
    for n in 1..=41 {
        world
            .fs
            .symlink_to(&format!("l{n}"), &format!("l{}", n - 1));
    }
    assert!(matches!(world.run(stat("l40")), Got::Stat(_)));
    assert_eq!(world.run(stat("l41")), errno(libc::ELOOP));
    world.fs.symlink_to("loop", "loop");
    assert_eq!(world.run(stat("loop")), errno(libc::ELOOP));
    assert_eq!(world.run(stat("loop/x")), errno(libc::ELOOP));
}

#[test]
fn every_directory_must_be_searchable() {
    let world = World::checked();
    tree(&world);
    let b = world.fs.find("a/b");
    world.fs.edit(b, |dir| dir.attr.perm = 0o700);
    let other = user(7);
    assert_eq!(world.run_as(&other, stat("a/b/none")), errno(libc::EACCES));
    assert_eq!(world.run_as(&other, stat("a/b/.")), errno(libc::EACCES));
    assert!(matches!(world.run_as(&other, stat("a/b")), Got::Stat(_)));
    assert_eq!(
        world.run_as(&other, stat("a/b/../b/f")),
        errno(libc::EACCES)
    );
    assert!(matches!(world.run_as(&root(), stat("a/b/f")), Got::Stat(_)));
    let mut reader = user(7);
    reader.capabilities = 1 << 2;
    assert!(matches!(world.run_as(&reader, stat("a/b/f")), Got::Stat(_)));
    // Without default_permissions the file system sees to it.
    let world = World::new();
    tree(&world);
    let b = world.fs.find("a/b");
    world.fs.edit(b, |dir| dir.attr.perm = 0);
    assert!(matches!(world.run_as(&other, stat("a/b/f")), Got::Stat(_)));
}

#[test]
fn links_in_shared_directories_are_protected() {
    let protected = std::fs::read("/proc/sys/fs/protected_symlinks").unwrap()[0] == b'1';
    let make = |world: &World| {
        world.fs.make("tmp", FileType::Directory, 0o1777);
        world.fs.file("f");
        let link = world.fs.symlink_to("tmp/l", "../f");
        world.fs.edit(link, |node| node.attr.uid = 5);
        link
    };
    // Where nothing is checked, the kernel's inodes have no sticky bit.
    let unchecked = World::new();
    make(&unchecked);
    let got = unchecked.run_as(&user(7), stat("tmp/l"));
    assert!(matches!(got, Got::Stat(_)), "{got:?}");
    let world = World::checked();
    let link = make(&world);
    let refused = |got: &Got| *got == errno(libc::EACCES);
    assert_eq!(refused(&world.run_as(&user(7), stat("tmp/l"))), protected);
    assert!(matches!(
        world.run_as(&user(5), stat("tmp/l")),
        Got::Stat(_)
    ));
    world.fs.edit(link, |node| node.attr.uid = 1000);
    assert!(matches!(
        world.run_as(&user(7), stat("tmp/l")),
        Got::Stat(_)
    ));
}

#[test]
fn bases_must_be_known_to_the_kernel() {
    let world = World::new();
    tree(&world);
    let b = world.fs.find("a/b");
    let from = |base| Call::Stat {
        at: Place {
            base: NodeId(base),
            path: b"f",
        },
        follow: true,
    };
    let unknown = || not_mine(NotMine::UnknownBase);
    assert_eq!(world.run(from(b)), unknown());
    world.kernel_knows(1, "whatever", b);
    assert!(matches!(world.run(from(b)), Got::Stat(_)));
    let foreign = world.serve(&user(1000), Bases::Root, 0, from(b));
    assert_eq!(foreign, unknown());
    let up = Call::Stat {
        at: Place {
            base: NodeId(b),
            path: b"../b/f",
        },
        follow: true,
    };
    assert_eq!(world.run(up), not_mine(NotMine::LeavesMount));
    let (view, moment) = (&world.view, world.view.moment());
    view.gave_attr(INodeNo(b), INodeNo(b + 1), Duration::ZERO, moment);
    assert_eq!(world.run(from(b)), unknown());
}

#[test]
fn strangers_are_left_to_the_kernel() {
    let restricted = || not_mine(NotMine::Restricted);
    let world = World::with(|mount| mount.allow = SessionACL::Owner);
    tree(&world);
    assert!(matches!(world.run(stat("a")), Got::Stat(_)));
    assert_eq!(world.run_as(&root(), stat("a")), restricted());
    let mut setgid = user(1000);
    setgid.gids[1] = 5;
    assert_eq!(world.run_as(&setgid, stat("a")), restricted());
    let world = World::with(|mount| mount.allow = SessionACL::RootAndOwner);
    tree(&world);
    assert!(matches!(world.run_as(&root(), stat("a")), Got::Stat(_)));
    assert!(matches!(world.run_as(&setgid, stat("a")), Got::Stat(_)));
    assert_eq!(world.run_as(&user(7), stat("a")), restricted());
}

#[test]
fn answers_that_the_kernel_refuses_are_errors() {
    let world = World::new();
    tree(&world);
    world.fs.edit(1, |root| {
        root.names.insert(b"root".to_vec(), 1);
    });
    assert_eq!(world.run(stat("root")), errno(libc::EIO));
    let f = world.fs.find("a/b/f");
    world.fs.edit(f, |file| file.attr.size = u64::MAX);
    assert_eq!(world.run(stat("a/b/f")), errno(libc::EIO));
}

/// The kernel keeps a node's parents for as long as the node, and file systems find nodes
/// by them.
#[test]
fn the_way_to_a_node_is_held_until_the_operation_is_over() {
    let world = World::new();
    tree(&world);
    *world.fs.entry_ttl.lock() = Duration::ZERO;
    let way = [world.fs.find("a"), world.fs.find("a/b")];
    let all_held = Arc::new(AtomicUsize::new(0));
    let (fs, count) = (Arc::clone(&world.fs), Arc::clone(&all_held));
    *world.fs.on_call.lock() = Some(Arc::new(move |call| {
        let held = fs.outstanding();
        if matches!(call, "setattr" | "unlink") && way.iter().all(|node| held.contains_key(node)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let chmod = |path| Call::Chmod {
        at: at(path),
        mode: 0o600,
        follow: true,
    };
    for call in [
        chmod("a/b/f"),
        chmod("a/b/"),
        Call::Unlink { at: at("a/b/f") },
    ] {
        assert_eq!(world.run(call), Got::Done);
    }
    assert_eq!(all_held.load(Ordering::Relaxed), 3);
    *world.fs.on_call.lock() = None;
}
