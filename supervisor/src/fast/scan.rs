//! Call sites in the text of files, found before anybody makes a call from there.

use std::collections::HashMap;
use std::sync::Arc;

use memchr::memmem;
use parking_lot::Mutex;
use procfs::process::MemoryMap;

use super::memory::Memory;
use super::moves;
use super::site::{SYSCALL, Site};

/// Longer texts are not looked at, in bytes: it takes a second for some 4 GiB.
const LONGEST_TEXT: u64 = 256 << 20;

/// A part of a file, as it is mapped: device, inode, offset, length in bytes.
type Part = ((i32, i32), u64, u64, u64);

/// What was found in the texts of this run's programs.
#[derive(Debug, Default)]
pub(super) struct Texts(Mutex<HashMap<Part, Arc<[Found]>>>);

/// The call that returns to this place in the mapping; its number, if it is the same each time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Found {
    after: u64,
    number: Option<i32>,
}

impl Texts {
    /// The sites in a text of a target from which `wanted` calls are made (none: any call may
    /// be). The file may have been written again since it was looked at.
    pub(super) fn sites(
        &self,
        memory: &Memory,
        text: &MemoryMap,
        wanted: impl Fn(Option<i32>) -> bool,
    ) -> Vec<Site> {
        let (start, end) = text.address;
        let part = (text.dev, text.inode, text.offset, end - start);
        let known = self.0.lock().get(&part).map(Arc::clone);
        let found = known.unwrap_or_else(|| {
            let found: Arc<[Found]> = look_through(memory, start, end).into();
            self.0.lock().insert(part, Arc::clone(&found));
            found
        });
        let wanted = found.iter().filter(|it| wanted(it.number));
        let sites = wanted.filter_map(|it| it.read(memory, start));
        sites.collect()
    }
}

impl Found {
    /// None if it is not there.
    fn read(self, memory: &Memory, start: u64) -> Option<Site> {
        let after = start.checked_add(self.after)?;
        let mut text = [0; moves::LONGEST];
        let from = after.checked_sub(text.len() as u64)?.max(start);
        let text = &mut text[..usize::try_from(after - from).ok()?];
        memory.read(from, text).ok()?;
        let (site, number) = Site::find(text, after)?;
        (number == self.number).then_some(site)
    }
}

fn look_through(memory: &Memory, start: u64, end: u64) -> Vec<Found> {
    let Some(len) = Some(end - start).filter(|len| *len <= LONGEST_TEXT) else {
        return Vec::new();
    };
    let mut text = vec![0; usize::try_from(len).unwrap_or(0)];
    match memory.read(start, &mut text) {
        Ok(()) => found_in(&text),
        Err(error) => {
            tracing::debug!("text at {start:#x} cannot be read: {error}");
            Vec::new()
        }
    }
}

fn found_in(text: &[u8]) -> Vec<Found> {
    memmem::find_iter(text, &SYSCALL)
        .filter_map(|call| {
            let after = call + SYSCALL.len();
            let window = &text[after.saturating_sub(moves::LONGEST)..after];
            let (_, number) = Site::find(window, after as u64)?;
            Some(Found {
                after: after as u64,
                number,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNLINK: [u8; 7] = [0xB8, 87, 0, 0, 0, 0x0F, 0x05];

    #[test]
    fn sites_are_found_wherever_they_are() {
        let mut text = vec![0x90; 100];
        text[93..].copy_from_slice(&UNLINK);
        text[40..47].copy_from_slice(&UNLINK);
        text[41] = 88;
        // mov r8d, 87
        text[19] = 0x41;
        text[20..27].copy_from_slice(&UNLINK);
        // Not a call, and a call without anything known before it.
        text[60..65].copy_from_slice(&UNLINK[..5]);
        text[70..72].copy_from_slice(&SYSCALL);
        let go = [
            0x48, 0x89, 0xFA, 0x48, 0x89, 0xCE, 0x48, 0x89, 0xDF, 0x0F, 0x05,
        ];
        text[75..86].copy_from_slice(&go);
        let found = |after, number| Found { after, number };
        let all = [found(47, Some(88)), found(86, None), found(100, Some(87))];
        assert_eq!(found_in(&text), all);
        assert_eq!(found_in(&text[..99]), all[..2]);
        assert_eq!(found_in(&[0x0F, 0x05]), []);
    }

    #[test]
    fn a_file_that_was_written_again_has_other_sites() {
        let memory = Memory::open(std::process::id()).unwrap();
        let mut text = vec![0x90; 64];
        text[20..27].copy_from_slice(&UNLINK);
        let start = text.as_ptr() as u64;
        let found = look_through(&memory, start, start + 64);
        assert_eq!(found.len(), 1);
        let site = found[0].read(&memory, start).unwrap();
        assert_eq!((site.start(), site.after()), (start + 20, start + 27));
        text[21] = 88;
        assert_eq!(found[0].read(&memory, start), None);
        assert_eq!(text[26], 0x05);
    }
}
