//! The call sites of one target: which lead to the bootstrap, then to the agent.

use std::collections::{BTreeMap, HashSet};

use finesse_agent::layout;
use finesse_notify::Notification;

use super::Why;
use super::alone::is_alone;
use super::memory::{Memory, not_opened, not_written};
use super::padding::Padding;
use super::scan::Texts;
use super::site::{Class, SYSCALL, Site, TOO_FAR, detour};
use super::text::Mappings;
use crate::report::Note;

/// See the module. Sites are named by where their calls return to.
#[derive(Debug)]
pub(super) struct Sites {
    base: u64,
    /// Bootstraps that this target may come to.
    paddings: Vec<Padding>,
    /// Those that are not to be prepared.
    unprepared: HashSet<u64>,
    /// Those that were rewritten, or are not to be.
    settled: HashSet<u64>,
    /// Those of which it was told why they are left.
    left: HashSet<u64>,
    /// Prepared ones whose calls the agent does not know.
    early: HashSet<u64>,
    /// Somebody jumps through [`layout::MOVES_WORD`].
    has_moves: bool,
    stubs: u64,
}

/// Calls by which C libraries and the runtime of Go go on once a program's first thread has its
/// own storage.
const EARLY: [i64; 6] = [
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_sched_getaffinity,
    libc::SYS_rseq,
    libc::SYS_prlimit64,
    libc::SYS_mprotect,
];

/// Why a site does not lead to the bootstrap.
enum Unprepared {
    NoBootstrap(Why),
    /// It is not to be rewritten later, either.
    Stays(Why),
}

impl From<Why> for Unprepared {
    fn from(why: Why) -> Self {
        Unprepared::NoBootstrap(why)
    }
}

impl Sites {
    pub(super) fn new(base: u64) -> Self {
        Sites {
            base,
            paddings: Vec::new(),
            unprepared: HashSet::new(),
            settled: HashSet::new(),
            left: HashSet::new(),
            early: HashSet::new(),
            has_moves: false,
            stubs: 0,
        }
    }

    /// Those that a child has from its parent.
    pub(super) fn inherited(base: u64, tid: u32) -> Option<Self> {
        let mut stubs = vec![0; usize::try_from(layout::MAX_STUBS * layout::STUB).ok()?];
        let memory = Memory::open(tid).ok()?;
        memory.read(base + layout::STUBS, &mut stubs).ok()?;
        let len = usize::try_from(layout::STUB).ok()?;
        let used = stubs.chunks_exact(len).take_while(|stub| stub[0] != 0);
        let mut word = [0; 8];
        Some(Sites {
            stubs: used.count() as u64,
            has_moves: memory.read(layout::MOVES_WORD, &mut word).is_err() || word != [0; 8],
            ..Sites::new(base)
        })
    }

    /// A program has just begun: sites of calls that programs make then lead to the bootstrap.
    /// Its call is one of the code that prepares the rest of it.
    pub(super) fn prepare_start(
        &mut self,
        notification: &Notification,
        texts: &Texts,
    ) -> Result<(), Why> {
        let after = notification.returns_to();
        let (memory, mappings) = look_into(notification.tid())?;
        let call = after.saturating_sub(SYSCALL.len() as u64)..after;
        let text = mappings.text(&call).ok_or("it is not text of a file")?;
        let mut padding = Padding::behind(&memory, &mappings, self.base, &call)?;
        let is_early = |number: Option<i32>| number.is_some_and(|it| EARLY.contains(&it.into()));
        let sites = texts.sites(&memory, text, is_early);
        let near = sites.into_iter().filter(Site::has_room_for_jump);
        for site in near.filter(|it| it.is_text(&mappings) && it.is_on_one_page()) {
            let site_after = site.after();
            if padding.prepare(&memory, site).is_err() {
                break;
            }
            self.early.insert(site_after);
        }
        if self.early.is_empty() {
            return Err("no site is known that it will call from");
        }
        padding.arm(&memory)?;
        self.paddings.push(padding);
        Ok(())
    }

    /// Makes the site of a call that trapped lead to the bootstrap, if it can be. What became
    /// of it, when that is news; why the target has no bootstrap.
    pub(super) fn prepare(&mut self, notification: &Notification) -> Result<Option<Note>, Why> {
        let after = notification.returns_to();
        if self.unprepared.contains(&after) {
            return Ok(None);
        }
        if let Some(why) = obstacle(notification) {
            return Ok(self.leave(after, why));
        }
        match self.try_prepare(notification) {
            Ok(()) => Ok(None),
            Err(Unprepared::NoBootstrap(why)) if self.paddings.is_empty() => Err(why),
            // There is a way in already.
            Err(Unprepared::NoBootstrap(_)) => {
                self.unprepared.insert(after);
                Ok(None)
            }
            Err(Unprepared::Stays(why)) => {
                self.unprepared.insert(after);
                self.settled.insert(after);
                Ok(self.leave(after, why))
            }
        }
    }

