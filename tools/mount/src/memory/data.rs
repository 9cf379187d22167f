//! A file's contents: pages that exist and holes between them.

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::Answer;
use super::space::Space;

pub(super) const PAGE: usize = 4096;
const PAGE_U64: u64 = PAGE as u64;
/// Linux: `MAX_LFS_FILESIZE`.
pub(super) const LARGEST: u64 = i64::MAX.cast_unsigned();

type Page = Box<[u8; PAGE]>;

/// Bytes past the end inside an existing page are always zero.
#[derive(Debug, Default)]
pub(super) struct Data {
    pages: BTreeMap<u64, Page>,
    len: u64,
}

/// The part of one page that a range covers.
struct Piece {
    page: u64,
    start: usize,
    end: usize,
}

fn pieces(offset: u64, length: u64) -> impl Iterator<Item = Piece> {
    let end = offset + length;
    let mut at = offset;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let page = at / PAGE_U64;
        let stop = end.min((page + 1) * PAGE_U64);
        let piece = Piece {
            page,
            start: within(at),
            end: within(stop - 1) + 1,
        };
        at = stop;
        Some(piece)
    })
}

fn within(offset: u64) -> usize {
    usize::try_from(offset % PAGE_U64).unwrap_or_default()
}

fn zeroed() -> Page {
    Box::new([0; PAGE])
}

impl Data {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn pages(&self) -> u64 {
        self.pages.len() as u64
    }

    /// Reads what there is of `size` bytes into `out`.
    pub(super) fn read(&self, offset: u64, size: u64, out: &mut Vec<u8>) {
        out.clear();
        let size = size.min(self.len.saturating_sub(offset));
        out.reserve(usize::try_from(size).unwrap_or_default());
        for piece in pieces(offset, size) {
            match self.pages.get(&piece.page) {
                Some(page) => out.extend_from_slice(&page[piece.start..piece.end]),
                None => out.resize(out.len() + piece.end - piece.start, 0),
            }
        }
    }

