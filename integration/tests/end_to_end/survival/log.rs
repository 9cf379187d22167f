//! The log of the guest `survivor.c`, and whether a tree is what it says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The guest's rounds, by thread and number.
#[derive(Debug, Default)]
pub(super) struct Log {
    rounds: BTreeMap<(u64, u64), Round>,
    pub(super) calls: u64,
    /// Lines of calls that failed without anybody knowing whether they were executed.
    pub(super) unsure: Vec<String>,
    /// Of the longest call, in microseconds; none when the guest did not end by itself.
    pub(super) longest: Option<u64>,
}

/// A round goes from step to step and ends with the first that fails.
#[derive(Debug, Default)]
struct Round {
    done: usize,
    /// A step that was begun, and may have been executed.
    maybe: Option<usize>,
}

/// What a round's directory holds after each step; none: there is no directory.
const AFTER_STEP: [Option<&[&str]>; 6] =
    [None, Some(&[]), Some(&["a"]), Some(&["b"]), Some(&[]), None];

impl Log {
    /// `text` may end in the middle of a line, where the guest was killed.
    pub(super) fn read(text: &str) -> Result<Log, String> {
        let mut log = Log::default();
        for line in text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            match *line.split_whitespace().collect::<Vec<_>>() {
                ["variants"] => {}
                ["longest", microseconds] => log.longest = microseconds.parse().ok(),
                [thread, round, step, result] => {
                    let number = |text: &str| text.parse::<u64>().unwrap();
                    let step = usize::try_from(number(step)).unwrap();
                    log.note((number(thread), number(round)), step, result)?;
                }
                _ => panic!("{line:?}"),
            }
        }
        Ok(log)
    }

    fn note(&mut self, at: (u64, u64), step: usize, result: &str) -> Result<(), String> {
        let round = self.rounds.entry(at).or_default();
        assert_eq!(step, round.done + 1, "{at:?}: the guest lost its way");
        match (result, step) {
            ("?", _) => {
                self.calls += 1;
                round.maybe = Some(step);
            }
            ("0", _) => {
                *round = Round {
                    done: step,
                    maybe: None,
                }
            }
            ("EIO" | "ECONNABORTED", _) => {
                let (thread, number) = at;
                self.unsure
                    .push(format!("{thread} {number} {step} {result}"));
            }
            // The mount is dead, or not there: then the directory of all rounds is missing. To the other
            // steps ENOENT would say that the one before is lost, or that this one was executed before.
            ("ENOTCONN", _) | ("ENOENT", 1) => round.maybe = None,
            _ => return Err(format!("{at:?}: step {step} says {result}")),
        }
        Ok(())
    }

    /// Fails where the tree in `root` cannot have come from the calls that succeeded, each executed once,
    /// and from each of the unsure ones executed once or not at all.
    pub(super) fn check(&self, root: &Path) -> Result<(), String> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            let inside = fs::read_dir(&path).unwrap();
            let inside: Vec<_> = inside
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            let name = path.file_name().unwrap().to_str().unwrap();
            let (thread, round) = name.split_once('-').unwrap();
            found.insert((thread.parse().unwrap(), round.parse().unwrap()), inside);
        }
        for (at, round) in &self.rounds {
            let is = found.remove(at);
            let may_be = |step: usize| {
                is.as_deref()
                    .map(|names| names.iter().map(String::as_str).collect())
                    == AFTER_STEP[step].map(Vec::from)
            };
            if !may_be(round.done) && !round.maybe.is_some_and(may_be) {
                return Err(format!("{at:?} is {round:?}, but its directory has {is:?}"));
            }
        }
        match found.is_empty() {
            true => Ok(()),
            false => Err(format!("nobody made {found:?}")),
        }
    }
}

/// How many successful calls, and how many that found the mount dead or gone, each of `threads` has logged in `text`.
pub(super) fn progress(text: &str, threads: usize) -> Vec<(usize, usize)> {
    let mut counts = vec![(0, 0); threads];
    for line in text.lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        if let [thread, _, _, result] = *fields {
            let Some(count) = thread.parse().ok().and_then(|it: usize| counts.get_mut(it)) else {
                continue;
            };
            count.0 += usize::from(result == "0");
            count.1 += usize::from(["ENOTCONN", "ENOENT"].contains(&result));
        }
    }
    counts
}

#[test]
fn what_was_done_twice_or_lost_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = |text: &str| {
        let log = Log::read(text);
        log.and_then(|log| log.check(dir.path())).is_ok()
    };
    let made = "0 0 1 ?\n0 0 1 0\n";
    assert!(
        outcome("") && outcome("0 0 1 ?\n") && outcome("0 0 1 ?\n0 0 1 EIO\n") && !outcome(made)
    );
    assert!(!outcome("0 0 1 ?\n0 0 1 EEXIST\n"));
    fs::create_dir(dir.path().join("0-0")).unwrap();
    assert!(
        outcome(made) && outcome(&format!("{made}0 0 2 ?\n")) && outcome("0 0 1 ?\n0 0 1 EIO\n")
    );
    assert!(!outcome("") && !outcome("0 0 1 ?\n0 0 1 ENOTCONN\n"));
    assert!(!outcome(&format!("{made}0 0 2 ?\n0 0 2 0\n")));
    assert!(!outcome(&format!("{made}0 0 2 ?\n0 0 2 ENOENT\n")));
    fs::write(dir.path().join("0-0/a"), "").unwrap();
    assert!(!outcome(made) && outcome(&format!("{made}0 0 2 ?\n0 0 2 ECONNABORTED\n")));
}
