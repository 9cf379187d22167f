//! Callers whom a file system does not know yet, while its process keeps silent.

use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{SIGSTOP, SIGUSR1, kill};

use super::{LIMIT, Place, Silent, waiting};
use crate::timed;

/// More than there are workers.
const NEWCOMERS: u32 = 40;
/// Longer than a file system's process has for the introduction of a caller, which is 2 s.
const TOO_LONG: Duration = Duration::from_millis(2500);

/// They hold up nobody on other file systems, and what their own has in service is not lost.
#[test]
fn newcomers_to_a_silent_file_system_harm_nobody() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can be many users");
        return;
    }
    let (Some(below), Some(fast)) = (Place::mount(), Place::mount()) else {
        return;
    };
    let Some(slow) = Place::mount_on(|_| below.work()) else {
        return;
    };
    let silence = || Silent::new(below.server());
    let Some((running, silent_below, _)) = waiting(&slow, &fast, NEWCOMERS, silence) else {
        return;
    };
    // Its thread that waits for the other one does not stop before that answers.
    kill(slow.server(), SIGSTOP).unwrap();
    let silent = Silent(slow.server());
    sleep(Duration::from_millis(100));
    kill(running.pid(), SIGUSR1).unwrap();
    timed::until("the other thread has worked", LIMIT, || {
        running.written().contains("beside newcomers ")
    });
    let written = running.written();
    let longest = written
        .lines()
        .find_map(|line| line.strip_prefix("beside newcomers "));
    let longest = Duration::from_micros(longest.expect(&written).parse().unwrap());
    println!("beside newcomers the longest took {longest:?}");
    assert!(longest < TOO_LONG / 2, "{written}");
    sleep(TOO_LONG);
    assert!(
        !running.written().contains("answered"),
        "{}",
        running.written()
    );
    drop((silent, silent_below));
    let done = running.finish(LIMIT);
    assert!(done.out.ends_with("answered 0\n"), "{done:?}");
    assert!(!done.out.contains("newcomer: "), "{done:?}");
    for place in [slow, fast, below] {
        place.leave();
    }
}
