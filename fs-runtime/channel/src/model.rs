//! The hand-shake under loom: all interleavings, and all values that the memory model
//! lets a load see, up to a bound on preemptions. Time-outs never come here, so a lost
//! wake-up is a deadlock, which loom reports.

use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32 as Payload, Ordering};
use loom::thread;

use crate::bell::Bell;
use crate::completions::Completions;
use crate::doorbell::{Doorbell, Fate, GaveUp, Generation, Progress};
use crate::end::End;
use crate::sync::AtomicU32;

const FOREVER: Duration = Duration::MAX;
const FIRST: Generation = Generation::FIRST;

/// One slot, its payload as in the mapping: relaxed.
struct Slot {
    state: AtomicU32,
    waiter: AtomicU32,
    request: Payload,
    reply: Payload,
}

impl Slot {
    fn new() -> Self {
        Slot {
            state: AtomicU32::new(0),
            waiter: AtomicU32::new(0),
            request: Payload::new(0),
            reply: Payload::new(0),
        }
    }

    fn doorbell(&self) -> Doorbell<'_> {
        Doorbell {
            state: &self.state,
            waiter: &self.waiter,
        }
    }

    fn post(&self, generation: Generation, request: u32) {
        self.request.store(request, Ordering::Relaxed);
        self.doorbell().post(generation);
    }

    /// Serves the request, if there is one, and says which it was.
    fn serve(&self, completions: &AtomicU32) -> Option<u32> {
        let generation = self.doorbell().claim()?;
        let request = self.request.load(Ordering::Relaxed);
        self.reply.store(request + 100, Ordering::Relaxed);
        self.doorbell().reply(generation, Completions(completions));
        Some(request)
    }

    fn reply_to(&self, generation: Generation) -> Option<u32> {
        (self.doorbell().progress(generation) == Progress::Replied)
            .then(|| self.reply.load(Ordering::Relaxed))
    }
}

/// A channel without its mapping.
struct Channel<const SLOTS: usize> {
    slots: [Slot; SLOTS],
    words: [AtomicU32; 3],
    completions: AtomicU32,
    end: End,
}

impl<const SLOTS: usize> Channel<SLOTS> {
    fn new() -> Arc<Self> {
        Arc::new(Channel {
            slots: std::array::from_fn(|_| Slot::new()),
            words: std::array::from_fn(|_| AtomicU32::new(0)),
            completions: AtomicU32::new(0),
            end: End::new(),
        })
    }

    fn bell(&self) -> Bell<'_> {
        let [bell, sleepers, spinners] = &self.words;
        Bell {
            bell,
            sleepers,
            spinners,
        }
    }

    fn post(&self, slot: usize) {
        self.slots[slot].post(FIRST, 1);
        self.bell().ring();
    }

    fn scan(&self) -> Option<Generation> {
        self.slots.iter().find_map(|s| s.doorbell().claim())
    }

    /// As `Server::next`.
    fn next(&self, may_watch: bool) {
        loop {
            let found = self
                .scan()
                .or_else(|| {
                    may_watch
                        .then(|| self.bell().watch(|| self.scan()))
                        .flatten()
                })
                .or_else(|| self.bell().sleep(&self.end, None, || self.scan()));
            if found.is_some() {
                break;
            }
        }
        self.bell()
            .share(|| self.slots.iter().any(|s| s.doorbell().is_posted()));
    }
}

fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(model);
}

#[test]
fn loom_a_request_is_served_once_with_its_bytes() {
    check(3, || {
        let channel = Channel::<1>::new();
        let servers = [(); 2].map(|()| {
            let channel = Arc::clone(&channel);
            thread::spawn(move || channel.slots[0].serve(&channel.completions))
        });
        let slot = &channel.slots[0];
        slot.post(FIRST, 7);
        let early = slot.reply_to(FIRST);
        assert!(matches!(early, None | Some(107)));
        let served: Vec<_> = servers.map(|s| s.join().unwrap()).into_iter().collect();
        let served: Vec<_> = served.into_iter().flatten().collect();
        match slot.reply_to(FIRST) {
            Some(reply) => assert_eq!((served, reply), (vec![7], 107)),
            None => assert_eq!(served, []),
        }
    });
}

#[test]
fn loom_what_an_heir_takes_back_is_not_served() {
    check(3, || {
        let channel = Channel::<1>::new();
        let slot = &channel.slots[0];
        slot.post(FIRST, 7);
        let server = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || channel.slots[0].serve(&channel.completions))
        };
        let fates = [(); 2].map(|()| {
            let fate = slot.doorbell().fate(FIRST);
            if fate == Fate::Replied {
                assert_eq!(slot.reply.load(Ordering::Relaxed), 107);
            }
            fate
        });
        let served = server.join().unwrap();
        match fates {
            [Fate::NeverServed, Fate::NeverServed] => assert_eq!(served, None),
            [Fate::InService, Fate::InService | Fate::Replied] | [Fate::Replied, Fate::Replied] => {
                assert_eq!(served, Some(7));
                assert_eq!(slot.doorbell().fate(FIRST), Fate::Replied);
            }
            _ => panic!("{fates:?}"),
        }
    });
}

