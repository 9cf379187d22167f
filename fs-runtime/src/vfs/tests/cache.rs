use std::thread::sleep;

use super::*;
use crate::kernel_door::NameCache as _;

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
    world.fs.symlink_to("l", "a/b");
}

fn lookups(world: &World, path: &str) -> usize {
    world.fs.took();
    assert!(matches!(world.run(stat(path)), Got::Stat(_)));
    let calls = world.fs.took();
    calls.iter().filter(|call| *call == "lookup").count()
}

#[test]
fn directories_and_links_on_the_way_are_remembered() {
    let world = World::new();
    tree(&world);
    assert_eq!(lookups(&world, "a/b/f"), 3);
    assert_eq!(lookups(&world, "a/b/f"), 1);
    assert_eq!(lookups(&world, "l/f"), 2);
    assert_eq!(lookups(&world, "l/f"), 1);
    // What is remembered holds one look-up, and nothing else does.
    let held = world.fs.outstanding();
    assert_eq!(held.len(), 3);
    assert!(held.values().all(|count| *count == 1));
}

#[test]
fn names_are_remembered_no_longer_than_allowed() {
    let world = World::new();
    tree(&world);
    *world.fs.entry_ttl.lock() = Duration::ZERO;
    assert_eq!(lookups(&world, "a/b/f"), 3);
    assert_eq!(lookups(&world, "a/b/f"), 3);
    assert!(world.fs.outstanding().is_empty());
    *world.fs.entry_ttl.lock() = Duration::from_millis(30);
    assert_eq!(lookups(&world, "a/b/f"), 3);
    sleep(Duration::from_millis(40));
    assert_eq!(lookups(&world, "a/b/f"), 3);
    *world.fs.entry_ttl.lock() = Duration::MAX;
    sleep(Duration::from_millis(40));
    assert_eq!(lookups(&world, "a/b/f"), 3);
    assert_eq!(lookups(&world, "a/b/f"), 1);
}

#[test]
fn a_changed_name_is_asked_for_again() {
    let world = World::new();
    tree(&world);
    assert_eq!(lookups(&world, "a/b/f"), 3);
    let a = world.fs.find("a");
    world.vfs.names().name_changed(INodeNo(a), OsStr::new("b"));
    // Not forgotten from within the report, which may come from the file system.
    assert_eq!(world.fs.outstanding().len(), 2);
    assert_eq!(lookups(&world, "a/b/f"), 2);
    assert_eq!(world.fs.outstanding().len(), 2);
}

#[test]
fn attributes_are_remembered_no_longer_than_allowed() {
    let world = World::checked();
    tree(&world);
    let other = user(7);
    let a = world.fs.find("a");
    let asked = |who: &Credentials| {
        world.fs.took();
        let got = world.run_as(who, stat("a/b/f"));
        let calls = world.fs.took();
        let asked = calls.iter().filter(|call| *call == "getattr").count();
        (matches!(got, Got::Stat(_)), asked)
    };
    // The root is asked for; look-ups bring the others.
    assert_eq!(asked(&other), (true, 1));
    assert_eq!(asked(&other), (true, 0));
    world.fs.edit(a, |dir| dir.attr.perm = 0o700);
    assert_eq!(asked(&other), (true, 0));
    world.vfs.names().attr_changed(INodeNo(a));
    assert_eq!(asked(&other), (false, 1));
    // A refusal is checked again.
    world.fs.edit(a, |dir| dir.attr.perm = 0o755);
    assert_eq!(asked(&other), (true, 1));
    *world.fs.attr_ttl.lock() = Duration::ZERO;
    world.vfs.names().attr_changed(INodeNo(a));
    assert_eq!(asked(&other).1, 1);
    assert_eq!(asked(&other).1, 1);
}

#[test]
fn the_cache_is_bounded() {
    let world = World::new();
    world.fs.dir("a");
    for n in 0..6000 {
        let path = format!("a/d{n}");
        world.fs.dir(&path);
        let path = format!("{path}/none");
        assert_eq!(world.run(stat(&path)), errno(libc::ENOENT));
    }
    let held = world.fs.outstanding().len();
    assert!((2000..=4096).contains(&held), "{held}");
}

#[test]
fn a_stale_node_is_walked_to_once_more() {
    let world = World::new();
    tree(&world);
    assert_eq!(lookups(&world, "a/b/f"), 3);
    let (a, b) = (world.fs.find("a"), world.fs.find("a/b"));
    // Another directory took the place behind our back, and the old node is gone.
    let node = world.fs.nodes.lock().remove(&b).unwrap();
    world.fs.nodes.lock().insert(
        900,
        super::mock::Inode {
            attr: fuser::FileAttr {
                ino: INodeNo(900),
                ..node.attr
            },
            ..node
        },
    );
    world.fs.edit(a, |dir| {
        dir.names.insert(b"b".to_vec(), 900);
    });
    assert!(matches!(world.run(stat("a/b/f")), Got::Stat(_)));
    assert!(!world.fs.outstanding().contains_key(&b));
}

#[test]
fn many_threads_leave_nothing_behind() {
    let world = World::new();
    *world.fs.entry_ttl.lock() = Duration::from_millis(1);
    world.fs.dir("a");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let world = &world;
            scope.spawn(move || {
                for n in 0..200 {
                    let path = format!("a/t{thread}-{n}");
                    let inner = format!("{path}/x");
                    let mode = 0o700;
                    assert_eq!(
                        world.run(Call::Mkdir {
                            at: at(&path),
                            mode
                        }),
                        Got::Done
                    );
                    assert_eq!(
                        world.run(Call::Mkdir {
                            at: at(&inner),
                            mode
                        }),
                        Got::Done
                    );
                    assert_eq!(world.run(Call::Rmdir { at: at(&inner) }), Got::Done);
                    assert_eq!(world.run(Call::Rmdir { at: at(&path) }), Got::Done);
                }
            });
        }
    });
    let a = world.fs.find("a");
    assert!(world.fs.nodes.lock()[&a].names.is_empty());
}
