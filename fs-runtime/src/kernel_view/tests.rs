use std::ffi::OsStr;
use std::thread;
use std::time::Duration;

use fuser::INodeNo;

use super::{KernelView, Limits, NameKey, now};

const TTL: Duration = Duration::from_secs(60);
const DIR: INodeNo = INodeNo(10);
const FILE: INodeNo = INodeNo(11);

fn view() -> KernelView {
    KernelView::new(Limits::DEFAULT)
}

fn key(view: &KernelView, name: &str) -> NameKey {
    view.key(DIR, OsStr::new(name))
}

fn give(view: &KernelView, name: &str, node: u64, entry_ttl: Duration, attr_ttl: Duration) {
    let asked = view.moment();
    let ttls = (entry_ttl, attr_ttl);
    view.gave_entry(DIR, key(view, name), INodeNo(node), ttls, asked);
}

#[test]
fn what_the_kernel_never_got_needs_nothing() {
    let view = view();
    assert!(view.name(key(&view, "a")).is_none());
    assert!(view.attr(FILE).is_none());
    assert!(!view.knows(FILE));
    assert!(view.knows(INodeNo::ROOT));
}

#[test]
fn an_entry_lives_until_it_is_taken() {
    let view = view();
    give(&view, "a", FILE.0, TTL, TTL);
    let name = key(&view, "a");
    let given = view.name(name).expect("alive");
    assert_eq!(view.name(name), Some(given), "asking does not take");
    view.take_name(name, given);
    assert!(view.name(name).is_none());
    assert!(view.name(key(&view, "b")).is_none());
    assert!(view.name(view.key(FILE, OsStr::new("a"))).is_none());
}

#[test]
fn a_negative_entry_lives_and_counts_no_look_up() {
    let view = view();
    give(&view, "none", 0, TTL, TTL);
    assert!(view.name(key(&view, "none")).is_some());
    assert!(!view.knows(INodeNo(0)));
}

#[test]
fn what_was_given_anew_is_not_taken_with_the_old() {
    let view = view();
    give(&view, "a", FILE.0, TTL, TTL);
    let name = key(&view, "a");
    let (old, old_attr) = (view.name(name).unwrap(), view.attr(FILE).unwrap());
    give(&view, "a", FILE.0, TTL, TTL);
    view.take_name(name, old);
    view.take_attr(FILE, old_attr);
    assert!(view.name(name).is_some());
    assert!(view.attr(FILE).is_some());
}

#[test]
fn no_time_out_means_nothing_alive_but_a_known_node() {
    let view = view();
    give(&view, "a", FILE.0, Duration::ZERO, Duration::ZERO);
    assert!(view.name(key(&view, "a")).is_none());
    assert!(view.attr(FILE).is_none());
    assert!(view.knows(FILE));
}

#[test]
fn owner_and_mode_of_a_held_node_do_not_change_here() {
    let view = view();
    assert!(view.change_unheld(INodeNo::ROOT).is_none());
    give(&view, "a", FILE.0, TTL, TTL);
    assert!(view.change_unheld(FILE).is_none());
    view.forgot(FILE, 1);
    assert!(view.change_unheld(FILE).is_some());
}

#[test]
fn what_changes_is_given_without_time_outs() {
    let view = view();
    let gets = |asked| view.gave_entry(DIR, key(&view, "a"), FILE, (TTL, TTL), asked);
    let before = view.moment();
    let changing = view.change_unheld(FILE).expect("the kernel has nothing");
    assert_eq!(gets(view.moment()), (Duration::ZERO, Duration::ZERO));
    assert!(view.attr(FILE).is_none());
    drop(changing);
    assert_eq!(gets(before), (Duration::ZERO, Duration::ZERO));
    assert_eq!(gets(view.moment()), (TTL, TTL));
}

#[test]
fn entries_expire() {
    let mut names = super::Names::new(100);
    names.gave(NameKey(1), now() + 20, now());
    assert!(names.alive(NameKey(1), now()).is_some());
    thread::sleep(Duration::from_millis(40));
    assert!(names.alive(NameKey(1), now()).is_none());
    assert_eq!(names.len(), 0);
}

#[test]
fn the_longest_time_out_is_no_overflow() {
    let view = view();
    give(&view, "a", FILE.0, Duration::MAX, Duration::MAX);
    assert!(view.name(key(&view, "a")).is_some());
    assert!(view.attr(FILE).is_some());
}

#[test]
fn expired_names_are_swept() {
    let mut names = super::Names::new(100_000);
    thread::sleep(Duration::from_millis(5));
    for name in 0..50_000 {
        names.gave(NameKey(name), 1, now());
    }
    assert!(names.len() <= 1024, "{}", names.len());
}

