//! Receiving packets that bring a descriptor: unix(7), `SCM_RIGHTS`.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};

/// Descriptors that one packet may bring.
const ROOM: usize = 4;

/// Receives one packet into `packet`: its length in bytes, 0 at the end, and the descriptors
/// that came along.
///
/// # Errors
/// What recvmsg(2) says.
pub(crate) fn receive(socket: impl AsFd, packet: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = nix::cmsg_space!([RawFd; ROOM]);
    let mut parts = [IoSliceMut::new(packet)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let socket = socket.as_fd().as_raw_fd();
    let received = recvmsg::<UnixAddr>(socket, &mut parts, Some(&mut control), flags)?;
    let mut descriptors = Vec::new();
    for message in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = message {
            // Every one is owned, so that none that nobody asked for stays open.
            descriptors.extend(raw.into_iter().map(own));
        }
    }
    Ok((received.bytes, descriptors))
}

#[allow(unsafe_code)]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just installed this descriptor for us, and nobody else knows
    // its number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs::File;
    use std::io::{IoSlice, Read, Write};

    use nix::sys::socket::{
        AddressFamily, ControlMessage, SockFlag, SockType, sendmsg, socketpair,
    };

    fn pair() -> (OwnedFd, OwnedFd) {
        let kind = SockType::SeqPacket;
        socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).unwrap()
    }

    fn send(socket: &OwnedFd, bytes: &[u8], fds: &[RawFd]) {
        let rights = [ControlMessage::ScmRights(fds)];
        let control = if fds.is_empty() { &[][..] } else { &rights };
        let parts = [IoSlice::new(bytes)];
        sendmsg::<()>(socket.as_raw_fd(), &parts, control, MsgFlags::empty(), None).unwrap();
    }

    #[test]
    fn descriptors_come_in_order_and_are_owned() {
        let (ours, theirs) = pair();
        let (reader, writer) = nix::unistd::pipe().unwrap();
        send(
            &theirs,
            b"packet",
            &[writer.as_raw_fd(), reader.as_raw_fd()],
        );
        drop(writer);
        let mut packet = [0; 16];
        let (len, mut passed) = receive(&ours, &mut packet).unwrap();
        assert_eq!(&packet[..len], b"packet");
        assert_eq!(passed.len(), 2);
        drop(reader);
        File::from(passed.swap_remove(0)).write_all(b"x").unwrap();
        let mut read = Vec::new();
        File::from(passed.remove(0)).read_to_end(&mut read).unwrap();
        assert_eq!(read, b"x");
        let (len, passed) = {
            send(&theirs, b"y", &[]);
            receive(&ours, &mut packet).unwrap()
        };
        assert!(len == 1 && passed.is_empty());
    }

    #[test]
    fn the_end_is_an_empty_packet() {
        let (ours, theirs) = pair();
        drop(theirs);
        let (len, passed) = receive(&ours, &mut [0; 4]).unwrap();
        assert!(len == 0 && passed.is_empty());
    }
}
