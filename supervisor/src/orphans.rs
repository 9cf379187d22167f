//! Calls that a dead process had received and not answered.
//!
//! One that was not forwarded goes to the kernel. One that was is looked up in its channel,
//! whose memory outlives the workers: it gets its result, or goes to the kernel when the file
//! system has not begun it, and never will. All of this may be done twice, by two heirs, with
//! the same outcome.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use finesse_channel::{Client, Fate};
use finesse_notify::{Listener, Orphan};
use finesse_wire::Reply;

use crate::heirs::Channel;
use crate::{fast, trace};

/// How often to look at calls that the file system still executes: twice as long each time,
/// from one to the other.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(64)];

/// The orphans that wait for the file system, and the channels that they went to.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    waiting: Vec<Waiting>,
    channels: BTreeMap<u32, (Client, Channel)>,
    reply: Vec<u8>,
    pause: Duration,
}

#[derive(Debug)]
struct Waiting {
    orphan: Orphan,
    channel: u32,
    label: u64,
}

/// Where a call went that was left behind.
#[derive(Debug, Eq, PartialEq)]
enum Whereabouts {
    /// Nowhere.
    Here,
    In {
        channel: u32,
        label: u64,
    },
    /// It may have been executed, and must not be again.
    Unknown,
}

/// `is_agents`: the program has posted the call itself already, whatever the ledger says.
fn whereabouts(
    trace: Option<NonZeroU64>,
    is_agents: bool,
    is_known: impl Fn(&u32) -> bool,
) -> Whereabouts {
    match trace.map(trace::unpack) {
        None if !is_agents => Whereabouts::Here,
        Some(Some((channel, label))) if is_known(&channel) => Whereabouts::In { channel, label },
        _ => Whereabouts::Unknown,
    }
}

/// What an orphan is answered.
#[derive(Debug, Eq, PartialEq)]
enum Answer {
    Continue,
    Succeed,
    Fail(i32),
}

impl Orphans {
    /// Takes over what the dead process left behind; what needs no channel is answered. `fast`
    /// is where the agent lies.
    pub(crate) fn take_over(
        listener: &Listener,
        channels: BTreeMap<u32, Channel>,
        fast: Option<u64>,
    ) -> Orphans {
        let mut orphans = Orphans {
            pause: LOOK_AGAIN[0],
            ..Orphans::default()
        };
        orphans.channels = channels
            .into_iter()
            .filter_map(|(number, channel)| {
                let client = Client::open(&channel.memory).ok()?;
                Some((number, (client, channel)))
            })
            .collect();
        for orphan in listener.orphans() {
            let is_agents = fast.is_some_and(|base| fast::is_agents(base, orphan.returns_to()));
            let is_known = |channel: &u32| orphans.channels.contains_key(channel);
            match whereabouts(orphan.trace(), is_agents, is_known) {
                Whereabouts::Here => listener.continue_orphan(orphan),
                Whereabouts::In { channel, label } => orphans.waiting.push(Waiting {
                    orphan,
                    channel,
                    label,
                }),
                // EIO says that nothing is known.
                Whereabouts::Unknown => listener.fail_orphan(orphan, libc::EIO),
            }
        }
        orphans
    }

    /// Answers those whose fate is known by now; ends the sessions when none is left.
    pub(crate) fn look(&mut self, listener: &Listener) {
        for waiting in std::mem::take(&mut self.waiting) {
            match self.answer_to(&waiting) {
                None => self.waiting.push(waiting),
                Some(Answer::Continue) => listener.continue_orphan(waiting.orphan),
                Some(Answer::Succeed) => listener.succeed_orphan(waiting.orphan),
                Some(Answer::Fail(errno)) => listener.fail_orphan(waiting.orphan, errno),
            }
        }
        if self.waiting.is_empty() {
            self.channels.clear();
        }
    }

    /// How long to wait before the next look; `None` when there is nothing to look for.
    pub(crate) fn pause(&mut self) -> Option<Duration> {
        let pause = self.pause;
        self.pause = LOOK_AGAIN[1].min(pause * 2);
        (!self.waiting.is_empty()).then_some(pause)
    }

    /// `None` while the file system executes it.
    fn answer_to(&mut self, waiting: &Waiting) -> Option<Answer> {
        let (client, channel) = self.channels.get(&waiting.channel)?;
        // First: a reply that came before the end is seen.
        let has_ended = channel.has_ended();
        match client.fate(waiting.label, &mut self.reply) {
            Fate::NeverServed => Some(Answer::Continue),
            // As plain FUSE answers what was in service when its process ended.
            Fate::InService => has_ended.then_some(Answer::Fail(libc::ECONNABORTED)),
            Fate::Replied => Some(answer(&self.reply)),
            Fate::Unknown => Some(Answer::Fail(libc::EIO)),
        }
    }
}

/// Look-ups leave no trace in the ledger and are continued: no reply here carries more than a
/// result.
fn answer(reply: &[u8]) -> Answer {
    match Reply::decode(reply) {
        Ok(Reply::Done) => Answer::Succeed,
        Ok(Reply::Errno(errno)) => Answer::Fail(errno),
        Ok(Reply::NotMine(_)) => Answer::Continue,
        _ => Answer::Fail(libc::EIO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use finesse_wire::NotMine;

    #[test]
    fn only_what_went_nowhere_is_continued() {
        let known = |channel: &u32| *channel == 3;
        let found = |trace, is_agents| whereabouts(trace, is_agents, known);
        let gone_to = |channel| Some(trace::pack(channel, 5));
        assert_eq!(found(None, false), Whereabouts::Here);
        let (channel, label) = (3, 5);
        assert_eq!(found(gone_to(3), false), Whereabouts::In { channel, label });
        assert_eq!(found(gone_to(4), false), Whereabouts::Unknown);
        assert_eq!(found(Some(trace::UNKNOWN), false), Whereabouts::Unknown);
        // Posted by the program; its worker had not come so far as to note that.
        assert_eq!(found(None, true), Whereabouts::Unknown);
    }

    #[test]
    fn replies_are_answers() {
        let answered = |reply: &Reply<'_>| {
            let mut bytes = Vec::new();
            reply.encode(&mut bytes);
            answer(&bytes)
        };
        assert_eq!(answered(&Reply::Done), Answer::Succeed);
        assert_eq!(
            answered(&Reply::Errno(libc::EEXIST)),
            Answer::Fail(libc::EEXIST)
        );
        let handed_back = Reply::NotMine(NotMine::Malformed);
        assert_eq!(answered(&handed_back), Answer::Continue);
        assert_eq!(answered(&Reply::Size(1)), Answer::Fail(libc::EIO));
        assert_eq!(answer(b"garbage"), Answer::Fail(libc::EIO));
    }
}
