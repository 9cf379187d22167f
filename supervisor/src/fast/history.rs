//! How many calls the processes of a program made before, so that those that make few are not
//! given an agent, and those that make many are given it at once.
//!
//! A file of records of a fixed length, each at the place that follows from the program's file,
//! whoever was there before. A record is read and written as a whole and bears its own check,
//! so that runs may share the file, and garbage is nothing. It is opened before the supervisor
//! confines itself. Without a file, memory of the run takes its place. What stands there may
//! cost time, and nothing else.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use finesse_policy::Fast;
use rustix::fs::MemfdFlags;

/// Calls that a process makes before it gets the agent, if it is to have it in any case: some
/// make a few and end.
const WORTH_IT: u64 = 16;
/// Calls by which an agent pays for itself.
const BREAK_EVEN: u64 = 64;
/// Calls that a process makes before it gets the agent.
const WORTH_IT_UNKNOWN: u64 = BREAK_EVEN;
/// As many as make up for having been wrong.
const WORTH_IT_FEW: u64 = 4 * BREAK_EVEN;
/// More are as many: one long run does not outweigh the short ones for long.
const MANY: u64 = 4 * BREAK_EVEN;

/// Words in a record: check, four of [`Program`], calls.
const WORDS: usize = 6;
const RECORD: usize = WORDS * 8;
const RECORDS: u64 = 1024;

/// The file of a program, as it is now: device, inode, and in nanoseconds when content and
/// inode last changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Program([u64; 4]);

/// When a process is to have the agent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Worth {
    /// After so many calls.
    pub(super) after: u64,
    /// It may be brought in before, when the process has no threads yet.
    pub(super) at_start: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct History(File);

impl Program {
    /// What a process runs.
    pub(super) fn of(process: u32) -> Option<Program> {
        let found = fs::metadata(format!("/proc/{process}/exe")).ok()?;
        let nanoseconds = |seconds: i64, more: i64| {
            let all = seconds.wrapping_mul(1_000_000_000).wrapping_add(more);
            all.cast_unsigned()
        };
        Some(Program([
            found.dev(),
            found.ino(),
            nanoseconds(found.mtime(), found.mtime_nsec()),
            nanoseconds(found.ctime(), found.ctime_nsec()),
        ]))
    }

    fn place(&self) -> u64 {
        mixed(&self.0) % RECORDS * RECORD as u64
    }
}

impl History {
    /// The user's, or none but this run's.
    pub(super) fn open() -> io::Result<History> {
        let file = state_home().and_then(|home| {
            open_in(&home)
                .inspect_err(|error| tracing::debug!("programs are forgotten: {error}"))
                .ok()
        });
        file.map_or_else(History::of_this_run, |file| Ok(History(file)))
    }

    /// Forgotten with this run.
    pub(super) fn of_this_run() -> io::Result<History> {
        let memory = rustix::fs::memfd_create("finesse-history", MemfdFlags::CLOEXEC)?;
        Ok(History(memory.into()))
    }

    /// When a process that runs this is to have the agent, which is not off.
    pub(super) fn worth_it(&self, program: Option<Program>, fast: Fast) -> Worth {
        let calls = program.and_then(|program| self.calls(program));
        let worth = |after, at_start| Worth { after, at_start };
        match (fast, calls) {
            (Fast::Auto, None) => worth(WORTH_IT_UNKNOWN, false),
            (Fast::Auto, Some(calls)) if calls < BREAK_EVEN => worth(WORTH_IT_FEW, false),
            (Fast::Auto, Some(_)) => worth(0, true),
            (_, Some(calls)) if calls < WORTH_IT => worth(WORTH_IT, false),
            (_, _) => worth(WORTH_IT, true),
        }
    }

    /// A process that ran this has made so many calls. The last ones count most.
    pub(super) fn learn(&self, program: Program, calls: u64) {
        let calls = calls.min(MANY);
        let before = self.calls(program);
        let now = before.map_or(calls, |before| u64::midpoint(before, calls));
        if before == Some(now) {
            return;
        }
        let Program([device, inode, content, changed]) = program;
        let mut words = [0, device, inode, content, changed, now];
        words[0] = mixed(&words[1..]);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        // Where it cannot be written (a full disk), it is not remembered.
        let _ = self.0.write_all_at(&bytes, program.place());
    }

    fn calls(&self, program: Program) -> Option<u64> {
        let mut bytes = [0; RECORD];
        self.0.read_exact_at(&mut bytes, program.place()).ok()?;
        let (words, []) = bytes.as_chunks() else {
            return None;
        };
        let words: Vec<u64> = words.iter().copied().map(u64::from_le_bytes).collect();
        let is_sound = words[0] == mixed(&words[1..]) && words[1..5] == program.0;
        is_sound.then_some(words[5])
    }
}

/// FNV-1a, by words; never that of zeroes alone.
fn mixed(words: &[u64]) -> u64 {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// `XDG_STATE_HOME`, or what the XDG Base Directory Specification puts in its place.
fn state_home() -> Option<PathBuf> {
    let absolute = |name| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))
}