    fn try_prepare(&mut self, notification: &Notification) -> Result<(), Unprepared> {
        let after = notification.returns_to();
        let (memory, mappings) = look_into(notification.tid())?;
        let call = after.saturating_sub(SYSCALL.len() as u64)..after;
        let mut padding = Padding::behind(&memory, &mappings, self.base, &call)?;
        if !padding.leads_from(after) {
            let site = Site::read(&memory, &mappings, after, notification.number());
            let site = site.map_err(Unprepared::Stays)?;
            if !site.has_room_for_jump() {
                return Err("a jump to the bootstrap would be too long".into());
            }
            padding.prepare(&memory, site)?;
        }
        padding.arm(&memory)?;
        self.paddings.retain(|it| it.at() != padding.at());
        self.paddings.push(padding);
        Ok(())
    }

    /// The target does not come to the bootstrap any more.
    pub(super) fn disarm(&self, tid: u32) {
        let memory = Memory::open(tid).map_err(|error| not_opened(&error));
        let disarmed = memory.and_then(|memory| {
            // Where it still is: what it lay in may have been unmapped.
            let found = |it: &Padding| Padding::recognise(&memory, self.base, it.at());
            let mut paddings = self.paddings.iter().filter_map(found);
            paddings.try_for_each(|it| it.disarm(&memory))
        });
        if let Err(why) = disarmed {
            tracing::debug!("{tid} is still asked for the agent: {why}");
        }
    }

    /// Rewrites the site of a call that trapped, if it can be. What became of it, when that is
    /// news.
    pub(super) fn rewrite(&mut self, notification: &Notification) -> Option<Note> {
        let after = notification.returns_to();
        if self.settled.contains(&after) {
            return None;
        }
        if let Some(why) = obstacle(notification) {
            return self.leave(after, why);
        }
        self.settled.insert(after);
        match self.try_rewrite(notification) {
            Ok(class) => Some(Note::Rewritten(class)),
            Err(why) => self.leave(after, why),
        }
    }

    /// Rewrites those that lead to a bootstrap, and those in all texts from which `wanted` calls
    /// are made; the target is alone in its memory.
    pub(super) fn rewrite_all(
        &mut self,
        tid: u32,
        texts: &Texts,
        wanted: impl Fn(i32) -> bool,
    ) -> Vec<Note> {
        let Ok((memory, mappings)) = look_into(tid) else {
            return Vec::new();
        };
        let paddings = std::mem::take(&mut self.paddings);
        let prepared = paddings.iter().flat_map(|it| it.sites(&memory, self.base));
        let prepared = prepared.filter(|it| it.is_text(&mappings));
        let mut sites: Vec<_> = prepared.collect();
        for site in &sites {
            // Nobody is there: the only thread is in the bootstrap.
            if let Err(error) = memory.write(site.start(), site.displaced()) {
                tracing::debug!("{:#x} leads to the bootstrap still: {error}", site.after());
            }
        }
        sites.retain(|it| !self.early.contains(&it.after()));
        let is_wanted = |number: Option<i32>| number.is_none_or(&wanted);
        let found = mappings
            .texts()
            .flat_map(|text| texts.sites(&memory, text, is_wanted));
        sites.extend(found.filter(|it| it.is_on_one_page()));
        sites.retain(|site| self.settled.insert(site.after()));
        self.write(&memory, &sites)
            .into_iter()
            .zip(&sites)
            .filter_map(|(written, site)| match written {
                Ok(class) => Some(Note::Rewritten(class)),
                Err(why) => self.leave(site.after(), why),
            })
            .collect()
    }

    /// Leaves a site as it is; the news is told once.
    fn leave(&mut self, after: u64, why: Why) -> Option<Note> {
        tracing::debug!("site {after:#x}: {why}");
        self.left.insert(after).then_some(Note::Left(why))
    }

    fn try_rewrite(&mut self, notification: &Notification) -> Result<Class, Why> {
        let (memory, mappings) = look_into(notification.tid())?;
        let after = notification.returns_to();
        let site = Site::read(&memory, &mappings, after, notification.number())?;
        let written = self.write(&memory, &[site]).pop();
        written.unwrap_or(Err("it is not written"))
    }

