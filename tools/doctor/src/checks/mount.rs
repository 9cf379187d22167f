//! Whether the mount of a path is served by Finesse, and if not, why.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use finesse_supervisor::{ConnectError, Inspection, NotServed, Obstacle, inspect};
use finesse_wire::{DoorError, Refusal};

use crate::check::Check;
use crate::probe::{self, ProbeError, Question};

/// More than `inspect` takes; it has time limits of its own.
const LIMIT: Duration = Duration::from_secs(10);

const FIND_HOLDER: &str = "see what holds the file system's process, or end that process";

/// Asked in a process of its own: a thread that waits for a hung mount cannot always be
/// ended, and its process with it.
pub(crate) fn look(path: &Path) -> Check {
    // The process has this one's directory, so a relative path means the same there.
    match probe::ask(Question::Path, &[path], LIMIT) {
        Ok(answer) => serde_json::from_str(&answer.text)
            .unwrap_or_else(|error| unanswered(path, &error.to_string())),
        Err(ProbeError::TimedOut) => unanswered(path, "a mount on the way to it hangs"),
        Err(error) => unanswered(path, &error.to_string()),
    }
}

fn unanswered(path: &Path, why: &str) -> Check {
    let meaning = format!("nothing could be learnt of it: {why}");
    Check::missing(path.display().to_string(), meaning, FIND_HOLDER)
}

/// The answer to [`Question::Path`]: the check as JSON.
pub(super) fn probe(arguments: &[PathBuf]) -> Option<String> {
    let [path] = arguments else {
        return None;
    };
    let name = path.display().to_string();
    let check = match inspect(path) {
        Ok(inspection) => judge(name, &inspection),
        Err(error) => Check::missing(name, error.to_string(), "check the path"),
    };
    serde_json::to_string(&check).ok()
}

fn judge(name: String, inspection: &Inspection) -> Check {
    let place = place(inspection);
    match &inspection.obstacle {
        None if inspection.read_only => Check::limited(
            name,
            format!(
                "served by Finesse: {place}; mounted read-only, so the kernel answers all changes"
            ),
            "mount it without ro to change it",
        ),
        None => Check::ok(name, format!("served by Finesse: {place}")),
        Some(obstacle) => Check::missing(
            name,
            format!("not served, {obstacle}: {place}"),
            remedy(obstacle, &inspection.mountpoint),
        ),
    }
}

/// `fuse mount /mnt (source)`.
fn place(inspection: &Inspection) -> String {
    let mountpoint = inspection.mountpoint.display();
    let source = inspection.source.as_deref().unwrap_or("none");
    format!("{} mount {mountpoint} (of {source})", inspection.fs_type)
}

fn remedy(obstacle: &Obstacle, mountpoint: &Path) -> String {
    const REBUILD: &str =
        "build its file system against finesse-fuse instead of fuser, and mount it again";
    let at = mountpoint.display();
    match obstacle {
        Obstacle::NotFuse => {
            "none needed: it is the kernel's own; to see Finesse, mount with finesse-mount"
                .to_owned()
        }
        Obstacle::Part(_) => "use the mount that shows the whole file system".to_owned(),
        Obstacle::Option(option) => format!("mount it without {option}"),
        Obstacle::MountBelow(below) => format!("unmount {}", below.display()),
        Obstacle::Hung => format!("{FIND_HOLDER}; then: fusermount3 -uz {at}"),
        Obstacle::NotServed(NotServed::NoDoor) => REBUILD.to_owned(),
        Obstacle::NotServed(NotServed::Moved) => "ask again".to_owned(),
        Obstacle::NotServed(NotServed::Io(error)) => io_remedy(error, &at),
        Obstacle::NotServed(NotServed::Door(DoorError::Version { .. })) => versions(),
        Obstacle::NotServed(NotServed::Door(DoorError::Malformed)) => REBUILD.to_owned(),
        Obstacle::NotServed(NotServed::Connect(error)) => connect_remedy(error, &at),
    }
}

fn versions() -> String {
    "use finesse-run and a file system built from the same version of Finesse".to_owned()
}

fn io_remedy(error: &io::Error, at: &std::path::Display<'_>) -> String {
    match error.raw_os_error() {
        Some(libc::ENOTCONN | libc::ECONNABORTED) => {
            format!("the file system's process has ended; fusermount3 -u {at}, and mount it again")
        }
        Some(libc::EACCES | libc::EPERM) => {
            "only the user who mounted it may use it: be that user, or mount it with --allow-other (or open the directories above it)"
                .to_owned()
        }
        _ => FIND_HOLDER.to_owned(),
    }
}

fn connect_remedy(error: &ConnectError, at: &std::path::Display<'_>) -> String {
    match error {
        ConnectError::Io(_) => format!(
            "see whether the file system's process still runs, in this network namespace (its socket is bound to one); if not: fusermount3 -u {at}"
        ),
        ConnectError::Untrusted(_) => {
            "have root or yourself mount it, or run finesse-run as that user".to_owned()
        }
        ConnectError::Refused(Refusal::Version) | ConnectError::Version(_) => versions(),
        ConnectError::Refused(Refusal::Token) => {
            "ask again: it may have just been mounted anew".to_owned()
        }
        ConnectError::Refused(Refusal::NotAllowed) => {
            "be the user who mounted it, or mount it with --allow-other".to_owned()
        }
        ConnectError::Refused(Refusal::Limit) => {
            "end some of the programs under finesse-run that use it".to_owned()
        }
        ConnectError::OtherFileSystem(_) => {
            "use the mount whose files it shows, or build its own file system against finesse-fuse"
                .to_owned()
        }
        ConnectError::Protocol(_) | ConnectError::OutOfTurn | ConnectError::Channel(_) => {
            format!("report a fault of that file system; {}", versions())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    fn inspection(read_only: bool, obstacle: Option<Obstacle>) -> Inspection {
        Inspection {
            mountpoint: "/mnt".into(),
            fs_type: "fuse".into(),
            source: Some("src".into()),
            read_only,
            obstacle,
        }
    }

    #[test]
    fn mounts_are_judged() {
        let state =
            |read_only, obstacle| judge("/mnt/x".into(), &inspection(read_only, obstacle)).state;
        assert_eq!(state(false, None), State::Ok);
        assert_eq!(state(true, None), State::Limited);
        assert_eq!(state(false, Some(NotServed::NoDoor.into())), State::Missing);
    }

    #[test]
    fn the_remedy_fits_the_cause() {
        let io = |errno| NotServed::Io(io::Error::from_raw_os_error(errno)).into();
        for (obstacle, word) in [
            (io(libc::ENOTCONN), "has ended"),
            (io(libc::EACCES), "--allow-other"),
            (NotServed::NoDoor.into(), "finesse-fuse"),
            (Obstacle::MountBelow("/mnt/sub".into()), "unmount /mnt/sub"),
            (Obstacle::Hung, "fusermount3 -uz /mnt"),
            (
                NotServed::from(ConnectError::Version(9)).into(),
                "same version",
            ),
            (
                NotServed::from(ConnectError::Untrusted(7)).into(),
                "that user",
            ),
        ] {
            let remedy = remedy(&obstacle, Path::new("/mnt"));
            assert!(remedy.contains(word), "{obstacle}: {remedy}");
        }
    }
}