#[test]
fn beyond_the_cap_names_may_be_alive_until_the_last_expires() {
    let mut names = super::Names::new(2);
    let soon = now() + 30;
    for name in 1..=3 {
        names.gave(NameKey(name), soon, now());
    }
    assert_eq!(names.len(), 2);
    assert!(names.alive(NameKey(3), now()).is_some());
    assert!(names.alive(NameKey(99), now()).is_some(), "not known");
    thread::sleep(Duration::from_millis(50));
    assert!(names.alive(NameKey(99), now()).is_none());
}

#[test]
fn beyond_the_cap_nodes_are_taken_for_known() {
    let view = KernelView::new(Limits {
        names: 1 << 20,
        nodes: super::SHARDS,
    });
    for node in 100..1_000 {
        give(&view, &node.to_string(), node, TTL, TTL);
    }
    for node in 100..1_000 {
        assert!(view.knows(INodeNo(node)), "{node}");
        assert!(view.attr(INodeNo(node)).is_some(), "{node}");
    }
}

#[test]
fn a_node_is_known_until_all_look_ups_are_forgotten() {
    let view = view();
    give(&view, "a", FILE.0, TTL, TTL);
    give(&view, "b", FILE.0, TTL, TTL);
    view.forgot(FILE, 1);
    assert!(view.knows(FILE));
    view.forgot(FILE, 1);
    assert!(!view.knows(FILE));
    assert!(view.attr(FILE).is_none());
    view.forgot(FILE, 7);
}

#[test]
fn a_change_that_overtakes_a_request_leaves_it_no_time_out() {
    let view = view();
    let asked = view.moment();
    assert!(view.attr(FILE).is_none());
    assert_eq!(view.gave_attr(FILE, FILE, TTL, asked), Duration::ZERO);
    assert!(view.attr(FILE).is_none(), "nothing was given");
    let asked = view.moment();
    assert_eq!(view.gave_attr(FILE, FILE, TTL, asked), TTL);
    assert!(view.attr(FILE).is_some());
}

#[test]
fn a_rename_carries_the_time_out_along() {
    let view = view();
    give(&view, "old", FILE.0, TTL, TTL);
    view.moved_name(key(&view, "old"), key(&view, "new"), false);
    assert!(view.name(key(&view, "old")).is_none());
    assert!(view.name(key(&view, "new")).is_some());
    view.moved_name(key(&view, "other"), key(&view, "new"), true);
    assert!(view.name(key(&view, "other")).is_some());
    assert!(view.name(key(&view, "new")).is_none());
}

#[test]
fn other_inode_numbers_are_noticed() {
    let view = view();
    give(&view, "f", FILE.0, TTL, TTL);
    view.gave_attr(FILE, FILE, TTL, view.moment());
    assert_eq!(view.node_numbered(FILE.0), Some(FILE));
    view.gave_attr(FILE, INodeNo(12), Duration::ZERO, view.moment());
    assert_eq!(view.node_numbered(FILE.0), None);
}

#[test]
fn a_directory_is_known_by_its_own_number_while_the_kernel_holds_it() {
    let view = KernelView::with_numbers_of_their_own(Limits::DEFAULT);
    give(&view, "d", FILE.0, TTL, TTL);
    view.gave_directory(FILE, INodeNo(5));
    view.gave_attr(FILE, INodeNo(5), TTL, view.moment());
    assert_eq!(view.node_numbered(5), Some(FILE));
    assert_eq!(view.node_numbered(FILE.0), None);
    assert!(view.number_lasts(FILE, FILE) && view.number_lasts(FILE, INodeNo(5)));
    view.forgot(FILE, 1);
    assert!(!view.number_lasts(FILE, FILE) && view.number_lasts(FILE, INodeNo(5)));
    assert_eq!(view.node_numbered(5), None);
}

#[test]
fn directory_pages_last_as_long_as_the_node() {
    let view = view();
    give(&view, "d", FILE.0, TTL, TTL);
    assert!(!view.pages(FILE));
    view.gave_directory_pages(FILE);
    assert!(view.pages(FILE));
    view.forgot(FILE, 1);
    assert!(!view.pages(FILE));
    view.gave_all_directory_pages();
    assert!(view.pages(FILE));
}

/// A catch for recording that became slow by an order of magnitude, not a benchmark;
/// prints what it measured.
#[test]
fn recording_is_cheap() {
    let view = view();
    for round in ["new", "known"] {
        let start = std::time::Instant::now();
        for node in 0..100_000_u64 {
            let name = OsStr::new("a-name-of-24-characters-");
            let asked = view.moment();
            let key = view.key(INodeNo(node), name);
            view.gave_entry(DIR, key, INodeNo(node + 2), (TTL, TTL), asked);
        }
        let each = start.elapsed() / 100_000;
        println!("{each:?} a {round} entry");
        assert!(each < Duration::from_micros(50), "{each:?} a {round} entry");
    }
}
