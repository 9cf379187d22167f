use std::cell::Cell;
use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fuser::INodeNo;
use parking_lot::Mutex;

use super::{Change, Coherence, Counts, Sink};
use crate::kernel_view::{KernelView, Limits};
use crate::waiting::hear_of_waits;

const TTL: Duration = Duration::from_secs(60);
const DIR: INodeNo = INodeNo(10);
const CHILD: INodeNo = INodeNo(11);

#[derive(Clone, Default)]
struct Recorded {
    sent: Arc<Mutex<Vec<String>>>,
    /// Until it has heard of a name, the kernel finds no inode.
    has_not_made_it: Arc<AtomicBool>,
}

impl Recorded {
    fn push(&self, text: String) -> io::Result<()> {
        self.sent.lock().push(text);
        Ok(())
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.sent.lock())
    }
}

impl Sink for Recorded {
    fn inval_entry(&self, parent: INodeNo, name: &OsStr) -> io::Result<()> {
        self.has_not_made_it.store(false, Ordering::Relaxed);
        self.push(format!("entry {parent} {}", name.display()))
    }

    fn delete(&self, parent: INodeNo, child: INodeNo, name: &OsStr) -> io::Result<()> {
        self.push(format!("delete {parent} {child} {}", name.display()))
    }

    fn inval_inode(&self, node: INodeNo, offset: i64, len: i64) -> io::Result<()> {
        self.push(format!("inode {node} {offset} {len}"))?;
        match self.has_not_made_it.load(Ordering::Relaxed) {
            true => Err(io::Error::from_raw_os_error(libc::ENOENT)),
            false => Ok(()),
        }
    }
}

struct Kernel {
    view: Arc<KernelView>,
    coherence: Coherence,
    recorded: Recorded,
}

impl Kernel {
    fn new() -> Self {
        let view = Arc::new(KernelView::new(Limits::DEFAULT));
        let recorded = Recorded::default();
        let coherence = Coherence::new(Arc::clone(&view), Box::new(recorded.clone()));
        Kernel {
            view,
            coherence,
            recorded,
        }
    }

    fn gets(&self, parent: INodeNo, name: &str, node: INodeNo, entry: Duration, attr: Duration) {
        let key = self.view.key(parent, OsStr::new(name));
        let asked = self.view.moment();
        self.view
            .gave_entry(parent, key, node, (entry, attr), asked);
    }

    fn hears_of(&self, change: &Change<'_>) -> Vec<String> {
        self.coherence.publish(change);
        self.recorded.take()
    }
}

fn unlinked(name: &str) -> Change<'_> {
    Change::new()
        .name(DIR, OsStr::new(name))
        .attributes_of(CHILD)
}

#[test]
fn what_the_kernel_cannot_hold_costs_nothing() {
    let kernel = Kernel::new();
    assert!(kernel.hears_of(&unlinked("f")).is_empty());
    kernel.gets(INodeNo::ROOT, "d", DIR, Duration::ZERO, Duration::ZERO);
    kernel.gets(DIR, "f", CHILD, Duration::ZERO, Duration::ZERO);
    assert!(kernel.hears_of(&unlinked("f")).is_empty());
    let counts = kernel.coherence.counts();
    assert_eq!(counts, Counts { sent: 0, saved: 6 });
}

#[test]
fn a_live_entry_is_invalidated_once() {
    let kernel = Kernel::new();
    kernel.gets(INodeNo::ROOT, "d", DIR, TTL, Duration::ZERO);
    kernel.gets(DIR, "f", CHILD, TTL, Duration::ZERO);
    assert_eq!(kernel.hears_of(&unlinked("f")), ["entry 10 f"]);
    assert!(kernel.hears_of(&unlinked("f")).is_empty());
}

#[test]
fn a_directory_that_the_kernel_forgot_takes_its_entries_along() {
    let kernel = Kernel::new();
    kernel.gets(INodeNo::ROOT, "d", DIR, TTL, TTL);
    kernel.gets(DIR, "f", CHILD, TTL, Duration::ZERO);
    kernel.view.forgot(DIR, 1);
    assert!(kernel.hears_of(&unlinked("f")).is_empty());
}

#[test]
fn a_second_change_in_a_directory_does_not_repeat_its_attributes() {
    let kernel = Kernel::new();
    let asked = kernel.view.moment();
    kernel.view.gave_attr(DIR, DIR, TTL, asked);
    assert_eq!(kernel.hears_of(&unlinked("f")), ["inode 10 -1 0"]);
    assert!(kernel.hears_of(&unlinked("g")).is_empty());
}

