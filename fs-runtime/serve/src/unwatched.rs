//! Requests of the kernel while nobody may come through the bypass door.
//!
//! What the kernel is given is recorded as ever, as the next supervisor relies on it. But
//! nobody changes anything behind its back: no gate is passed, no time-out cut, no cache told,
//! and the reply goes to the kernel as it is, without a copy. When a supervisor comes, these
//! requests are waited for (`crate::mode`).

use finesse_fuse::doors::{KernelView, NameKey};
use finesse_fuse::{FopenFlags, INodeNo, RenameFlags};
use parking_lot::Mutex;
use zerocopy::FromBytes;

use crate::abi::{AttrOut, EntryOut, OpenOut, StatxOut, Timed, entries};
use crate::note::tell_directory;
use crate::purpose::Purpose;

/// What has to be known of a request when it is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    Entry(INodeNo, NameKey),
    Attributes(INodeNo),
    Statx(INodeNo),
    OpenDirectory(INodeNo),
    Listing,
    ListingPlus(INodeNo),
    Removal(NameKey),
    Rename {
        from: NameKey,
        to: NameKey,
        exchange: bool,
    },
    /// Nothing; only that it is under way.
    Change,
}

impl Asked {
    /// By a request for `purpose`, to `node`; `None` where it does not matter.
    pub(crate) fn of(view: &KernelView, node: INodeNo, purpose: &Purpose<'_>) -> Option<Self> {
        Some(match *purpose {
            Purpose::LookUp(name) | Purpose::Make(name, _) => {
                Asked::Entry(node, view.key(node, name))
            }
            Purpose::MakeUnnamed => Asked::Entry(node, view.key(node, "".as_ref())),
            Purpose::Remove(name) => Asked::Removal(view.key(node, name)),
            Purpose::Rename(it) => Asked::Rename {
                from: view.key(node, it.from),
                to: view.key(it.newdir, it.to),
                exchange: it.flags.contains(RenameFlags::RENAME_EXCHANGE),
            },
            Purpose::Attributes | Purpose::SetAttributes => Asked::Attributes(node),
            Purpose::Statx => Asked::Statx(node),
            Purpose::OpenDirectory => Asked::OpenDirectory(node),
            Purpose::List => Asked::Listing,
            Purpose::ListPlus => Asked::ListingPlus(node),
            Purpose::Open | Purpose::Change(_) => Asked::Change,
            Purpose::Other => return None,
        })
    }

    /// Whether it is under way until the reply was written: no lock of the kernel orders the
    /// pages of a listing.
    pub(crate) fn lasts(self) -> bool {
        matches!(self, Asked::Listing | Asked::ListingPlus(_))
    }

    /// Records what the kernel is about to be given: `error` (0 or a positive errno) or `body`.
    pub(crate) fn record(self, view: &KernelView, error: i32, body: &[u8]) {
        match self {
            Asked::OpenDirectory(_) if error == libc::ENOSYS => view.gave_all_directory_pages(),
            _ if error != 0 => {}
            Asked::Entry(parent, key) => {
                if let Ok((out, _)) = EntryOut::read_from_prefix(body) {
                    view.gave_entry(parent, key, INodeNo(out.nodeid), out.ttls(), view.moment());
                    tell_directory(view, &out);
                }
            }
            Asked::Attributes(node) => record_attributes::<AttrOut>(view, node, body),
            Asked::Statx(node) => record_attributes::<StatxOut>(view, node, body),
            Asked::OpenDirectory(node) => {
                let flags = OpenOut::read_from_prefix(body)
                    .map(|(out, _)| FopenFlags::from_bits_retain(out.open_flags));
                if flags.is_ok_and(|flags| flags.contains(FopenFlags::FOPEN_CACHE_DIR)) {
                    view.gave_directory_pages(node);
                }
            }
            Asked::ListingPlus(directory) => {
                for (name, entry) in entries(body) {
                    let key = view.key(directory, name);
                    view.gave_entry(
                        directory,
                        key,
                        INodeNo(entry.nodeid),
                        entry.ttls(),
                        view.moment(),
                    );
                    tell_directory(view, &entry);
                }
            }
            Asked::Removal(key) => {
                view.dropped_name(key);
            }
            Asked::Rename { from, to, exchange } => view.moved_name(from, to, exchange),
            Asked::Listing | Asked::Change => {}
        }
    }

    /// The kernel did not take `body`, which was recorded: who asked is gone.
    pub(crate) fn not_taken(self, view: &KernelView, body: &[u8]) {
        let took_back = |entry: &EntryOut| {
            if entry.nodeid != 0 {
                view.forgot(INodeNo(entry.nodeid), 1);
            }
        };
        match self {
            Asked::Entry(..) => {
                if let Ok((out, _)) = EntryOut::read_from_prefix(body) {
                    took_back(&out);
                }
            }
            Asked::ListingPlus(_) => entries(body).for_each(|(_, entry)| took_back(&entry)),
            _ => {}
        }
    }
}

fn record_attributes<T>(view: &KernelView, node: INodeNo, body: &[u8])
where
    T: Timed + FromBytes,
{
    if let Ok((mut out, _)) = T::read_from_prefix(body) {
        let number = INodeNo(out.number());
        if out.is_directory() {
            view.gave_directory(node, number);
        }
        view.gave_attr(node, number, out.ttl(), view.moment());
    }
}

/// More than that under way at one time are served as if somebody might come.
const PLACES: usize = 64;

/// The requests under way.
#[derive(Debug)]
pub(crate) struct Unwatched([Mutex<Option<(u64, Asked)>>; PLACES]);

impl Unwatched {
    pub(crate) fn new() -> Self {
        Unwatched([const { Mutex::new(None) }; PLACES])
    }

