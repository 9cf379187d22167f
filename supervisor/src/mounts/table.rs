//! The mount table of this process's namespace, and what its lines say: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use procfs::process::{MountInfo, Process};

/// Options under which only the kernel gives the right answers.
const KERNEL_ONLY: [&str; 2] = ["nosymfollow", "idmapped"];

/// Reads the table, with plain names.
pub(crate) fn read() -> io::Result<Vec<MountInfo>> {
    Process::myself()
        .and_then(|me| me.mountinfo())
        .map(|infos| infos.into_iter().map(plain).collect())
        .map_err(io::Error::other)
}

/// The line with its names' escapes undone.
pub(crate) fn plain(mut info: MountInfo) -> MountInfo {
    info.mount_point = unescape(info.mount_point.as_os_str().as_bytes());
    info.root = unescape(info.root.as_bytes())
        .to_string_lossy()
        .into_owned();
    info
}

pub(crate) fn is_fuse(info: &MountInfo) -> bool {
    info.fs_type == "fuse" || info.fs_type.starts_with("fuse.")
}

/// The option that leaves the mount to the kernel, if it has one.
pub(crate) fn kernel_only(info: &MountInfo) -> Option<&'static str> {
    KERNEL_ONLY
        .into_iter()
        .find(|option| info.mount_options.contains_key(*option))
}

/// A mount that lies inside this one.
pub(crate) fn mount_below<'t>(info: &MountInfo, table: &'t [MountInfo]) -> Option<&'t MountInfo> {
    table
        .iter()
        .find(|other| other.pid == info.mnt_id && other.mnt_id != info.mnt_id)
}

/// Undoes the octal escapes for blank, tab, newline and backslash (`mangle`,
/// fs/seq_file.c).
fn unescape(text: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, tail)) = rest.split_first() {
        let octal = tail
            .first_chunk::<3>()
            .filter(|digits| *byte == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match octal {
            Some([a, b, c]) => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = &tail[3..];
            }
            None => {
                plain.push(*byte);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(br"/mnt/a\040b\134c"), Path::new(r"/mnt/a b\c"));
        assert_eq!(unescape(br"/plain\09"), Path::new(r"/plain\09"));
    }
}