#[test]
fn attributes_of_a_new_node_wait_for_its_look_up() {
    let kernel = Kernel::new();
    let change = Change::new().attributes_of(CHILD);
    for (has_not_made_it, expected) in [
        (false, &["inode 11 -1 0"][..]),
        (true, &["inode 11 -1 0", "entry 10 /", "inode 11 -1 0"]),
    ] {
        let flag = &kernel.recorded.has_not_made_it;
        flag.store(has_not_made_it, Ordering::Relaxed);
        kernel.gets(DIR, "f", CHILD, Duration::ZERO, TTL);
        assert_eq!(kernel.hears_of(&change), expected);
        assert!(kernel.hears_of(&change).is_empty());
    }
}

/// The thread that served the look-up may be the one that the kernel waits for.
#[test]
fn attributes_alone_go_without_a_wait_unless_their_node_arrives() {
    thread_local! {
        static WAITS: Cell<u32> = const { Cell::new(0) };
    }
    let kernel = Kernel::new();
    hear_of_waits(|| WAITS.set(WAITS.get() + 1));
    for (has_not_made_it, waits) in [(false, 0), (true, 2)] {
        for change in [
            Change::new().name(DIR, OsStr::new("f")),
            Change::new().attributes_of(DIR),
        ] {
            let flag = &kernel.recorded.has_not_made_it;
            flag.store(has_not_made_it, Ordering::Relaxed);
            kernel.gets(INodeNo::ROOT, "d", DIR, Duration::ZERO, TTL);
            assert!(!kernel.hears_of(&change).is_empty());
            assert_eq!(WAITS.take(), waits, "{change:?}");
        }
    }
    kernel.hears_of(&Change::new().content_from(DIR, 0));
    assert_eq!(WAITS.take(), 1, "pages may be locked");
}

#[test]
fn a_name_that_went_has_waited_for_the_look_up_in_its_directory() {
    let kernel = Kernel::new();
    kernel.gets(INodeNo::ROOT, "d", DIR, TTL, Duration::ZERO);
    kernel.gets(DIR, "f", CHILD, TTL, TTL);
    let heard = kernel.hears_of(&unlinked("f"));
    assert_eq!(heard, ["entry 10 f", "inode 11 -1 0"]);
}

#[test]
fn a_known_directory_dies_and_an_unknown_one_is_unhashed() {
    let kernel = Kernel::new();
    let gone = Change::new().directory_gone(INodeNo::ROOT, OsStr::new("d"), DIR);
    kernel.gets(INodeNo::ROOT, "d", DIR, TTL, Duration::ZERO);
    assert_eq!(kernel.hears_of(&gone), ["delete 1 10 d"]);
    kernel.gets(INodeNo::ROOT, "d", DIR, TTL, Duration::ZERO);
    kernel.view.forgot(DIR, 2);
    assert_eq!(kernel.hears_of(&gone), ["entry 1 d"]);
}

#[test]
fn cached_listings_go_with_every_change() {
    let kernel = Kernel::new();
    kernel.view.gave_directory_pages(INodeNo::ROOT);
    let change = Change::new().name(INodeNo::ROOT, OsStr::new("f"));
    assert_eq!(kernel.hears_of(&change), ["inode 1 0 0"]);
    assert_eq!(kernel.hears_of(&change), ["inode 1 0 0"]);
}

#[test]
fn content_goes_from_its_new_end_on_when_the_node_is_known() {
    let kernel = Kernel::new();
    let truncated = Change::new().content_from(CHILD, 4096);
    assert!(kernel.hears_of(&truncated).is_empty());
    kernel.gets(DIR, "f", CHILD, Duration::ZERO, Duration::ZERO);
    let sent = kernel.hears_of(&truncated);
    assert_eq!(sent.last().map(String::as_str), Some("inode 11 4096 0"));
}

#[test]
fn a_rename_speaks_of_both_names_and_once_of_one_directory() {
    let kernel = Kernel::new();
    kernel.gets(INodeNo::ROOT, "a", CHILD, TTL, Duration::ZERO);
    kernel.gets(INodeNo::ROOT, "b", INodeNo(0), TTL, Duration::ZERO);
    let asked = kernel.view.moment();
    kernel
        .view
        .gave_attr(INodeNo::ROOT, INodeNo::ROOT, TTL, asked);
    let change = Change::new()
        .name(INodeNo::ROOT, OsStr::new("a"))
        .name(INodeNo::ROOT, OsStr::new("b"));
    let sent = kernel.hears_of(&change);
    assert_eq!(sent, ["entry 1 a", "entry 1 b", "inode 1 -1 0"]);
}