    /// Writes as much as there is space for; fails when that is nothing.
    pub(super) fn write(&mut self, offset: u64, data: &[u8], space: &Space) -> Answer<usize> {
        let room = LARGEST
            .checked_sub(offset)
            .filter(|room| *room > 0 || data.is_empty())
            .ok_or(Errno::FBIG)?;
        let length = (data.len() as u64).min(room);
        let mut done = 0;
        for piece in pieces(offset, length) {
            let size = piece.end - piece.start;
            match self.page_mut(piece.page, space) {
                Ok(page) => page[piece.start..piece.end].copy_from_slice(&data[done..done + size]),
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
            done += size;
        }
        self.len = self.len.max(offset + done as u64);
        Ok(done)
    }

    fn page_mut(&mut self, page: u64, space: &Space) -> Answer<&mut Page> {
        use std::collections::btree_map::Entry;
        match self.pages.entry(page) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                space.take(PAGE_U64)?;
                Ok(entry.insert(zeroed()))
            }
        }
    }

    pub(super) fn truncate(&mut self, len: u64, space: &Space) -> Answer<()> {
        if len > LARGEST {
            return Err(Errno::FBIG);
        }
        if len < self.len {
            let kept = len.div_ceil(PAGE_U64);
            self.drop_pages(kept, u64::MAX, space);
            if within(len) > 0
                && let Some(page) = self.pages.get_mut(&(len / PAGE_U64))
            {
                page[within(len)..].fill(0);
            }
        }
        self.len = len;
        Ok(())
    }

    /// Frees the pages `from..to`.
    fn drop_pages(&mut self, from: u64, to: u64, space: &Space) {
        let mut rest = self.pages.split_off(&from);
        let mut kept = rest.split_off(&to);
        space.give_back(rest.len() as u64 * PAGE_U64);
        self.pages.append(&mut kept);
    }

    /// Gives every page of the range, or none.
    pub(super) fn allocate(
        &mut self,
        offset: u64,
        length: u64,
        keep_size: bool,
        space: &Space,
    ) -> Answer<()> {
        let end = offset
            .checked_add(length)
            .filter(|end| *end <= LARGEST)
            .ok_or(Errno::FBIG)?;
        let (from, to) = (offset / PAGE_U64, end.div_ceil(PAGE_U64));
        let present = self.pages.range(from..to).count() as u64;
        space.take((to - from - present) * PAGE_U64)?;
        for page in from..to {
            self.pages.entry(page).or_insert_with(zeroed);
        }
        if !keep_size {
            self.len = self.len.max(end);
        }
        Ok(())
    }

    /// Makes the range a hole: whole pages are freed, the rest is filled with zeros.
    pub(super) fn punch(&mut self, offset: u64, length: u64, space: &Space) {
        let end = offset.saturating_add(length);
        let (from, to) = (offset.div_ceil(PAGE_U64), end / PAGE_U64);
        if from < to {
            self.drop_pages(from, to, space);
        }
        for edge in [offset / PAGE_U64, end / PAGE_U64] {
            let start = offset.max(edge * PAGE_U64);
            let stop = end.min((edge + 1).saturating_mul(PAGE_U64));
            if start < stop
                && let Some(page) = self.pages.get_mut(&edge)
            {
                page[within(start)..=within(stop - 1)].fill(0);
            }
        }
    }

    /// lseek(2), `SEEK_DATA`.
    pub(super) fn next_data(&self, offset: u64) -> Answer<u64> {
        let (page, _) = self
            .pages
            .range(offset / PAGE_U64..)
            .next()
            .ok_or(Errno::NXIO)?;
        let found = offset.max(page * PAGE_U64);
        if found < self.len {
            Ok(found)
        } else {
            Err(Errno::NXIO)
        }
    }

    /// lseek(2), `SEEK_HOLE`; there is one at the end of every file.
    pub(super) fn next_hole(&self, offset: u64) -> Answer<u64> {
        if offset >= self.len {
            return Err(Errno::NXIO);
        }
        let first = offset / PAGE_U64;
        let mut hole = first;
        for page in self.pages.range(first..).map(|(page, _)| *page) {
            if page != hole {
                break;
            }
            hole += 1;
        }
        Ok(offset.max(hole * PAGE_U64).min(self.len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(data: &Data) -> Vec<u8> {
        let mut out = Vec::new();
        data.read(0, data.len(), &mut out);
        out
    }

    #[test]
    fn holes_read_as_zeros_and_take_no_space() {
        let space = Space::new(1 << 20);
        let mut data = Data::default();
        assert_eq!(data.write(3 * PAGE_U64 + 10, b"end", &space), Ok(3));
        assert_eq!(data.pages(), 1);
        assert_eq!(data.next_data(0), Ok(3 * PAGE_U64));
        assert_eq!(data.next_hole(3 * PAGE_U64), Ok(3 * PAGE_U64 + 13));
        let read = all(&data);
        assert!(read[..3 * PAGE + 10].iter().all(|byte| *byte == 0));
        assert_eq!(&read[3 * PAGE + 10..], b"end");
    }

    #[test]
    fn what_truncation_cut_off_does_not_come_back() {
        let space = Space::new(1 << 20);
        let mut data = Data::default();
        assert_eq!(data.write(0, &[7; 2 * PAGE], &space), Ok(2 * PAGE));
        assert_eq!(data.truncate(5, &space), Ok(()));
        assert_eq!(data.truncate(10, &space), Ok(()));
        assert_eq!(all(&data), [7, 7, 7, 7, 7, 0, 0, 0, 0, 0]);
        assert_eq!(space.free(), (1 << 20) - PAGE_U64);
    }

    #[test]
    fn punching_frees_whole_pages_and_clears_the_edges() {
        let space = Space::new(1 << 20);
        let mut data = Data::default();
        assert_eq!(data.write(0, &[1; 4 * PAGE], &space), Ok(4 * PAGE));
        data.punch(PAGE_U64 - 1, 2 * PAGE_U64 + 2, &space);
        assert_eq!(data.pages(), 2);
        let read = all(&data);
        assert_eq!(
            (
                read[PAGE - 2],
                read[PAGE - 1],
                read[3 * PAGE],
                read[3 * PAGE + 1]
            ),
            (1, 0, 0, 1)
        );
        data.punch(2, 3, &space);
        assert_eq!(all(&data)[..6], [1, 1, 0, 0, 0, 1]);
    }

    #[test]
    fn a_write_beyond_the_limit_is_short_and_then_fails() {
        let space = Space::new(2 * PAGE_U64);
        let mut data = Data::default();
        assert_eq!(data.write(0, &[1; 3 * PAGE], &space), Ok(2 * PAGE));
        assert_eq!(data.write(2 * PAGE_U64, &[1], &space), Err(Errno::NOSPC));
        assert_eq!(
            data.allocate(0, 3 * PAGE_U64, false, &space),
            Err(Errno::NOSPC)
        );
        assert_eq!(data.len(), 2 * PAGE_U64);
    }
}
