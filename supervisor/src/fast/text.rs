//! A target's text: what of it is a file's, and what is left of its last page.

use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use object::LittleEndian;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use procfs::process::{MMPermissions, MMapPath, MemoryMap, MemoryPageFlags, PageInfo, Process};

use super::memory::Memory;

pub(super) const PAGE: u64 = 4096;

/// What is mapped in a target.
#[derive(Debug)]
pub(super) struct Mappings {
    process: Process,
    maps: Vec<MemoryMap>,
}

impl Mappings {
    pub(super) fn of(tid: u32) -> Option<Mappings> {
        let process = Process::new(i32::try_from(tid).ok()?).ok()?;
        let maps = process.maps().ok()?.0;
        Some(Mappings { process, maps })
    }

    pub(super) fn are_free(&self, place: &Range<u64>) -> bool {
        let is_apart = |map: &MemoryMap| map.address.1 <= place.start || place.end <= map.address.0;
        self.maps.iter().all(is_apart)
    }

    /// Whether the agent lies there: a copy of a sealed memfd of that name.
    pub(super) fn is_agent(&self, base: u64) -> bool {
        self.maps.iter().any(|map| {
            map.address.0 == base
                && map.perms.contains(MMPermissions::EXECUTE)
                && matches!(&map.pathname, MMapPath::Path(path) if is_memfd(path))
        })
    }

    /// The mapping of these bytes, if they are text of a file: what programs write themselves
    /// may be looked at or written again, through a memfd too, and a shared mapping is the file.
    pub(super) fn text(&self, bytes: &Range<u64>) -> Option<&MemoryMap> {
        self.texts()
            .find(|map| map.address.0 <= bytes.start && bytes.end <= map.address.1)
    }

    /// All text of files, as above.
    pub(super) fn texts(&self) -> impl Iterator<Item = &MemoryMap> {
        self.maps.iter().filter(|map| {
            matches!(&map.pathname, MMapPath::Path(path) if !is_memfd(path))
                && map
                    .perms
                    .contains(MMPermissions::READ | MMPermissions::PRIVATE | MMPermissions::EXECUTE)
                && !map.perms.contains(MMPermissions::WRITE)
        })
    }

    /// What is left of the last page of the segment that these bytes of text are in: it belongs
    /// to no segment, so to nobody.
    pub(super) fn padding(&self, memory: &Memory, bytes: &Range<u64>) -> Option<Range<u64>> {
        let text = self.text(bytes)?;
        let is_first = |map: &&MemoryMap| {
            map.offset == 0
                && (map.dev, map.inode) == (text.dev, text.inode)
                && map.address.0 <= text.address.0
        };
        let starts = self.maps.iter().filter(is_first).map(|map| map.address.0);
        let segments = Segment::all(memory, starts.max()?)?;
        let own = segments.iter().find(|it| it.holds(bytes.start))?;
        let end = own.addresses.end;
        let page_end = end.checked_next_multiple_of(PAGE)?;
        let is_mapped_so = end
            .checked_sub(text.address.0)
            .is_some_and(|len| text.offset + len == own.file_end);
        let is_nobodys = segments
            .iter()
            .all(|it| it.addresses.end <= end || page_end <= it.addresses.start);
        (is_mapped_so && page_end <= text.address.1 && is_nobodys).then_some(end..page_end)
    }

    /// Whether the page with this address, which was read just now, still is the file's own:
    /// nobody has written there since it was mapped (pagemap in proc_pid_pagemap(5), bit 61).
    pub(super) fn is_as_mapped(&self, address: u64) -> bool {
        let page = usize::try_from(address / PAGE).ok();
        let info = page.and_then(|page| self.process.pagemap().ok()?.get_info(page).ok());
        let file = MemoryPageFlags::PRESENT | MemoryPageFlags::FILE;
        matches!(info, Some(PageInfo::MemoryPage(flags)) if flags.contains(file))
    }
}

fn is_memfd(path: &Path) -> bool {
    path.as_os_str().as_bytes().starts_with(b"/memfd:")
}

/// A loadable segment (`PT_LOAD`, elf(5)).
#[derive(Debug)]
struct Segment {
    addresses: Range<u64>,
    /// Where its part of the file ends; as long as itself, if it is text.
    file_end: u64,
}

