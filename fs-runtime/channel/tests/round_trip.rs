//! Requests and replies between threads, as two processes would do it.
#![cfg(not(loom))]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use finesse_channel::{Abandoned, Client, Fate, Geometry, PostError, Server};

const GEOMETRY: Geometry = Geometry {
    slots: 4,
    request_max: 100,
    reply_max: 100,
};
const LONG: Duration = Duration::from_secs(10);

fn pair() -> (Arc<Server>, Arc<Client>) {
    let (server, fd) = Server::create(GEOMETRY).unwrap();
    (Arc::new(server), Arc::new(Client::open(&fd).unwrap()))
}

/// Answers each request with its bytes reversed, until the channel closes.
fn serve(server: &Server, served: &AtomicU64) {
    let mut buf = Vec::new();
    while let Some(ticket) = server.next(&mut buf) {
        served.fetch_add(1, Ordering::Relaxed);
        buf.reverse();
        server.reply(ticket, &buf);
    }
}

#[test]
fn every_request_is_answered_once() {
    let (server, client) = pair();
    let served = AtomicU64::new(0);
    const CLIENTS: u64 = 8;
    const EACH: u64 = 2_000;
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| serve(&server, &served));
        }
        let clients: Vec<_> = (0..CLIENTS)
            .map(|id| {
                let client = &client;
                scope.spawn(move || {
                    let mut reply = Vec::new();
                    for i in 0..EACH {
                        let request = (id * EACH + i).to_le_bytes();
                        let pending = client.post(&request, LONG).unwrap();
                        assert!(client.wait(&pending, LONG), "request {i} of {id} hangs");
                        client.take(pending, &mut reply).unwrap();
                        assert!(reply.iter().rev().eq(&request));
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|c| c.join().unwrap());
        server.close();
    });
    assert_eq!(served.load(Ordering::Relaxed), CLIENTS * EACH);
}

#[test]
fn slots_run_out_and_come_back() {
    let (server, client) = pair();
    let mut pending: Vec<_> = (0..GEOMETRY.slots)
        .map(|_| client.post(b"x", Duration::ZERO).unwrap())
        .collect();
    assert_eq!(
        client.post(b"x", Duration::from_millis(5)).unwrap_err(),
        PostError::Full
    );
    assert_eq!(
        client.abandon(pending.pop().unwrap()),
        Abandoned::NeverServed
    );
    let again = client.post(b"y", Duration::ZERO).unwrap();
    assert_eq!(client.abandon(again), Abandoned::NeverServed);
    assert_eq!(
        client.post(&[0; 101], Duration::ZERO).unwrap_err(),
        PostError::TooLarge
    );
    drop(server);
}

#[test]
fn an_abandoned_request_is_retired_by_the_server() {
    let (server, client) = pair();
    let mut buf = Vec::new();
    for round in 0..3 * GEOMETRY.slots {
        let pending = client
            .post(b"slow", Duration::ZERO)
            .expect("a slot is free");
        let ticket = server.next(&mut buf).unwrap();
        assert_eq!(client.abandon(pending), Abandoned::MaybeServed, "{round}");
        server.reply(ticket, b"late");
    }
}

#[test]
fn a_late_reply_wakes_a_sleeping_client() {
    let (server, client) = pair();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut buf = Vec::new();
            for _ in 0..2 {
                let ticket = server.next(&mut buf).unwrap();
                thread::sleep(Duration::from_millis(30));
                server.reply(ticket, b"late");
            }
        });
        let mut reply = Vec::new();
        let pending = client.post(b"a", LONG).unwrap();
        assert!(client.wait(&pending, LONG));
        client.take(pending, &mut reply).unwrap();
        assert_eq!(reply, b"late");

        let pending = client.post(b"b", LONG).unwrap();
        assert!(!client.wait(&pending, Duration::from_millis(1)));
        let end = Instant::now() + LONG;
        loop {
            let seen = client.completions();
            if client.watch(&pending) {
                break;
            }
            assert!(Instant::now() < end, "the completion was lost");
            client.wait_completions(seen, Some(LONG));
        }
        client.take(pending, &mut reply).unwrap();
    });
}