#[test]
fn loom_a_given_up_slot_comes_back_and_nothing_is_served_twice() {
    check(3, || {
        let channel = Channel::<1>::new();
        let servers = [(); 2].map(|()| {
            let channel = Arc::clone(&channel);
            thread::spawn(move || channel.slots[0].serve(&channel.completions))
        });
        let slot = &channel.slots[0];
        slot.post(FIRST, 1);
        let gave_up = slot.doorbell().give_up(FIRST);
        assert_ne!(gave_up, GaveUp::Fault);
        // What was retired was not read late: its next request overwrites it at once.
        let is_free = gave_up != GaveUp::InService || slot.doorbell().is_retired(FIRST);
        if is_free {
            slot.post(FIRST.next(), 2);
        }
        let served: Vec<_> = servers.map(|s| s.join().unwrap()).into_iter().collect();
        let times = |request| served.iter().filter(|s| **s == Some(request)).count();
        assert_eq!(times(1), usize::from(gave_up != GaveUp::NeverServed));
        assert!(times(2) <= usize::from(is_free));
        match slot.reply_to(FIRST.next()) {
            Some(reply) => assert_eq!((times(2), reply), (1, 102)),
            None => assert_eq!(times(2), 0),
        }
        assert!(is_free || slot.doorbell().is_retired(FIRST));
    });
}

#[test]
fn loom_a_reply_wakes_the_sleeping_client() {
    check(3, || {
        let channel = Channel::<1>::new();
        channel.slots[0].post(FIRST, 7);
        let server = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || channel.slots[0].serve(&channel.completions))
        };
        let slot = &channel.slots[0];
        assert!(slot.doorbell().sleep(FIRST, &channel.end, FOREVER));
        assert_eq!(slot.reply_to(FIRST), Some(107));
        slot.doorbell().release(FIRST);
        server.join().unwrap().unwrap();
    });
}

#[test]
fn loom_replies_wake_who_waits_for_several() {
    check(2, || {
        let channel = Channel::<2>::new();
        let servers = [0, 1].map(|slot| {
            channel.slots[slot].post(FIRST, 7);
            let channel = Arc::clone(&channel);
            thread::spawn(move || channel.slots[slot].serve(&channel.completions))
        });
        let completions = Completions(&channel.completions);
        loop {
            let seen = completions.count();
            let over = |slot: &Slot| slot.doorbell().watch(FIRST, &channel.end);
            // Both looks, as the client does.
            let [first, second] = [&channel.slots[0], &channel.slots[1]].map(over);
            if first && second {
                break;
            }
            channel.end.sleep(|| completions.sleep(seen, None));
        }
        for server in servers {
            server.join().unwrap().unwrap();
        }
    });
}

/// Each server keeps the one request it takes, as a slow one does; so each request must
/// reach a server of its own.
fn every_request_reaches_a_server(preemptions: usize, watchers: usize) {
    check(preemptions, move || {
        let channel = Channel::<2>::new();
        let servers = [0, 1].map(|server| {
            let channel = Arc::clone(&channel);
            thread::spawn(move || channel.next(server < watchers))
        });
        channel.post(0);
        channel.post(1);
        for server in servers {
            server.join().unwrap();
        }
    });
}

#[test]
fn loom_no_ring_is_lost_among_sleepers() {
    every_request_reaches_a_server(3, 0);
}

#[test]
fn loom_no_ring_is_lost_beside_a_watching_server() {
    every_request_reaches_a_server(3, 1);
}

#[test]
fn loom_no_ring_is_lost_beside_two_watching_servers() {
    every_request_reaches_a_server(2, 2);
}

/// As `Server::next` where others watch.
fn next_unless_watched(channel: &Channel<1>) {
    let look = || match channel.bell().is_watched() {
        true => None,
        false => channel.scan(),
    };
    while look()
        .or_else(|| channel.bell().sleep(&channel.end, None, look))
        .is_none()
    {}
}

/// A request reaches a server that serves by `next`, though somebody has promised to look for it and does not.
fn a_promise_is_broken(next: fn(&Channel<1>)) {
    check(3, move || {
        let channel = Channel::<1>::new();
        channel.bell().will_look();
        let server = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || next(&channel))
        };
        let client = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || channel.post(0))
        };
        let is_any_posted = || channel.slots[0].doorbell().is_posted();
        channel.bell().looks_no_more(is_any_posted);
        client.join().unwrap();
        server.join().unwrap();
    });
}

#[test]
fn loom_no_request_waits_for_who_broke_the_promise_to_look() {
    a_promise_is_broken(|channel| channel.next(false));
}

#[test]
fn loom_what_is_left_to_a_watcher_is_found_when_it_goes() {
    a_promise_is_broken(next_unless_watched);
}

/// A client does not ring for what it leaves to a thread that serves another request: that finds it.
#[test]
fn loom_who_serves_finds_what_was_left_to_him() {
    check(3, || {
        let channel = Channel::<1>::new();
        channel.bell().will_look();
        let server = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                channel.bell().looks_now();
                channel.next(false);
            })
        };
        channel.post(0);
        server.join().unwrap();
    });
}

#[test]
fn loom_the_end_wakes_a_server_whose_bell_is_forged() {
    check(3, || {
        let channel = Channel::<1>::new();
        let server = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                while !channel.end.has_come() {
                    channel.bell().sleep(&channel.end, None, || None::<()>);
                }
            })
        };
        let forger = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || channel.words[0].store(0, crate::sync::Ordering::SeqCst))
        };
        channel.end.come(|| channel.bell().wake_all());
        forger.join().unwrap();
        server.join().unwrap();
    });
}

#[test]
fn loom_the_end_wakes_a_client_whose_server_died() {
    check(3, || {
        let channel = Channel::<1>::new();
        channel.slots[0].post(FIRST, 7);
        let client = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                let doorbell = channel.slots[0].doorbell();
                doorbell.sleep(FIRST, &channel.end, FOREVER)
            })
        };
        channel.end.come(|| channel.slots[0].doorbell().wake());
        assert!(client.join().unwrap());
    });
}
