//! A peer that writes whatever it likes into the shared memory: nothing panics, nothing
//! hangs, nothing is read out of bounds, and what is no channel is refused.
#![cfg(not(loom))]

#[allow(unsafe_code)]
#[path = "hostile/raw.rs"]
mod raw;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use finesse_channel::{Client, Geometry, OpenError, Server};
use raw::Raw;
use rustix::fs::{MemfdFlags, SealFlags};

const GEOMETRY: Geometry = Geometry {
    slots: 4,
    request_max: 5000,
    reply_max: 3000,
};
const PAGE: usize = 4096;
/// Offsets of all words outside the payload: header, bell words, doorbells, lengths.
const HEADER: [usize; 5] = [0, 4, 8, 12, 16];
const BELL_WORDS: [usize; 4] = [128, 192, 256, 320];
const REQUEST_AREA: usize = 2 * PAGE;
const STRIDE: usize = 3 * PAGE;
const TOTAL: usize = 2 * PAGE + 4 * STRIDE;
const BRIEF: Duration = Duration::from_micros(200);
/// No single call takes this long, whatever the peer does.
const HANG: Duration = Duration::from_secs(10);

fn words() -> Vec<usize> {
    let slots = 0..GEOMETRY.slots as usize;
    let doorbells = slots.clone().flat_map(|s| [PAGE + 8 * s, PAGE + 8 * s + 4]);
    let lengths = slots.flat_map(|s| {
        let request = REQUEST_AREA + s * STRIDE;
        [request, request + 2 * PAGE]
    });
    HEADER
        .into_iter()
        .chain(BELL_WORDS)
        .chain(doorbells)
        .chain(lengths)
        .collect()
}

/// How long each of the long tests writes.
fn duration() -> Duration {
    let seconds = std::env::var("FINESSE_HOSTILE_SECONDS").ok();
    let seconds = seconds.and_then(|s| s.parse().ok()).unwrap_or(2.0);
    Duration::from_secs_f64(seconds)
}

/// A small generator (xorshift), fast enough to hammer with.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    /// Small and extreme values, and plausible states.
    fn word(&mut self) -> u32 {
        let random = (self.next() >> 32) as u32;
        match self.next() % 4 {
            0 => random % 40,
            1 => u32::MAX - random % 8,
            2 => [2999, 3000, 3001, 4999, 5000, 5001, 1 << 31][(random % 7) as usize],
            _ => random,
        }
    }
}

/// Writes at random until told to stop: mostly words that mean something.
fn attack(raw: &Raw, seed: u64, stop: &AtomicBool) {
    let words = words();
    let mut random = Random(seed);
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..64 {
            let offset = match random.next() % 8 {
                0 => random.below(TOTAL / 4) * 4,
                _ => words[random.below(words.len())],
            };
            raw.set(offset, random.word());
        }
        // Lets an honest round through now and then.
        if random.next().is_multiple_of(4) {
            thread::sleep(Duration::from_micros(random.next() % 100));
        }
    }
}

/// A client's calls, each bounded in time; false when no slot is left.
fn call(client: &Client, buf: &mut Vec<u8>) -> bool {
    let Ok(pending) = client.post(b"a request", BRIEF) else {
        return false;
    };
    let seen = client.completions();
    if client.wait(&pending, BRIEF) || client.watch(&pending) {
        if client.take(pending, buf).is_ok() {
            assert!(buf.len() <= GEOMETRY.reply_max as usize);
        }
    } else {
        client.wait_completions(seen, Some(BRIEF));
        client.abandon(pending);
    }
    true
}

fn serve(server: &Server) {
    let mut buf = Vec::new();
    let reply = vec![7; GEOMETRY.reply_max as usize];
    while let Some(ticket) = server.next(&mut buf) {
        assert!(buf.len() <= GEOMETRY.request_max as usize);
        server.reply(ticket, &reply[..buf.len().min(reply.len())]);
    }
}

/// Runs `work`; fails when it takes longer than `limit`.
fn bounded(limit: Duration, what: &str, work: impl FnOnce()) {
    let begin = Instant::now();
    work();
    assert!(begin.elapsed() < limit, "{what} took {:?}", begin.elapsed());
}

/// Both ends work honestly for `time` while `hostile` writes; then everything ends.
fn under_attack(time: Duration, hostile: impl Fn(&Raw, &AtomicBool) + Sync) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        let (server, fd) = Server::create(GEOMETRY).unwrap();
        let client = Client::open(&fd).unwrap();
        let raw = Raw::map(&fd, TOTAL);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let attacker = scope.spawn(|| hostile(&raw, &stop));
            let servers = [(); 2].map(|()| scope.spawn(|| serve(&server)));
            let waiter = scope.spawn(|| client.wait_completions(client.completions(), None));
            let mut buf = Vec::new();
            let round = Instant::now() + time.min(Duration::from_millis(100));
            while Instant::now() < round.min(end) {
                let mut alive = false;
                bounded(HANG, "a call", || alive = call(&client, &mut buf));
                if !alive {
                    break;
                }
            }
            // The attack goes on while both sides close.
            bounded(HANG, "closing", || {
                client.close();
                server.close();
                waiter.join().unwrap();
                servers.into_iter().for_each(|s| s.join().unwrap());
            });
            stop.store(true, Ordering::Relaxed);
            attacker.join().unwrap();
        });
    }
}