#[test]
fn a_request_is_served_though_who_promised_to_look_hangs() {
    let (server, client) = pair();
    server.leave_watching_to_others();
    server.will_look();
    let served = AtomicU64::new(0);
    let all = thread::scope(|scope| {
        scope.spawn(|| serve(&server, &served));
        let all = (0..3).all(|_| {
            let pending = client.post(b"ping", LONG).unwrap();
            client.wait(&pending, LONG) && client.take(pending, &mut Vec::new()).is_ok()
        });
        server.looks_no_more();
        server.close();
        all
    });
    assert!(all, "nobody serves a request");
}

#[test]
fn closing_ends_every_wait() {
    let (server, client) = pair();
    thread::scope(|scope| {
        scope.spawn(|| assert!(server.next(&mut Vec::new()).is_some()));
        let pending = client.post(b"x", LONG).unwrap();
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            client.close();
        });
        assert!(client.wait(&pending, LONG));
        assert!(client.take(pending, &mut Vec::new()).is_err());
        assert_eq!(client.post(b"x", LONG).unwrap_err(), PostError::Closed);
        let sleeper = scope.spawn(|| server.next(&mut Vec::new()).is_none());
        thread::sleep(Duration::from_millis(20));
        server.close();
        assert!(sleeper.join().unwrap());
    });
}

/// Asked by somebody else who has the memory.
#[test]
fn what_became_of_a_dead_clients_requests() {
    let (server, fd) = Server::create(GEOMETRY).unwrap();
    let (client, heir) = (Client::open(&fd).unwrap(), Client::open(&fd).unwrap());
    let (mut request, mut reply) = (Vec::new(), Vec::new());
    for round in 0..9 {
        let slot = client.slot(1, Duration::ZERO).unwrap();
        let label = slot.label();
        assert_eq!(heir.fate(label, &mut reply), Fate::NeverServed);
        let pending = client.post_in(slot, &[round]);
        if round % 3 == 0 {
            for _ in 0..2 {
                assert_eq!(heir.fate(label, &mut reply), Fate::NeverServed);
            }
            continue;
        }
        // What was taken back does not come.
        let ticket = server.next(&mut request).unwrap();
        assert_eq!(request, [round]);
        assert_eq!(heir.fate(label, &mut reply), Fate::InService);
        if round % 3 == 1 {
            server.reply(ticket, b"result");
            for _ in 0..2 {
                assert_eq!(heir.fate(label, &mut reply), Fate::Replied);
                assert_eq!(reply, b"result");
            }
            client.take(pending, &mut reply).unwrap();
        } else {
            assert_eq!(client.abandon(pending), Abandoned::MaybeServed);
            assert_eq!(heir.fate(label, &mut reply), Fate::Unknown);
            server.reply(ticket, b"late");
        }
    }
    assert_eq!(heir.fate(u64::MAX, &mut reply), Fate::Unknown);
}

#[test]
fn both_ends_name_a_request_alike() {
    let (server, client) = pair();
    let (mut request, mut reply) = (Vec::new(), Vec::new());
    let mut earlier = None;
    for _ in 0..3 {
        let [first, second] = [b"a", b"b"].map(|bytes| client.post(bytes, LONG).unwrap());
        assert!(!server.has_in_hand(first.label()));
        let [one, other] = [(); 2].map(|()| server.next(&mut request).unwrap());
        let mut labels: Vec<_> = server.labels_in_hand().collect();
        labels.sort_unstable();
        let mut posted = [first.label(), second.label()];
        posted.sort_unstable();
        assert_eq!(labels, posted);
        assert!(one.label() != other.label() && server.has_in_hand(one.label()));
        for label in earlier.into_iter().chain([u64::MAX, 9 << 29]) {
            assert!(!server.has_in_hand(label));
        }
        earlier = Some(first.label());
        for ticket in [one, other] {
            let label = ticket.label();
            server.reply(ticket, b"");
            assert!(!server.has_in_hand(label));
        }
        for pending in [first, second] {
            client.take(pending, &mut reply).unwrap();
        }
    }
}
