//! What a request of the kernel leaves to be done when the daemon's reply passes: record
//! what the kernel is given, tell the bypass door what changed, leave the gate.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::RawFd;
use std::sync::Arc;

use finesse_fuse::doors::{
    AttrNote, Doors, EntryNote, Held, KernelView, ListingNote, OpenNote, Settle,
};
use finesse_fuse::{Errno, FopenFlags, INodeNo};
use parking_lot::Mutex;
use zerocopy::{FromBytes, IntoBytes};

use crate::abi::{
    AttrOut, DirentPlus, EntryOut, OpenOut, Request, StatxOut, Timed, direntplus_len,
};
use crate::doubt::Doubt;
use crate::mode::Counted;
use crate::purpose::Purpose;

/// Left by a request until its reply.
#[derive(Debug)]
pub(crate) struct Note {
    doors: Arc<Doors>,
    kind: Kind,
    /// The descriptor that it was read from. Where there are several (`FUSE_DEV_IOC_CLONE`), the
    /// kernel takes the reply from this one only; a request that was set aside may have been
    /// given to a thread with another.
    pub(crate) device: RawFd,
    /// That it passed no gate.
    ungated: Option<Counted>,
    /// What it takes away, where a bypassed change may have done so before.
    doubt: Option<Doubt>,
}

#[derive(Debug)]
enum Kind {
    Entry(EntryNote),
    Attributes(AttrNote, INodeNo),
    Statx(AttrNote, INodeNo),
    Open(OpenNote),
    ListingPlus(ListingNote),
    Listing(Held),
    Settle(Settle),
}

/// What is left when a reply was looked at.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The gate of a listing, to be left when the reply was written.
    #[allow(dead_code)] // Held for its drop.
    held: Option<Held>,
    #[allow(dead_code)] // As above.
    ungated: Option<Counted>,
    /// Look-ups that the kernel counts once it has the reply.
    counted: Vec<INodeNo>,
}

impl Settled {
    /// The kernel did not take the reply: who asked is gone.
    pub(crate) fn not_taken(&self, doors: &Doors) {
        for node in &self.counted {
            doors.view.forgot(*node, 1);
        }
    }
}