    /// Keeps what the request `unique` asked until it is answered; false when it finds no
    /// place, or `watched` says that somebody has come.
    ///
    /// `watched` is asked under the lock that [`Unwatched::is_empty`] takes. Who says so first
    /// and looks there afterwards finds every request that was not told.
    pub(crate) fn keep(&self, unique: u64, asked: Asked, watched: impl Fn() -> bool) -> bool {
        let mut place = self.place(unique).lock();
        let free = place.is_none() && !watched();
        if free {
            *place = Some((unique, asked));
        }
        free
    }

    /// What the request `unique` asked, if it was kept.
    pub(crate) fn find(&self, unique: u64) -> Option<Asked> {
        let place = *self.place(unique).lock();
        place
            .filter(|(kept, _)| *kept == unique)
            .map(|(_, asked)| asked)
    }

    /// The request `unique` is about to be answered: does `record` with what it asked. From then
    /// on it is not under way any more, unless what it asked lasts.
    pub(crate) fn answered(&self, unique: u64, record: impl FnOnce(Asked)) -> Option<Asked> {
        let mut place = self.place(unique).lock();
        let asked = place.filter(|(kept, _)| *kept == unique)?.1;
        record(asked);
        if !asked.lasts() {
            *place = None;
        }
        Some(asked)
    }

    /// The reply was written.
    pub(crate) fn is_over(&self, unique: u64) {
        self.place(unique)
            .lock()
            .take_if(|(kept, _)| *kept == unique);
    }

    /// Whether none is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|place| place.lock().is_none())
    }

    /// The session is over.
    pub(crate) fn clear(&self) {
        self.0.iter().for_each(|place| *place.lock() = None);
    }

    /// The kernel counts requests by twos.
    fn place(&self, unique: u64) -> &Mutex<Option<(u64, Asked)>> {
        &self.0[usize::from((unique >> 1).to_le_bytes()[0]) % PLACES]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use finesse_fuse::doors::Doors;
    use zerocopy::IntoBytes;

    use super::*;
    use crate::abi::{Attr, DirentPlus};
    use crate::mode::Mode;

    const DIRECTORY: INodeNo = INodeNo(7);
    const NODE: INodeNo = INodeNo(9);
    const LONG: u64 = 1000;

    fn entry(mode: u32) -> EntryOut {
        EntryOut {
            nodeid: NODE.0,
            entry_valid: LONG,
            attr_valid: LONG,
            attr: Attr {
                ino: 90,
                mode,
                ..Attr::default()
            },
            ..EntryOut::default()
        }
    }

    fn listed(names: &[&str]) -> Vec<u8> {
        let mut body = Vec::new();
        for name in names {
            let head = DirentPlus {
                entry: entry(libc::S_IFREG),
                namelen: u32::try_from(name.len()).unwrap(),
                ..DirentPlus::default()
            };
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(name.as_bytes());
            body.resize(body.len().next_multiple_of(8), 0);
        }
        body
    }

    #[test]
    fn a_request_is_under_way_until_it_is_answered() {
        let requests = Unwatched::new();
        assert!(requests.keep(2, Asked::Change, || false));
        assert!(requests.keep(4, Asked::Listing, || false));
        assert!(!requests.keep(6, Asked::Change, || true), "somebody came");
        let same_place = 2 + 2 * u64::try_from(PLACES).unwrap();
        assert!(!requests.keep(same_place, Asked::Change, || false));
        assert!(
            requests
                .answered(same_place, |_| panic!("another's"))
                .is_none()
        );
        let mut told = 0;
        assert!(requests.answered(2, |_| told += 1).is_some());
        assert!(requests.answered(2, |_| told += 1).is_none());
        assert_eq!(told, 1);
        assert!(requests.answered(4, |_| {}).is_some_and(Asked::lasts));
        assert!(!requests.is_empty(), "the listing is being written");
        requests.is_over(4);
        assert!(requests.is_empty());
    }

    #[test]
    fn look_ups_count_and_are_taken_back() {
        let doors = Doors::with_numbers_of_their_own();
        let view = &doors.view;
        let listing = Asked::ListingPlus(DIRECTORY);
        // The kernel takes no look-up of two of them.
        let body = listed(&[".", "..", "a", "bcdefghij"]);
        listing.record(view, 0, &body);
        view.forgot(NODE, 1);
        assert!(view.knows(NODE));
        view.forgot(NODE, 1);
        assert!(!view.knows(NODE));
        listing.record(view, 0, &body);
        listing.not_taken(view, &body);
        assert!(!view.knows(NODE));
        let look_up = Asked::Entry(DIRECTORY, view.key(DIRECTORY, "a".as_ref()));
        let body = entry(libc::S_IFDIR);
        look_up.record(view, libc::ENOENT, body.as_bytes());
        assert!(!view.knows(NODE), "an error gives nothing");
        look_up.record(view, 0, body.as_bytes());
        assert!(view.knows(NODE));
        look_up.not_taken(view, body.as_bytes());
        assert!(!view.knows(NODE));
    }

    #[test]
    fn a_supervisor_waits_for_what_is_under_way() {
        let mode = Mode::new();
        assert!(mode.goes_unwatched(2, Asked::Change));
        let (says, hears) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| says.send(mode.supervisor_came()));
            let long = Duration::from_millis(100);
            assert!(hears.recv_timeout(long).is_err());
            assert!(!mode.goes_unwatched(4, Asked::Change));
            mode.unwatched().answered(2, |_| {});
            assert_eq!(hears.recv(), Ok(true));
        });
        mode.supervisor_went();
        assert!(mode.goes_unwatched(6, Asked::Change));
    }
}
