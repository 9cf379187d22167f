//! How many notifications changes cost on a mount: those that the kernel needs, and no more.

use std::fmt::Write as _;
use std::io::{Read, Seek};

use super::party::Party;
use super::{MEMORY, PASSTHROUGH};
use crate::guest::{self, Kind};
use crate::timed;
use crate::twins::{Setting, Twins};

const FILES: u64 = 40;

/// What the kernel has been given before the files are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    Nothing,
    EachName,
}

/// Sent and not needed, as the file system's process says at its end.
#[derive(Debug)]
struct Counts {
    sent: u64,
    saved: u64,
}

/// Makes and removes files by bypassed calls.
fn count(setting: Setting, kernel: Kernel) -> Option<Counts> {
    let setting = Setting {
        options: &["--allow-other", "--default-permissions", "-v"],
        ..setting
    };
    let twins = Twins::mount(setting, "")?;
    let program = guest::build(Kind::GlibcStatic, "doors.c", twins.dir.path())?;
    let path = twins.bypass.path();
    let mut bypass = Party::start(twins.finesse_run(&["--".as_ref(), program.as_path(), path]));
    let mut untrapped = Party::start(timed::command(&[program.as_path(), path]));
    assert_eq!(bypass.ask("mkdir d"), "done");
    for file in 0..FILES {
        assert_eq!(bypass.ask(&format!("mknod d/{file}")), "done");
    }
    if kernel == Kernel::EachName {
        for file in 0..FILES {
            assert!(
                untrapped
                    .ask(&format!("stat d/{file}"))
                    .starts_with("mode 100644")
            );
        }
    }
    for file in 0..FILES {
        assert_eq!(bypass.ask(&format!("unlink d/{file}")), "done");
        if kernel == Kernel::EachName {
            assert_eq!(untrapped.ask(&format!("stat d/{file}")), "ENOENT");
        }
    }
    bypass.leave();
    untrapped.leave();
    let Twins { bypass, .. } = twins;
    let mut words = bypass.mounted.words().unwrap();
    bypass.mounted.unmount().unwrap();
    let mut said = String::new();
    words.rewind().unwrap();
    words.read_to_string(&mut said).unwrap();
    Some(parsed(&said))
}

fn parsed(said: &str) -> Counts {
    let numbers = said.lines().find_map(|line| {
        let line = line.strip_prefix("info: bypass door closes: ")?;
        let (sent, rest) = line.split_once(" notifications sent, ")?;
        Some((
            sent.parse().ok()?,
            rest.strip_suffix(" not needed")?.parse().ok()?,
        ))
    });
    let (sent, saved) = numbers.unwrap_or_else(|| panic!("no counts: {said}"));
    Counts { sent, saved }
}

#[test]
fn what_the_kernel_cannot_have_cached_costs_no_notification() {
    let mut figures = String::new();
    for (name, setting) in [("passthrough", PASSTHROUGH), ("memory", MEMORY)] {
        let Some(cold) = count(setting, Kernel::Nothing) else {
            return;
        };
        let warm = count(setting, Kernel::EachName).unwrap();
        writeln!(
            figures,
            "{name}: nothing looked up: {cold:?}; each name: {warm:?}"
        )
        .unwrap();
        // The root's own attributes, which the kernel got when the guests started.
        assert!(cold.sent <= 4, "{figures}");
        // At least the name and the directory of each call.
        assert!(cold.saved >= 4 * FILES, "{figures}");
        assert!(warm.sent >= FILES, "{figures}");
    }
    let uncached = Setting { ttl: 0.0, ..MEMORY };
    let counts = count(uncached, Kernel::EachName).unwrap();
    writeln!(figures, "memory, no time-outs: {counts:?}").unwrap();
    assert!(counts.sent <= 4, "{figures}");
    print!("{figures}");
}