impl Note {
    /// The note of a request that has passed its gates; `None` for one that leaves none.
    pub(crate) fn of(
        doors: &Arc<Doors>,
        (node, purpose): (INodeNo, &Purpose<'_>),
        held: Held,
        device: RawFd,
    ) -> Option<Note> {
        let kind = Kind::of(doors, node, purpose, held)?;
        Some(Note {
            doors: Arc::clone(doors),
            kind,
            device,
            ungated: None,
            doubt: None,
        })
    }

    /// It passed no gate.
    pub(crate) fn ungated(mut self, counted: Counted) -> Self {
        self.ungated = Some(counted);
        self
    }

    /// A bypassed change may have overtaken it.
    pub(crate) fn doubting(mut self, request: &Request<'_>, purpose: &Purpose<'_>) -> Self {
        self.doubt = Doubt::of(request, purpose);
        self
    }

    /// What is to be asked before the kernel hears of `error`.
    pub(crate) fn doubt(&mut self, error: i32) -> Option<Doubt> {
        self.doubt.take_if(|_| Doubt::is_about(error))
    }

    /// The daemon answered with `error` (0 or a positive errno) and `body`, of which
    /// time-outs are cut where a change overtook the request.
    pub(crate) fn settle(self, error: i32, body: &mut [u8]) -> Settled {
        let mut settled = self.kind.settle(&self.doors, error, body);
        settled.ungated = self.ungated;
        settled
    }
}

impl Kind {
    fn settle(self, doors: &Doors, error: i32, body: &mut [u8]) -> Settled {
        match self {
            Kind::Entry(note) if error == 0 => give_entry(doors, note, body),
            Kind::Attributes(note, node) if error == 0 => {
                give_attributes::<AttrOut>(doors, note, node, body)
            }
            Kind::Statx(note, node) if error == 0 => {
                give_attributes::<StatxOut>(doors, note, node, body)
            }
            Kind::Settle(settle) if error == 0 => {
                settle.succeeded();
                Settled::default()
            }
            // It failed: their drops do what there is to do.
            Kind::Entry(_) | Kind::Attributes(..) | Kind::Statx(..) | Kind::Settle(_) => {
                Settled::default()
            }
            Kind::Open(note) => {
                settle_open(note, error, body);
                Settled::default()
            }
            Kind::ListingPlus(note) => {
                let mut settled = Settled::default();
                if error == 0 {
                    give_listing(doors, &note, body, &mut settled);
                }
                settled.held = Some(note.ended());
                settled
            }
            Kind::Listing(held) => Settled::holding(held),
        }
    }
}

impl Settled {
    fn holding(held: Held) -> Self {
        Settled {
            held: Some(held),
            ..Settled::default()
        }
    }
}

impl Kind {
    fn of(doors: &Arc<Doors>, node: INodeNo, purpose: &Purpose<'_>, held: Held) -> Option<Kind> {
        Some(match *purpose {
            Purpose::LookUp(name) => {
                Kind::Entry(EntryNote::look_up_holding(doors, held, node, name))
            }
            // It has no name, but is a node that the kernel gets.
            Purpose::MakeUnnamed => {
                let name = OsStr::new("");
                Kind::Entry(EntryNote::look_up_holding(doors, held, node, name))
            }
            Purpose::Make(name, linked) => {
                Kind::Entry(EntryNote::change_holding(doors, held, node, name, linked))
            }
            Purpose::Remove(name) => Kind::Settle(Settle::removal_holding(doors, held, node, name)),
            Purpose::Rename(it) => {
                let (from, to) = ((node, it.from), (it.newdir, it.to));
                Kind::Settle(Settle::rename_holding(doors, held, from, to, it.flags))
            }
            Purpose::Attributes => Kind::Attributes(AttrNote::question(doors, node), node),
            Purpose::Statx => Kind::Statx(AttrNote::question(doors, node), node),
            Purpose::SetAttributes => Kind::Attributes(AttrNote::change(doors, node), node),
            Purpose::Open => Kind::Open(OpenNote::File(AttrNote::change(doors, node))),
            Purpose::OpenDirectory => Kind::Open(OpenNote::Directory(Arc::clone(doors), node)),
            Purpose::List => Kind::Listing(held),
            Purpose::ListPlus => Kind::ListingPlus(ListingNote::holding(doors, held, node)),
            Purpose::Change(node) => Kind::Settle(Settle::attributes(doors, node)),
            Purpose::Other => return None,
        })
    }
}

fn give_entry(doors: &Doors, note: EntryNote, body: &mut [u8]) -> Settled {
    let Ok((out, _)) = EntryOut::mut_from_prefix(body) else {
        return Settled::default();
    };
    let (node, ttls) = (INodeNo(out.nodeid), out.ttls());
    let left = note.gave(node, ttls);
    tell_directory(&doors.view, out);
    out.set_ttls(left);
    Settled {
        counted: Vec::from_iter((node.0 != 0).then_some(node)),
        ..Settled::default()
    }
}

fn give_attributes<T>(doors: &Doors, note: AttrNote, node: INodeNo, body: &mut [u8]) -> Settled
where
    T: Timed + FromBytes + IntoBytes + zerocopy::KnownLayout,
{
    let Ok((out, _)) = T::mut_from_prefix(body) else {
        return Settled::default();
    };
    let number = INodeNo(out.number());
    if out.is_directory() {
        doors.view.gave_directory(node, number);
    }
    let left = note.gave(number, out.ttl());
    out.set_ttl(left);
    Settled::default()
}

fn settle_open(note: OpenNote, error: i32, body: &[u8]) {
    if error != 0 {
        return note.failed(Errno::from_i32(error));
    }
    if let Ok((out, _)) = OpenOut::read_from_prefix(body) {
        note.opened(FopenFlags::from_bits_retain(out.open_flags));
    }
}

fn give_listing(doors: &Doors, note: &ListingNote, mut rest: &mut [u8], settled: &mut Settled) {
    while let Ok((head, names)) = DirentPlus::mut_from_prefix(rest) {
        let Some(name) = names.get(..head.namelen as usize) else {
            return;
        };
        let (name, node) = (bytes_name(name), INodeNo(head.entry.nodeid));
        if node.0 != 0 && name != "." && name != ".." {
            let ttls = head.entry.ttls();
            let shorter = ttls.0.min(ttls.1);
            // Only one time-out is told; a name and its attributes have nearly always one.
            let left = note.adding(name, node, ttls.0.max(ttls.1));
            tell_directory(&doors.view, &head.entry);
            if left < shorter {
                head.entry.set_ttls((left, left));
            }
            settled.counted.push(node);
        }
        let whole = direntplus_len(head.namelen);
        let Some(next) = std::mem::take(&mut rest).get_mut(whole..) else {
            return;
        };
        rest = next;
    }
}

fn bytes_name(bytes: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

/// The kernel gets the node of an entry: tells its number if it is a directory.
pub(crate) fn tell_directory(view: &KernelView, entry: &EntryOut) {
    if entry.nodeid != 0 && entry.attr.is_directory() {
        view.gave_directory(INodeNo(entry.nodeid), INodeNo(entry.attr.ino));
    }
}

const SHARDS: usize = 8;

/// The notes of all requests under way.
#[derive(Debug, Default)]
pub(crate) struct Notes([Mutex<HashMap<u64, Note>>; SHARDS]);

impl Notes {
    pub(crate) fn keep(&self, unique: u64, note: Note) {
        self.shard(unique).lock().insert(unique, note);
    }

    pub(crate) fn take(&self, unique: u64) -> Option<Note> {
        self.shard(unique).lock().remove(&unique)
    }

    pub(crate) fn has(&self, unique: u64) -> bool {
        self.shard(unique).lock().contains_key(&unique)
    }

    /// The session is over: gates are left.
    pub(crate) fn clear(&self) {
        for shard in &self.0 {
            let notes = std::mem::take(&mut *shard.lock());
            drop(notes);
        }
    }

    /// The kernel counts requests by twos.
    fn shard(&self, unique: u64) -> &Mutex<HashMap<u64, Note>> {
        &self.0[usize::from((unique >> 1).to_le_bytes()[0]) % SHARDS]
    }
}
