//! What the environment says, and the words that the library has for the user.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;
use rustix::io::fcntl_dupfd_cloexec;

/// Keeps the door closed when it says `off`.
const SWITCH: &str = "FINESSE_DOOR";

/// How much is said: `off`, `error`, `warn` (the default), `info` or `debug`.
const LEVEL: &str = "FINESSE_SERVE_LOG";

/// Standard error as it was when the program started: daemons close theirs before they
/// serve. Closed when there is nothing more to say, as somebody may wait for its end.
static WORDS: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Whether standard error itself is still the user's.
static LASTING: AtomicBool = AtomicBool::new(false);

struct Words;

impl Log for Words {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = format!("finesse-serve: {}\n", record.args());
        let words = WORDS.lock();
        // Nobody reads it: then there is nobody to tell.
        let _ = match &*words {
            Some(words) => rustix::io::write(words, line.as_bytes()).map(drop),
            None if LASTING.load(Ordering::Relaxed) => {
                let _ = std::io::stderr().write_all(line.as_bytes());
                Ok(())
            }
            None => Ok(()),
        };
    }

    fn flush(&self) {}
}

/// At the start of the program.
pub(crate) fn prepare() {
    let level = std::env::var(LEVEL)
        .ok()
        .and_then(|level| level.parse::<LevelFilter>().ok());
    LASTING.store(level.is_some(), Ordering::Relaxed);
    log::set_max_level(level.unwrap_or(LevelFilter::Warn));
    // It is the only one: this library has a copy of `log` of its own.
    let _ = log::set_logger(&Words);
    *WORDS.lock() = fcntl_dupfd_cloexec(std::io::stderr(), 3).ok();
}

/// Whether there may be a bypass door.
pub(crate) fn door_is_wanted() -> bool {
    std::env::var_os(SWITCH).is_none_or(|value| value != "off")
}

/// The mount is served: all that concerns its user is said.
pub(crate) fn words_are_over() {
    *WORDS.lock() = None;
}