/// The file below the user's directory, which is made if it can be: only where what is there
/// belongs to the user already, as it may be another user's home.
fn open_in(home: &Path) -> io::Result<File> {
    let user = nix::unistd::geteuid().as_raw();
    let there = home.ancestors().find_map(|path| fs::metadata(path).ok());
    if there.is_none_or(|there| there.uid() != user) {
        return Err(io::Error::other("the directory is another user's"));
    }
    let directory = home.join("finesse");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)?;
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(directory.join("programs"))?;
    let found = file.metadata()?;
    if !found.is_file() || found.uid() != user || found.nlink() != 1 {
        return Err(io::Error::other("it is no file of this user alone"));
    }
    if found.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::unix::fs::symlink;

    fn program(inode: u64) -> Program {
        Program([1, inode, 3, 4])
    }

    fn auto(history: &History, program: Program) -> u64 {
        history.worth_it(Some(program), Fast::Auto).after
    }

    #[test]
    fn programs_are_remembered_by_what_they_did() {
        let history = History::of_this_run().unwrap();
        assert_eq!(auto(&history, program(2)), WORTH_IT_UNKNOWN);
        history.learn(program(2), 3);
        assert_eq!(auto(&history, program(2)), WORTH_IT_FEW);
        history.learn(program(2), 1_000_000);
        assert_eq!(auto(&history, program(2)), 0);
        // It does not take many to tell otherwise.
        history.learn(program(2), 3);
        history.learn(program(2), 3);
        assert_eq!(auto(&history, program(2)), WORTH_IT_FEW);
        for other in [
            Program([0, 2, 3, 4]),
            Program([1, 2, 0, 4]),
            Program([1, 2, 3, 0]),
        ] {
            assert_eq!(auto(&history, other), WORTH_IT_UNKNOWN, "{other:?}");
        }
    }

    #[test]
    fn who_is_to_have_the_agent_has_it_from_the_start_unless_it_makes_few_calls() {
        let history = History::of_this_run().unwrap();
        let at_start = |fast| history.worth_it(Some(program(2)), fast).at_start;
        assert!(at_start(Fast::On) && !at_start(Fast::Auto));
        history.learn(program(2), WORTH_IT);
        assert!(at_start(Fast::On) && !at_start(Fast::Auto));
        history.learn(program(2), 1_000);
        assert!(at_start(Fast::On) && at_start(Fast::Auto));
        (0..8).for_each(|_| history.learn(program(2), 0));
        assert!(!at_start(Fast::On) && !at_start(Fast::Auto));
        assert_eq!(history.worth_it(None, Fast::On).after, WORTH_IT);
    }

    #[test]
    fn a_program_that_was_written_again_is_another_one() {
        let me = std::process::id();
        let own = Program::of(me).unwrap();
        assert_eq!(Program::of(me), Some(own));
        let found = fs::metadata("/proc/self/exe").unwrap();
        assert_eq!(own.0[..2], [found.dev(), found.ino()]);
        assert_ne!(own.0[2], 0);
        assert_eq!(Program::of(u32::MAX >> 1), None);
    }

    #[test]
    fn garbage_is_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let history = History(open_in(directory.path()).unwrap());
        let file = directory.path().join("finesse/programs");
        let len = usize::try_from(RECORDS).unwrap() * RECORD;
        for byte in [0, 1, 0xFF] {
            fs::write(&file, vec![byte; len]).unwrap();
            for inode in 0..100 {
                assert_eq!(auto(&history, program(inode)), WORTH_IT_UNKNOWN);
            }
        }
        history.learn(program(2), 3);
        let place = usize::try_from(program(2).place()).unwrap();
        let sound = fs::read(&file).unwrap();
        for at in place..place + RECORD {
            let mut broken = sound.clone();
            broken[at] ^= 0x10;
            fs::write(&file, broken).unwrap();
            assert_eq!(auto(&history, program(2)), WORTH_IT_UNKNOWN, "{at}");
        }
        // Cut in the middle of a record.
        fs::write(&file, &sound[..place + RECORD / 2]).unwrap();
        assert_eq!(auto(&history, program(2)), WORTH_IT_UNKNOWN);
        history.learn(program(2), 3);
        assert_eq!(auto(&history, program(2)), WORTH_IT_FEW);
    }

    #[test]
    fn the_file_is_the_users_alone() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("made/state");
        History(open_in(&home).unwrap()).learn(program(2), 3);
        let file = home.join("finesse/programs");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        // The next run finds what the first one learnt.
        let again = History(open_in(&home).unwrap());
        assert_eq!(auto(&again, program(2)), WORTH_IT_FEW);
        let other = directory.path().join("other");
        fs::rename(&file, &other).unwrap();
        symlink(&other, &file).unwrap();
        assert!(open_in(&home).is_err());
        fs::remove_file(&file).unwrap();
        fs::hard_link(&other, &file).unwrap();
        assert!(open_in(&home).is_err());
        assert!(open_in(Path::new("/proc/1/nothing")).is_err());
    }
}
