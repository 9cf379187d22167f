use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Gate, GateGuard, GatePair, Looking};

const SOON: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_secs(20);

/// Runs `enter` in a thread; the receiver hears when it got in.
fn arrives<G: Send + 'static>(enter: impl FnOnce() -> G + Send + 'static) -> mpsc::Receiver<G> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(enter()));
    receiver
}

fn held(gate: &Gate) -> usize {
    let shards = gate.directories.iter().chain(&gate.names);
    shards.map(|s| s.nodes.lock().len()).sum()
}

#[test]
fn readers_share_and_writers_exclude() {
    let gate = Gate::new();
    let first = gate.shared(7);
    let second = gate.shared(7);
    let writer = arrives({
        let gate = Arc::clone(&gate);
        move || gate.exclusive(7)
    });
    assert!(writer.recv_timeout(SOON).is_err());
    drop(first);
    assert!(writer.recv_timeout(SOON).is_err());
    drop(second);
    let inside = writer.recv_timeout(LATE).unwrap();
    let reader = arrives({
        let gate = Arc::clone(&gate);
        move || gate.shared(7)
    });
    assert!(reader.recv_timeout(SOON).is_err());
    drop(gate.exclusive(8));
    drop(inside);
    drop(reader.recv_timeout(LATE).unwrap());
    assert_eq!(held(&gate), 0);
}

#[test]
fn a_waiting_writer_goes_before_later_readers() {
    let gate = Gate::new();
    let reader = gate.shared(1);
    let writer = arrives({
        let gate = Arc::clone(&gate);
        move || gate.exclusive(1)
    });
    assert!(writer.recv_timeout(SOON).is_err());
    let later = arrives({
        let gate = Arc::clone(&gate);
        move || gate.shared(1)
    });
    assert!(later.recv_timeout(SOON).is_err());
    drop(reader);
    drop(writer.recv_timeout(LATE).unwrap());
    drop(later.recv_timeout(LATE).unwrap());
}

#[test]
fn pairs_in_either_order_do_not_deadlock() {
    let gate = Gate::new();
    drop::<GatePair>(gate.exclusive_pair(3, 3));
    let threads: Vec<_> = [(1, 2), (2, 1)]
        .into_iter()
        .map(|(a, b)| {
            let gate = Arc::clone(&gate);
            arrives(move || (0..5_000).for_each(|_| drop(gate.exclusive_pair(a, b))))
        })
        .collect();
    for done in threads {
        done.recv_timeout(LATE).unwrap();
    }
    assert_eq!(held(&gate), 0);
}

#[test]
fn a_guard_may_be_dropped_by_another_thread() {
    let gate = Gate::new();
    let guard: GateGuard = gate.exclusive(5);
    thread::spawn(move || drop(guard)).join().unwrap();
    drop(gate.exclusive(5));
    assert_eq!(held(&gate), 0);
}

#[test]
fn stress_keeps_exclusion_and_loses_no_wake_up() {
    const NODES: usize = 3;
    let gate = Gate::new();
    let inside: Arc<[AtomicI64; NODES]> = Arc::default();
    let entered = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..8_u64)
        .map(|seed| {
            let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
            let entered = Arc::clone(&entered);
            arrives(move || {
                let mut random = seed + 1;
                for _ in 0..4_000 {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let node = usize::try_from(random % 3).unwrap();
                    let count = &inside[node];
                    if random & 0x100 == 0 {
                        let _guard = gate.shared(node as u64);
                        assert!(count.fetch_add(1, Ordering::SeqCst) >= 0);
                        if random & 0x200 == 0 {
                            thread::yield_now();
                        }
                        count.fetch_sub(1, Ordering::SeqCst);
                    } else {
                        let _guard = gate.exclusive(node as u64);
                        assert_eq!(count.swap(i64::MIN / 2, Ordering::SeqCst), 0);
                        thread::yield_now();
                        assert_eq!(count.swap(0, Ordering::SeqCst), i64::MIN / 2);
                    }
                    entered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for done in threads {
        done.recv_timeout(LATE).expect("a thread panicked or hangs");
    }
    assert_eq!(entered.load(Ordering::Relaxed), 8 * 4_000);
    assert_eq!(held(&gate), 0);
}

/// Not a benchmark: catches a gate that became slow by an order of magnitude; prints what
/// it measured.
#[test]
fn uncontended_gates_are_cheap() {
    let gate = Gate::new();
    let start = Instant::now();
    for node in 0..100_000 {
        drop(gate.exclusive(node));
    }
    let each = start.elapsed() / 100_000;
    println!("{each:?} a pass");
    assert!(each < Duration::from_micros(20), "{each:?} a pass");
}

#[test]
fn who_may_not_wait_enters_only_where_nobody_is() {
    let gate = Gate::new();
    let name = OsStr::new("n");
    let inside = gate.exclusive(1);
    assert!(gate.try_exclusive(1).is_none() && gate.try_look(1, name).is_none());
    assert!(gate.try_exclusive_pair(1, 2).is_none() && gate.try_exclusive_pair(2, 1).is_none());
    assert!(gate.try_exclusive(2).is_some());
    drop(inside);
    let pair = gate.try_exclusive_pair(1, 1).unwrap();
    assert!(gate.try_list(1).is_none());
    drop(pair);
    let looking = gate.try_look(1, name).unwrap();
    assert!(gate.try_look(1, name).is_some() && gate.try_list(1).is_some());
    assert!(gate.try_exclusive(1).is_none());
    drop(looking);
    assert_eq!(held(&gate), 0);
}

#[test]
fn look_ups_overlap_as_the_kernel_lets_them() {
    let gate = Gate::new();
    let [a, b] = ["a", "b"].map(OsStr::new);
    gate.let_look(Looking::ByName);
    let looking = gate.look(1, a);
    assert!(gate.try_look(1, a).is_none(), "one name");
    assert!(gate.try_look(1, b).is_some() && gate.try_look(2, a).is_some());
    assert!(gate.try_list(1).is_some() && gate.try_exclusive(1).is_none());
    drop(looking);
    gate.let_look(Looking::OneAtATime);
    let looking = gate.look(1, a);
    assert!(gate.try_look(1, b).is_none() && gate.try_list(1).is_none());
    assert!(gate.try_look(2, a).is_some());
    drop(looking);
    assert_eq!(held(&gate), 0);
}
