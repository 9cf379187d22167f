//! Call sites in the text of files, found before anybody makes a call from there.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use memchr::memmem;
use parking_lot::Mutex;
use procfs::process::{MMapPath, MemoryMap};

use super::memory::Memory;
use super::moves;
use super::site::{SYSCALL, Site};
use super::text::Mappings;

/// Longer texts are not looked at, in bytes: it takes a second for some 4 GiB.
const LONGEST_TEXT: u64 = 256 << 20;

/// So much is looked at at a time, in bytes: it stays in the CPU's cache.
const PIECE: usize = 64 << 10;

/// A part of a file, as it is mapped: device, inode, offset, length in bytes.
type Part = ((i32, i32), u64, u64, u64);

/// What was found in the texts of this run's programs.
#[derive(Debug, Default)]
pub(super) struct Texts(Mutex<HashMap<Part, Arc<OnceLock<Vec<Found>>>>>);

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
        let found = self.found(memory, text);
        let found = found.get().into_iter().flatten();
        found
            .filter(|it| wanted(it.number))
            .filter_map(|it| it.read(memory, text.address.0))
            .collect()
    }

    /// Looks at the texts of this process, of which programs have some as well: the C library.
    /// They need not wait for it then.
    pub(super) fn look_at_own(&self) {
        let own = std::process::id();
        let Some((memory, mappings)) = Memory::open(own).ok().zip(Mappings::of(own)) else {
            return;
        };
        let executable = std::env::current_exe().ok();
        let is_library = |path: &MMapPath| matches!(path, MMapPath::Path(path) if Some(path) != executable.as_ref());
        for text in mappings.texts().filter(|it| is_library(&it.pathname)) {
            self.found(&memory, text);
        }
    }

    /// Each text is looked at once; who comes meanwhile waits.
    fn found(&self, memory: &Memory, text: &MemoryMap) -> Arc<OnceLock<Vec<Found>>> {
        let (start, end) = text.address;
        let part = (text.dev, text.inode, text.offset, end - start);
        let found = Arc::clone(self.0.lock().entry(part).or_default());
        found.get_or_init(|| look_through(memory, start, end));
        found
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
    let mut found = Vec::new();
    if end - start > LONGEST_TEXT {
        return found;
    }
    // Each piece begins with the end of the one before, so that a site lies in one of them.
    let mut piece = vec![0; PIECE];
    let mut at = start;
    while at < end {
        let len = (end - at).min(PIECE as u64);
        let text = &mut piece[..usize::try_from(len).unwrap_or(PIECE)];
        if let Err(error) = memory.read(at, text) {
            tracing::debug!("text at {at:#x} cannot be read: {error}");
            break;
        }
        let new = found_in(text).into_iter().map(|it| Found {
            after: it.after + (at - start),
            ..it
        });
        found.extend(
            new.filter(|it| {
                found
                    .last()
                    .is_none_or(|last: &Found| last.after < it.after)
            })
            .collect::<Vec<_>>(),
        );
        if at + len == end {
            break;
        }
        at += len - moves::LONGEST as u64;
    }
    found
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
    fn sites_are_found_between_pieces() {
        let memory = Memory::open(std::process::id()).unwrap();
        let mut text = vec![0x90; 3 * PIECE];
        let ends = [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 3, text.len()];
        for end in ends {
            let mut text = text.clone();
            text[end - 7..end].copy_from_slice(&UNLINK);
            let start = text.as_ptr() as u64;
            let found = look_through(&memory, start, start + text.len() as u64);
            let after: Vec<_> = found.iter().map(|it| it.after).collect();
            assert_eq!(after, [end as u64]);
        }
        for end in [100, PIECE, 2 * PIECE] {
            text[end - 7..end].copy_from_slice(&UNLINK);
        }
        let start = text.as_ptr() as u64;
        assert_eq!(
            look_through(&memory, start, start + 3 * PIECE as u64).len(),
            3
        );
    }

    #[test]
    fn a_file_that_was_written_again_has_other_sites() {
        let memory = Memory::open(std::process::id()).unwrap();
        let mut text = [0x90; 64];
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
