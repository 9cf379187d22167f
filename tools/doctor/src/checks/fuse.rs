//! What mounting a file system takes.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::check::Check;

const DEVICE: &str = "/dev/fuse";
const CONF: &str = "/etc/fuse.conf";

pub(super) fn checks() -> Vec<Check> {
    let root = nix::unistd::geteuid().is_root();
    let opened = File::options().read(true).write(true).open(DEVICE);
    let conf = std::fs::read_to_string(CONF).unwrap_or_default();
    vec![
        device(opened.err()),
        fusermount(find_fusermount().as_deref(), root),
        allow_other(allows_other(&conf), root),
    ]
}

fn device(error: Option<io::Error>) -> Check {
    let Some(error) = error else {
        return Check::ok(DEVICE, "can be opened: file systems can be mounted");
    };
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => {
            "load the module (modprobe fuse), or give the device to this container (--device /dev/fuse)"
        }
        io::ErrorKind::PermissionDenied => {
            "chmod 666 /dev/fuse, which its udev rule does on most systems; in a container, allow the device"
        }
        _ => "load the module: modprobe fuse",
    };
    let meaning = format!("cannot be opened, so no file system can be mounted: {error}");
    Check::missing(DEVICE, meaning, remedy)
}

fn find_fusermount() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join("fusermount3"))
        .find(|file| file.is_file())
}

fn fusermount(file: Option<&Path>, root: bool) -> Check {
    const INSTALL: &str = "install fuse3 (apt-get install fuse3)";
    let name = "fusermount3";
    let Some(file) = file else {
        let check = if root { Check::limited } else { Check::missing };
        return check(
            name,
            "not in PATH: users other than root can neither mount nor unmount".to_owned(),
            INSTALL,
        );
    };
    let shown = file.display();
    match std::fs::metadata(file) {
        Ok(found) if is_setuid_root(found.mode(), found.uid()) => {
            Check::ok(name, format!("{shown}: mounts and unmounts for every user"))
        }
        _ if root => Check::limited(
            name,
            format!("{shown} is not set-user-ID root: only root can mount with it"),
            format!("chmod u+s {shown}"),
        ),
        _ => Check::missing(
            name,
            format!("{shown} is not set-user-ID root, so it cannot mount for you"),
            format!("as root: chown root {shown}; chmod u+s {shown}"),
        ),
    }
}

fn is_setuid_root(mode: u32, owner: u32) -> bool {
    const SETUID: u32 = 0o4000;
    mode & SETUID != 0 && owner == 0
}

/// Whether the configuration has `user_allow_other` on a line of its own (fusermount3(1)).
fn allows_other(conf: &str) -> bool {
    conf.lines().any(|line| line.trim() == "user_allow_other")
}

fn allow_other(allowed: bool, root: bool) -> Check {
    let name = "user_allow_other";
    if allowed {
        Check::ok(name, "set: every user may mount with --allow-other")
    } else if root {
        Check::ok(
            name,
            "not set, and root needs it not: only other users may not use --allow-other",
        )
    } else {
        Check::limited(
            name,
            "not set: what you mount, you alone (not even root) can use",
            "as root, add a line user_allow_other to /etc/fuse.conf",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    #[test]
    fn the_configuration_is_parsed() {
        assert!(allows_other("# x\nuser_allow_other\n"));
        assert!(allows_other("  user_allow_other  \nmount_max = 9"));
        assert!(!allows_other("#user_allow_other\n"));
        assert!(!allows_other("user_allow_other_not"));
        assert!(!allows_other(""));
    }

    #[test]
    fn the_set_user_id_bit_counts_for_root_only() {
        assert!(is_setuid_root(0o10_4755, 0));
        assert!(!is_setuid_root(0o10_4755, 1000));
        assert!(!is_setuid_root(0o10_0755, 0));
    }

    #[test]
    fn only_users_need_fusermount() {
        assert_eq!(fusermount(None, true).state, State::Limited);
        assert_eq!(fusermount(None, false).state, State::Missing);
        let plain = Path::new("/proc/self/status");
        assert_eq!(fusermount(Some(plain), false).state, State::Missing);
    }

    #[test]
    fn the_remedy_fits_the_error() {
        let remedy = |kind: io::ErrorKind| device(Some(kind.into())).remedy.unwrap();
        assert!(remedy(io::ErrorKind::NotFound).contains("modprobe"));
        assert!(remedy(io::ErrorKind::PermissionDenied).contains("chmod"));
        assert_eq!(device(None).state, State::Ok);
    }
}
