//! What the mount allows: read from the kernel, as the daemon's options are not known.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use finesse_fuse::doors::{MountFacts, Negotiated, SessionACL};
use thiserror::Error;

/// Why it is not known.
#[derive(Debug, Error)]
pub(crate) enum Unknown {
    #[error("the kernel does not tell which mount it serves (Linux 6.16 or newer does)")]
    Connection,
    #[error("the mount is not in the mount table")]
    NotMounted,
    #[error("it runs set-user-ID")]
    SetUserId,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Looks up the mount that `device` serves.
pub(crate) fn facts(device: RawFd, negotiated: Arc<Negotiated>) -> Result<MountFacts, Unknown> {
    if nix::unistd::getuid() != nix::unistd::geteuid() {
        return Err(Unknown::SetUserId);
    }
    let minor = connection(device).ok_or(Unknown::Connection)?;
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    table
        .lines()
        .find_map(|line| mount(line, minor))
        .map(|mount| mount.facts(minor, negotiated))
        .ok_or(Unknown::NotMounted)
}

/// The number of the connection that a descriptor belongs to, which is the minor device
/// number of its mount (`fuse_dev_show_fdinfo`, fs/fuse/dev.c).
pub(crate) fn connection(device: RawFd) -> Option<u32> {
    parse(&std::fs::read_to_string(format!("/proc/self/fdinfo/{device}")).ok()?)
}

fn parse(info: &str) -> Option<u32> {
    info.lines()
        .find_map(|line| line.strip_prefix("fuse_connection:"))?
        .trim()
        .parse()
        .ok()
}

#[derive(Debug, Eq, PartialEq)]
struct Mount {
    user: u32,
    group: u32,
    allow_other: bool,
    default_permissions: bool,
    read_only: bool,
}

impl Mount {
    fn facts(&self, minor: u32, negotiated: Arc<Negotiated>) -> MountFacts {
        MountFacts {
            owner_uid: self.user,
            owner_gid: self.group,
            allow: if self.allow_other {
                SessionACL::All
            } else {
                SessionACL::Owner
            },
            default_permissions: self.default_permissions,
            read_only: self.read_only,
            device: (0, minor),
            negotiated,
        }
    }
}

/// The mount of a line of mountinfo (proc(5)), if it has this number and is FUSE's.
///
/// Options of the file system as a whole are those of every mount of it; of a mount of its
/// own that is read-only, the supervisor knows.
fn mount(line: &str, minor: u32) -> Option<Mount> {
    let (own, shared) = line.split_once(" - ")?;
    let device = own.split(' ').nth(2)?;
    let mut shared = shared.split(' ');
    let kind = shared.next()?;
    let is_fuse = kind == "fuse" || kind.starts_with("fuse.");
    if !is_fuse || device != format!("0:{minor}") {
        return None;
    }
    let options = shared.nth(1)?;
    let has = |name| options.split(',').any(|option| option == name);
    let number = |name: &str| {
        let option = |option: &str| option.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
        options.split(',').find_map(option)
    };
    Some(Mount {
        user: number("user_id")?,
        group: number("group_id")?,
        allow_other: has("allow_other"),
        default_permissions: has("default_permissions"),
        read_only: has("ro"),
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn the_connection_is_told() {
        let info = "pos:\t0\nflags:\t0100002\nmnt_id:\t24\nino:\t90\nfuse_connection:\t41\n";
        assert_eq!(parse(info), Some(41));
    }

    /// Before Linux 6.16 a descriptor of /dev/fuse is told of as that of any other file.
    #[test]
    fn of_an_older_kernel_nothing_is_concluded() {
        let info = "pos:\t0\nflags:\t0100002\nmnt_id:\t24\nino:\t90\n";
        assert_eq!(parse(info), None);
        let other = std::fs::File::open("/dev/null").unwrap();
        let unknown = facts(other.as_raw_fd(), Arc::default()).unwrap_err();
        assert!(matches!(unknown, Unknown::Connection));
        let words = unknown.to_string();
        assert!(words.contains("6.16") && !words.contains('\n'), "{words}");
    }

    #[test]
    fn the_mount_of_that_number_is_found() {
        let line = "45 27 0:41 / /mnt/a\\040b rw,nosuid shared:1 - fuse.sshfs host:/ \
                    ro,user_id=1000,group_id=100,default_permissions,max_read=4096";
        let expected = Mount {
            user: 1000,
            group: 100,
            allow_other: false,
            default_permissions: true,
            read_only: true,
        };
        assert_eq!(mount(line, 41), Some(expected));
        assert_eq!(mount(line, 4), None);
        let other = "45 27 0:41 / /run rw - tmpfs tmpfs rw,user_id=0,group_id=0";
        assert_eq!(mount(other, 41), None);
    }
}
