//! `SO_PEERGROUPS` (unix(7)), which no crate wraps.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `NGROUPS_MAX` (limits.h).
const MOST: usize = 65_536;

/// The supplementary groups that a connected socket's peer had when it connected.
///
/// # Errors
/// As getsockopt(2).
pub(super) fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; MOST];
    let mut bytes = libc::socklen_t::try_from(size_of_val(groups.as_slice()))
        .map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: `groups` is valid for writes of `bytes` bytes, its size computed above, and
    // any bit pattern is a `u32`; `bytes` is a valid, exclusive socklen_t; both outlive the
    // call. The descriptor is open as long as it is borrowed.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(bytes as usize / size_of::<u32>());
    Ok(groups)
}