#[test]
fn random_writes_do_no_harm() {
    under_attack(duration(), |raw, stop| {
        attack(raw, 0x9e37_79b9_7f4a_7c15, stop);
    });
}

#[test]
fn extreme_values_in_each_word_do_no_harm() {
    for offset in words() {
        for value in [0, 1, 2, 3, 7, 4097, i32::MAX as u32, 1 << 31, u32::MAX] {
            under_attack(Duration::from_millis(4), |raw, stop| {
                while !stop.load(Ordering::Relaxed) {
                    raw.set(offset, value);
                    thread::sleep(Duration::from_micros(5));
                }
            });
        }
    }
}

#[test]
fn lengths_beyond_a_slot_are_refused() {
    let (server, fd) = Server::create(GEOMETRY).unwrap();
    let client = Client::open(&fd).unwrap();
    let raw = Raw::map(&fd, TOTAL);
    let mut buf = b"left over".to_vec();
    for length in [5001, 8192, u32::MAX] {
        let pending = client.post(b"request", BRIEF).unwrap();
        raw.set(REQUEST_AREA, length);
        let ticket = server.next(&mut buf).unwrap();
        assert!(buf.is_empty(), "a request of {length} bytes");
        server.reply(ticket, b"reply");
        client.take(pending, &mut buf).unwrap();
    }
    let pending = client.post(b"request", BRIEF).unwrap();
    let ticket = server.next(&mut buf).unwrap();
    server.reply(ticket, b"reply");
    raw.set(REQUEST_AREA + 2 * PAGE, 3001);
    assert!(client.take(pending, &mut buf).is_err());
}

/// A memfd with the header of a channel of one slot, changed by `forge`.
fn forged(size: usize, seals: SealFlags, forge: impl FnOnce(&Raw)) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = rustix::fs::memfd_create("forged", flags).unwrap();
    rustix::fs::ftruncate(&fd, size as u64).unwrap();
    let raw = Raw::map(&fd, size);
    for (index, word) in b"FNSCHAN1".chunks_exact(4).enumerate() {
        raw.set(4 * index, u32::from_le_bytes(word.try_into().unwrap()));
    }
    for (offset, value) in [(8, 1), (12, 100), (16, 100)] {
        raw.set(offset, value);
    }
    forge(&raw);
    rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
    fd
}

#[test]
fn forged_memory_is_refused() {
    let sealed = SealFlags::SHRINK | SealFlags::GROW;
    let open = |size, seals, forge: fn(&Raw)| Client::open(&forged(size, seals, forge));
    let good = 4 * PAGE;
    assert!(open(good, sealed, |_| ()).is_ok());
    for seals in [SealFlags::empty(), SealFlags::SHRINK, SealFlags::GROW] {
        let refused = open(good, seals, |_| ()).unwrap_err();
        assert!(matches!(refused, OpenError::NotSealed), "{refused}");
    }
    for size in [PAGE, good - 1] {
        let refused = open(size, sealed, |_| ()).unwrap_err();
        assert!(matches!(refused, OpenError::Size { .. }), "{refused}");
    }
    let refused = open(good, sealed, |raw| raw.set(4, 0)).unwrap_err();
    assert!(matches!(refused, OpenError::BadMagic), "{refused}");
    let more: [fn(&Raw); 3] = [
        |raw| raw.set(8, 2),
        |raw| raw.set(12, 4089),
        |raw| raw.set(16, 1 << 20),
    ];
    for lie in more {
        let refused = open(good, sealed, lie).unwrap_err();
        assert!(matches!(refused, OpenError::Size { .. }), "{refused}");
    }
    let impossible: [fn(&Raw); 4] = [
        |raw| raw.set(8, 0),
        |raw| raw.set(8, u32::MAX),
        |raw| raw.set(12, 0),
        |raw| raw.set(16, u32::MAX),
    ];
    for lie in impossible {
        let refused = open(good, sealed, lie).unwrap_err();
        assert!(matches!(refused, OpenError::Geometry(_)), "{refused}");
    }
    let file = OwnedFd::from(ordinary_file());
    assert!(Client::open(&file).is_err());
    let (reader, _writer) = std::io::pipe().unwrap();
    assert!(Client::open(&reader.into()).is_err());
}

fn ordinary_file() -> std::fs::File {
    std::fs::File::open("/proc/self/exe").unwrap()
}

#[test]
fn the_memory_keeps_its_size() {
    let (_server, fd) = Server::create(GEOMETRY).unwrap();
    let size = rustix::fs::fstat(&fd).unwrap().st_size.cast_unsigned();
    assert_eq!(size, TOTAL as u64);
    for other in [0, size - 1, size + 1] {
        assert!(rustix::fs::ftruncate(&fd, other).is_err());
    }
}

#[test]
fn endless_patience_is_no_panic() {
    let (server, fd) = Server::create(GEOMETRY).unwrap();
    let client = Client::open(&fd).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| serve(&server));
        let pending = client.post(b"x", Duration::MAX).unwrap();
        assert!(client.wait(&pending, Duration::MAX));
        client.take(pending, &mut Vec::new()).unwrap();
        server.close();
    });
}