impl Segment {
    /// Those of the file of which the beginning lies at `start`.
    fn all(memory: &Memory, start: u64) -> Option<Vec<Segment>> {
        let mut page = vec![0; usize::try_from(PAGE).ok()?];
        memory.read(start, &mut page).ok()?;
        Segment::parse(&page, start)
    }

    fn parse(page: &[u8], start: u64) -> Option<Vec<Segment>> {
        let file = FileHeader64::<LittleEndian>::parse(page).ok()?;
        let headers = file.program_headers(LittleEndian, page).ok()?;
        let mut segments = Vec::new();
        let mut bias = None;
        for header in headers
            .iter()
            .filter(|header| header.p_type(LittleEndian) == PT_LOAD)
        {
            let address = header.p_vaddr(LittleEndian);
            // The first is what is mapped at the start.
            let bias = *bias.get_or_insert(start.wrapping_sub(address / PAGE * PAGE));
            let from = bias.wrapping_add(address);
            let (offset, len) = header.file_range(LittleEndian);
            segments.push(Segment {
                addresses: from..from.checked_add(header.p_memsz(LittleEndian))?,
                file_end: offset.checked_add(len)?,
            });
        }
        Some(segments)
    }

    fn holds(&self, address: u64) -> bool {
        self.addresses.contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file's first page with these program headers: type, offset, address, length.
    fn page(headers: &[[u64; 4]]) -> Vec<u8> {
        let mut page = vec![0; 4096];
        // 64 bits, little-endian, version 1; sizes of a header, and where they are.
        page[..7].copy_from_slice(b"\x7FELF\x02\x01\x01");
        page[32] = 64;
        page[54] = 56;
        page[56] = u8::try_from(headers.len()).unwrap();
        for (index, [kind, offset, address, len]) in headers.iter().enumerate() {
            let at = 64 + index * 56;
            page[at] = u8::try_from(*kind).unwrap();
            for (field, word) in [(8, offset), (16, address), (32, len), (40, len)] {
                page[at + field..at + field + 8].copy_from_slice(&word.to_le_bytes());
            }
        }
        page
    }

    #[test]
    fn segments_lie_where_the_file_is_loaded() {
        let headers = [
            [6, 64, 64, 0],
            [1, 0, 0x1000, 0x500],
            [1, 0x1000, 0x2000, 0x1234],
        ];
        let segments = Segment::parse(&page(&headers), 0x7000_0000).unwrap();
        let found: Vec<_> = segments
            .iter()
            .map(|it| (it.addresses.clone(), it.file_end))
            .collect();
        let text = 0x7000_1000..0x7000_2234;
        assert_eq!(found, [(0x7000_0000..0x7000_0500, 0x500), (text, 0x2234)]);
    }

    #[test]
    fn what_is_no_file_has_no_segments() {
        assert!(Segment::parse(&[0; 4096], 0x7000_0000).is_none());
        let mut cut = page(&[[1, 0, 0, 0x500]]);
        cut.truncate(80);
        assert!(Segment::parse(&cut, 0x7000_0000).is_none());
        assert!(Segment::parse(&page(&[[1, 0, 0, u64::MAX]]), 0x7000_0000).is_none());
    }

    #[test]
    fn padding_is_behind_the_text_of_this_program() {
        let own = std::process::id();
        let (memory, mappings) = (Memory::open(own).unwrap(), Mappings::of(own).unwrap());
        let code = padding_is_behind_the_text_of_this_program as fn() as usize as u64;
        let padding = mappings.padding(&memory, &(code..code + 2)).unwrap();
        let text = mappings.text(&(code..code + 2)).unwrap();
        assert!(text.address.0 < padding.start && padding.end <= text.address.1);
        assert_eq!(padding.end % PAGE, 0);
        assert!(padding.end - padding.start < PAGE);
        assert!(mappings.is_as_mapped(padding.start));
        let data = std::ptr::from_ref(&memory) as u64;
        assert!(!mappings.is_as_mapped(data));
        assert!(mappings.padding(&memory, &(data..data + 2)).is_none());
    }
}
