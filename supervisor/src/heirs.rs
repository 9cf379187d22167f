//! What is entrusted to those who outlive a process of the supervisor: the channels, so that
//! calls that were under way get their real results.
//!
//! One packet is one piece of news. The end of a packet socket comes when the last process
//! that could send has ended, with all its threads.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::passed;
use crate::poll::poll_now;
use crate::trace::CHANNELS;

/// What heirs are told.
#[derive(Debug)]
pub(crate) enum News {
    /// Of a channel, which calls name by this number.
    Channel(u32, Channel),
    /// The program has ended; processes that it left behind may not have.
    ProgramEnded,
    /// Another heir has answered all calls that were under way.
    Settled,
}

/// A session with a file system.
#[derive(Debug)]
pub(crate) struct Channel {
    /// The shared memory.
    pub(crate) memory: OwnedFd,
    /// Hangs up when the file system's process ends. While this is open, the session goes on.
    pub(crate) socket: OwnedFd,
}

impl Channel {
    /// Whether the file system's process has ended, or ends the session.
    pub(crate) fn has_ended(&self) -> bool {
        poll_now([Some((self.socket.as_fd(), PollFlags::RDHUP))])
            .map_or(true, |[has_ended]| has_ended)
    }
}

/// Kinds of packets; the number of a channel follows.
mod kind {
    pub(super) const CHANNEL: u8 = 1;
    pub(super) const PROGRAM_ENDED: u8 = 2;
    pub(super) const SETTLED: u8 = 3;
}

const PACKET: usize = 5;

/// Those to be told, by the sockets that lead to them.
#[derive(Debug, Default)]
pub(crate) struct Heirs {
    sockets: Vec<OwnedFd>,
    channels: AtomicU32,
}

/// Where news come.
#[derive(Debug)]
pub(crate) struct Inbox(OwnedFd);

/// A new way to an heir.
pub(crate) fn way() -> io::Result<(Inbox, OwnedFd)> {
    let (inbox, way) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    Ok((Inbox(inbox), way))
}

impl Heirs {
    pub(crate) fn new(sockets: Vec<OwnedFd>) -> Self {
        Heirs {
            sockets,
            channels: AtomicU32::new(0),
        }
    }

    /// Entrusts a channel. Its number, below [`CHANNELS`]; 0 when nobody took it.
    pub(crate) fn entrust(&self, memory: BorrowedFd<'_>, socket: BorrowedFd<'_>) -> u32 {
        let number = self.channels.fetch_add(1, Ordering::Relaxed) + 1;
        let fds = [memory.as_raw_fd(), socket.as_raw_fd()];
        if number < CHANNELS && self.tell(kind::CHANNEL, number, &fds) {
            number
        } else {
            0
        }
    }

    pub(crate) fn program_ended(&self) {
        self.tell(kind::PROGRAM_ENDED, 0, &[]);
    }

    pub(crate) fn settled(&self) {
        self.tell(kind::SETTLED, 0, &[]);
    }

    /// Tells all of them, waiting for none; false when nobody heard it.
    fn tell(&self, kind: u8, number: u32, fds: &[i32]) -> bool {
        let mut packet = [kind; PACKET];
        packet[1..].copy_from_slice(&number.to_le_bytes());
        let rights = [ControlMessage::ScmRights(fds)];
        let control = if fds.is_empty() { &[][..] } else { &rights };
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        let told = self.sockets.iter().filter(|socket| {
            let parts = [IoSlice::new(&packet)];
            sendmsg::<()>(socket.as_raw_fd(), &parts, control, flags, None).is_ok()
        });
        told.count() > 0
    }
}

impl Inbox {
    /// Waits `pause` at most; returns at once when there is news, or none can come any more.
    pub(crate) fn wait(&self, pause: Duration) {
        let timeout = Timespec::try_from(pause).ok();
        let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], timeout.as_ref());
    }

    /// Waits for news; `None` when none can come any more.
    pub(crate) fn next(&self) -> Option<News> {
        loop {
            let mut packet = [0; PACKET];
            let (len, mut fds) = match passed::receive(&self.0, &mut packet) {
                Ok((0, _)) => return None,
                Ok((len, fds)) => (len, fds.into_iter()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return None,
            };
            let [kind, number @ ..] = packet;
            match (kind, fds.next(), fds.next()) {
                _ if len != PACKET => {}
                (kind::CHANNEL, Some(memory), Some(socket)) => {
                    let channel = Channel { memory, socket };
                    return Some(News::Channel(u32::from_le_bytes(number), channel));
                }
                (kind::PROGRAM_ENDED, ..) => return Some(News::ProgramEnded),
                (kind::SETTLED, ..) => return Some(News::Settled),
                // Descriptors that there was no room for.
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs::File;
    use std::io::{Read, Write};

    #[test]
    fn news_come_and_end() {
        let (first, to_first) = way().unwrap();
        let (second, to_second) = way().unwrap();
        let heirs = Heirs::new(vec![to_first, to_second]);
        let (memory, socket) = nix::unistd::pipe().unwrap();
        assert_eq!(heirs.entrust(memory.as_fd(), socket.as_fd()), 1);
        assert_eq!(heirs.entrust(memory.as_fd(), socket.as_fd()), 2);
        drop((memory, socket));
        heirs.program_ended();
        heirs.settled();
        drop(second);
        drop(heirs);
        let Some(News::Channel(1, channel)) = first.next() else {
            panic!("the first channel");
        };
        assert!(matches!(first.next(), Some(News::Channel(2, _))));
        File::from(channel.socket).write_all(b"x").unwrap();
        File::from(channel.memory).read_exact(&mut [0]).unwrap();
        assert!(matches!(first.next(), Some(News::ProgramEnded)));
        assert!(matches!(first.next(), Some(News::Settled)));
        assert!(first.next().is_none());
    }

    #[test]
    fn nobody_takes_it() {
        let (memory, socket) = nix::unistd::pipe().unwrap();
        let (inbox, way) = way().unwrap();
        drop(inbox);
        for heirs in [Heirs::default(), Heirs::new(vec![way])] {
            assert_eq!(heirs.entrust(memory.as_fd(), socket.as_fd()), 0);
        }
    }
}
