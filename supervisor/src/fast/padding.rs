//! The bootstrap in a target, and the ways in to it.
//!
//! They lie in the padding behind the text, where nobody's bytes are: the rest of the last page
//! shows what comes next in the file, mostly zeros, but for some linkers (lld) data that is
//! mapped elsewhere. Once written they stay, as somebody may be on his way through: a handler
//! may have interrupted him, and a child goes on where its parent was. Only whether the
//! bootstrap is *armed* changes.
//!
//! ```text
//!  bootstrap   armed?  no: to the site's own call
//!  way in      what gave way at a site; lea r11, [descriptor]; jmp bootstrap
//!              descriptor: where the site's own call is
//!  way in      …
//! ```

use std::ops::Range;

use finesse_agent::layout::boot;

use super::Why;
use super::memory::{Memory, not_written};
use super::site::{DETOUR, Site, detour, near_jump};
use super::text::Mappings;

/// Length of a way in.
const WAY: usize = DETOUR + 8;
/// More are not needed: the first call through one brings the agent in.
const MOST_WAYS: usize = 8;

const NO_ROOM: Why = "there is no room behind its text";

/// The bootstrap behind one text of a target, or the place for it.
#[derive(Debug)]
pub(super) struct Padding {
    at: u64,
    len: usize,
    code: Vec<u8>,
    is_written: bool,
    /// Those that lead to it, as they were.
    sites: Vec<Site>,
    /// Where another way in may lie.
    free: Vec<u64>,
}

impl Padding {
    /// Behind the text that these bytes are in.
    pub(super) fn behind(
        memory: &Memory,
        mappings: &Mappings,
        base: u64,
        text: &Range<u64>,
    ) -> Result<Padding, Why> {
        let room = mappings.padding(memory, text).ok_or(NO_ROOM)?;
        let at = room.start.next_multiple_of(8);
        let len = usize::try_from(room.end.saturating_sub(at)).map_err(|_| NO_ROOM)?;
        let place = Padding::place(base, at, len).ok_or(NO_ROOM)?;
        // What is read is mapped then, too.
        let bytes = place.read(memory).ok_or(NO_ROOM)?;
        let padding = if mappings.is_as_mapped(at) || is_free(&bytes) {
            place
        } else {
            place.with_written(memory, &bytes).ok_or(NO_ROOM)?
        };
        let has_way = !padding.free.is_empty() || !padding.sites.is_empty();
        has_way.then_some(padding).ok_or(NO_ROOM)
    }

    /// The bootstrap, if it is where a target says.
    pub(super) fn recognise(memory: &Memory, base: u64, at: u64) -> Option<Padding> {
        Padding::find(memory, base, at, finesse_agent::bootstrap(base).len())
    }

    fn find(memory: &Memory, base: u64, at: u64, len: usize) -> Option<Padding> {
        let place = Padding::place(base, at, len)?;
        let bytes = place.read(memory)?;
        place.with_written(memory, &bytes)
    }

    /// The place for one; none if that is too short.
    fn place(base: u64, at: u64, len: usize) -> Option<Padding> {
        let code = finesse_agent::bootstrap(base);
        let ways = len.checked_sub(code.len())? / WAY;
        let first = at + code.len() as u64;
        Some(Padding {
            at,
            len,
            is_written: false,
            sites: Vec::new(),
            free: (first..).step_by(WAY).take(ways.min(MOST_WAYS)).collect(),
            code,
        })
    }

    /// What is at a place where nothing is known to be.
    fn read(&self, memory: &Memory) -> Option<Vec<u8>> {
        let mut bytes = vec![0; self.code.len() + self.free.len() * WAY];
        memory.read(self.at, &mut bytes).ok()?;
        Some(bytes)
    }

    /// With what was read there; none if that is not ours.
    fn with_written(mut self, memory: &Memory, bytes: &[u8]) -> Option<Padding> {
        let (bootstrap, ways) = bytes.split_at_checked(self.code.len())?;
        let entry = usize::try_from(boot::ENTRY).ok()?;
        if bootstrap[entry..] != self.code[entry..] {
            return None;
        }
        self.is_written = true;
        let places = std::mem::take(&mut self.free);
        for (at, way) in places.into_iter().zip(ways.chunks_exact(WAY)) {
            if is_free(way) {
                self.free.push(at);
            } else if let Some(site) = self.site_of(memory, at, way) {
                self.sites.push(site);
            }
        }
        Some(self)
    }

    /// The site that this is the way in of.
    fn site_of(&self, memory: &Memory, at: u64, way: &[u8]) -> Option<Site> {
        let (copy, call) = way.split_last_chunk()?;
        let call = u64::from_le_bytes(*call);
        Site::possible(call, copy)
            .filter(|site| self.way_in(at, site) == way)
            .find(|site| site.jumps_to(memory, at))
    }

    fn way_in(&self, at: u64, site: &Site) -> Vec<u8> {
        let mut way = detour(at, site.displaced(), self.at + boot::ENTRY).to_vec();
        way.extend_from_slice(&site.call().to_le_bytes());
        way
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn leads_from(&self, after: u64) -> bool {
        self.sites.iter().any(|site| site.after() == after)
    }

    /// Those that lead to it now, as they were.
    pub(super) fn sites(&self, memory: &Memory, base: u64) -> Vec<Site> {
        Padding::find(memory, base, self.at, self.len).map_or_else(Vec::new, |it| it.sites)
    }

    /// Makes the site lead here. At any moment all that is written may be executed.
    pub(super) fn prepare(&mut self, memory: &Memory, site: Site) -> Result<(), Why> {
        let ways = self.free.len() * WAY;
        let at = self.free.pop().ok_or(NO_ROOM)?;
        let jump = near_jump(site.start(), at).ok_or(NO_ROOM)?;
        if !self.is_written {
            let all = [self.code.as_slice(), &vec![0; ways]].concat();
            write(memory, self.at, &all)?;
            self.is_written = true;
        }
        write(memory, at, &self.way_in(at, &site))?;
        write(memory, site.start(), &jump)?;
        self.sites.push(site);
        Ok(())
    }

    pub(super) fn arm(&self, memory: &Memory) -> Result<(), Why> {
        write(memory, self.at + boot::ARMED, &[1])
    }

    /// Who comes by goes on to his call.
    pub(super) fn disarm(&self, memory: &Memory) -> Result<(), Why> {
        write(memory, self.at + boot::ARMED, &[0])
    }
}

fn is_free(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn write(memory: &Memory, address: u64, bytes: &[u8]) -> Result<(), Why> {
    memory
        .write(address, bytes)
        .map_err(|error| not_written(&error))
}