    /// The stubs first, then how to get there, then the sites: what became of each.
    fn write(&mut self, memory: &Memory, sites: &[Site]) -> Vec<Result<Class, Why>> {
        let first = self.stub_place();
        let (mut stubs, mut words) = (Vec::new(), BTreeMap::new());
        let jumps: Vec<_> = sites
            .iter()
            .map(|site| {
                let number = self.stubs;
                let jump = site.jump(number).ok_or(TOO_FAR)?;
                if number >= layout::MAX_STUBS {
                    return Err("no stub is left");
                }
                if jump.at == layout::MOVES_WORD && std::mem::replace(&mut self.has_moves, true) {
                    return Err("another site jumps through its word");
                }
                let stub = self.stub_place();
                stubs.extend_from_slice(&self.stub(stub, site));
                words.insert(jump.at, jump.word(stub));
                self.stubs += 1;
                Ok(jump.code)
            })
            .collect();
        let write = |address: u64, bytes: &[u8]| {
            let written = memory.write(address, bytes);
            written.map_err(|error| not_written(&error))
        };
        let prepared = write(first, &stubs).and_then(|()| {
            let mut words = adjacent(&words).into_iter();
            words.try_for_each(|(address, bytes)| write(address, &bytes))
        });
        let rewrite = |(jump, site): (Result<Vec<u8>, Why>, &Site)| {
            let code = jump?;
            prepared.and_then(|()| write(site.start(), &code))?;
            Ok(site.class())
        };
        jumps.into_iter().zip(sites).map(rewrite).collect()
    }

    fn stub_place(&self) -> u64 {
        self.base + layout::STUBS + self.stubs * layout::STUB
    }

    /// A detour by the agent; its descriptor: the call, a jump back, where to, where the site's
    /// own call is.
    fn stub(&self, at: u64, site: &Site) -> Vec<u8> {
        let entry = self.base + finesse_agent::entry();
        let mut stub = detour(at, site.displaced(), entry).to_vec();
        stub.extend_from_slice(&SYSCALL);
        // jmp [rip]; 8 bytes on from the descriptor.
        stub.extend_from_slice(&[0xFF, 0x25, 0, 0, 0, 0]);
        stub.extend_from_slice(&site.after().to_le_bytes());
        stub.extend_from_slice(&site.call().to_le_bytes());
        stub
    }
}

/// What is to be written where, in as few pieces as that takes.
fn adjacent(words: &BTreeMap<u64, Vec<u8>>) -> Vec<(u64, Vec<u8>)> {
    let mut pieces: Vec<(u64, Vec<u8>)> = Vec::new();
    for (address, bytes) in words {
        match pieces.last_mut() {
            Some((start, piece)) if *start + piece.len() as u64 == *address => piece.extend(bytes),
            _ => pieces.push((*address, bytes.clone())),
        }
    }
    pieces
}

/// Why the site of a call stays as it is for now.
fn obstacle(notification: &Notification) -> Option<Why> {
    if !finesse_agent::knows(notification.number()) {
        // syscall(3) has one site for all calls.
        return Some("the agent does not know the call");
    }
    // Once there are threads there will be; a child of vfork(2) goes soon.
    (!is_alone(notification.tid())).then_some("threads, or a child, run in its memory")
}

fn look_into(tid: u32) -> Result<(Memory, Mappings), Why> {
    let memory = Memory::open(tid).map_err(|error| not_opened(&error))?;
    let mappings = Mappings::of(tid).ok_or("its memory is not shown")?;
    Ok((memory, mappings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fast::site::DETOUR;

    #[test]
    fn what_is_adjacent_is_written_at_once() {
        let words = [(8, vec![1; 8]), (16, vec![2; 8]), (32, vec![3; 8])];
        let pieces = adjacent(&words.into_iter().collect());
        let first = [[1; 8], [2; 8]].concat();
        assert_eq!(pieces, [(8, first), (32, vec![3; 8])]);
        assert_eq!(adjacent(&BTreeMap::new()), []);
    }

    #[test]
    fn a_stub_leads_to_the_agent_and_back() {
        let sites = Sites::new(0x1234_0000_0000);
        let copy = [0xB8, 87, 0, 0, 0];
        let site = Site::possible(0x40_1005, &copy).next().unwrap();
        let stub = sites.stub(0x1234_0001_0040, &site);
        assert_eq!(stub.len() as u64, layout::STUB);
        assert_eq!(stub[..5], copy);
        assert_eq!(stub[DETOUR..DETOUR + 2], SYSCALL);
        assert_eq!(stub[48..56], 0x40_1007_u64.to_le_bytes());
        assert_eq!(stub[56..], 0x40_1005_u64.to_le_bytes());
        // The table's addresses end in the bytes of the call.
        assert_eq!(layout::TABLE.to_le_bytes()[2..4], SYSCALL);
        assert_eq!(
            (layout::TABLE + layout::MAX_STUBS * 8 - 1) >> 16,
            layout::TABLE >> 16
        );
    }
}
