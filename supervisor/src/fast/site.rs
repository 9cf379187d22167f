//! Rewriting a call site: `mov eax, imm32; syscall` and the like become a jump through the
//! table.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use finesse_agent::layout;
use finesse_notify::Notification;

use procfs::process::{MMPermissions, MMapPath, Process};

use super::Why;
use super::alone::is_alone;
use super::memory::{Memory, not_opened, not_written};
use super::moves;
use crate::report::Note;

const SYSCALL: [u8; 2] = [0x0F, 0x05];
/// The instruction before the call, and the call.
const LEN: u64 = 7;

/// Whether these bytes are text of a file: what programs write themselves may be looked at
/// or written again, through a memfd too, and a shared mapping is the file.
fn is_of_a_file(tid: u32, from: u64, to: u64) -> bool {
    let maps = i32::try_from(tid)
        .ok()
        .and_then(|tid| Process::new(tid).ok()?.maps().ok());
    maps.is_some_and(|maps| {
        maps.iter().any(|map| {
            map.address.0 <= from
                && to <= map.address.1
                && matches!(&map.pathname, MMapPath::Path(path) if !is_memfd(path))
                && map
                    .perms
                    .contains(MMPermissions::PRIVATE | MMPermissions::EXECUTE)
                && !map.perms.contains(MMPermissions::WRITE)
        })
    })
}

fn is_memfd(path: &Path) -> bool {
    path.as_os_str().as_bytes().starts_with(b"/memfd:")
}

/// What kind of instruction gives way.
mod class {
    use super::Class;

    pub(super) const SETS_NUMBER: Class = "mov eax, imm32";
    pub(super) const LOADS_LAST: Class = "mov r9, [rsp+8]";
    pub(super) const BEFORE_MOVES: Class = "moves before the call";
}

/// An instruction before a call, as reports have it.
type Class = &'static str;

/// The instruction before the call that gives way, if it is one that may: `text` is the
/// byte before it, itself and the call.
fn displaced(text: [u8; 8], number: i32) -> Option<(Class, [u8; 5])> {
    let [before, a, b, c, d, e, call @ ..] = text;
    let instruction = [a, b, c, d, e];
    // mov eax, imm32; after a REX prefix it would be another instruction.
    let sets_number = a == 0xB8 && [b, c, d, e] == number.to_le_bytes() && before & 0xF0 != 0x40;
    // mov r9, [rsp+8], as in syscall(3).
    let loads_last = instruction == [0x4C, 0x8B, 0x4C, 0x24, 0x08];
    let class = if sets_number {
        class::SETS_NUMBER
    } else if loads_last {
        class::LOADS_LAST
    } else {
        return None;
    };
    (call == SYSCALL).then_some((class, instruction))
}

fn read(memory: &Memory, address: u64, bytes: &mut [u8]) -> Result<(), Why> {
    memory
        .read(address, bytes)
        .map_err(|_| "its text cannot be read")
}

fn write(memory: &Memory, address: u64, bytes: &[u8]) -> Result<(), Why> {
    memory
        .write(address, bytes)
        .map_err(|error| not_written(&error))
}

/// The sites of one target.
#[derive(Debug)]
pub(super) struct Sites {
    base: u64,
    seen: HashSet<u64>,
    /// Those of `seen` that may be looked at again.
    put_off: HashSet<u64>,
    stubs: u64,
}

impl Sites {
    pub(super) fn new(base: u64) -> Self {
        Sites {
            base,
            seen: HashSet::new(),
            put_off: HashSet::new(),
            stubs: 0,
        }
    }

    /// Rewrites the site of a call that trapped, if it can be. What became of it, when that is
    /// news.
    pub(super) fn rewrite(&mut self, notification: &Notification) -> Option<Note> {
        let after = notification.returns_to();
        if self.seen.contains(&after) {
            return None;
        }
        if !finesse_agent::knows(notification.number()) {
            // syscall(3) has one site for all calls.
            return self.put_off(after, "the agent does not know the call");
        }
        // Once there are threads there will be; a child of vfork(2) goes soon.
        if !is_alone(notification.tid()) {
            return self.put_off(after, "threads, or a child, run in its memory");
        }
        self.seen.insert(after);
        let note = match self.try_rewrite(notification) {
            Ok(class) => Note::Rewritten(class),
            Err(why) => Note::Left(why),
        };
        tracing::debug!("site {after:#x}: {note:?}");
        Some(note)
    }

    /// Leaves a site for now; the news is told once.
    fn put_off(&mut self, site: u64, why: Why) -> Option<Note> {
        self.put_off.insert(site).then_some(Note::Left(why))
    }

    fn try_rewrite(&mut self, notification: &Notification) -> Result<Class, Why> {
        let (tid, after) = (notification.tid(), notification.returns_to());
        let site = after - 2;
        let start = after - LEN;
        if !is_of_a_file(tid, start - 1, after) {
            return Err("it is not text of a file");
        }
        let memory = Memory::open(tid).map_err(|error| not_opened(&error))?;
        let mut text = [0; 8];
        read(&memory, start - 1, &mut text)?;
        let Some((class, displaced)) = displaced(text, notification.number()) else {
            return self.rewrite_before_moves(&memory, notification);
        };
        if self.stubs >= layout::MAX_STUBS {
            return Err("no stub is left");
        }
        let stub = self.base + layout::STUBS + self.stubs * layout::STUB;
        let word = layout::TABLE + self.stubs * 8;
        write(&memory, stub, &self.stub(stub, &displaced, after, site))?;
        write(&memory, word, &stub.to_le_bytes())?;
        // jmp [disp32]; the displacement's upper half is the call itself.
        let [low, high, ..] = word.to_le_bytes();
        write(&memory, start, &[0xFF, 0x24, 0x25, low, high])?;
        self.stubs += 1;
        Ok(class)
    }

    /// As [`moves`] has it: the first instruction becomes a jump to a jump to the stub, where
    /// the text is near enough to the table.
    fn rewrite_before_moves(
        &mut self,
        memory: &Memory,
        notification: &Notification,
    ) -> Result<Class, Why> {
        let (tid, after) = (notification.tid(), notification.returns_to());
        let mut text = [0; moves::LONGEST];
        read(memory, after - moves::LONGEST as u64, &mut text)?;
        let displaced =
            moves::before_call(&text, notification.number()).ok_or("unfamiliar instructions")?;
        let site = after - SYSCALL.len() as u64;
        let start = site - displaced.len() as u64;
        let near = layout::TABLE + layout::NEAR + self.stubs * layout::NEAR_LEN;
        let distance = near.wrapping_sub(start + moves::JUMP).cast_signed();
        let distance = i32::try_from(distance).map_err(|_| "it is too far from the table")?;
        if !is_of_a_file(tid, start - 1, after) {
            return Err("it is not text of a file");
        }
        if self.stubs >= layout::MAX_STUBS {
            return Err("no stub is left");
        }
        let stub = self.base + layout::STUBS + self.stubs * layout::STUB;
        write(memory, stub, &self.stub(stub, displaced, after, site))?;
        // jmp [rip]; the address follows.
        let jump = [[0xFF, 0x25, 0, 0, 0, 0].as_slice(), &stub.to_le_bytes()].concat();
        write(memory, near, &jump)?;
        let jump = [[0xE9].as_slice(), &distance.to_le_bytes()].concat();
        write(memory, start, &jump)?;
        self.stubs += 1;
        Ok(class::BEFORE_MOVES)
    }

    /// The displaced instructions, the descriptor into r11, a jump to the agent; at 40 the
    /// descriptor: the call, a jump back, where to, where the site's own call is.
    fn stub(&self, at: u64, displaced: &[u8], after: u64, site: u64) -> [u8; 64] {
        const DESCRIPTOR: u64 = 40;
        let mut stub = [0xCC; 64];
        let mut put = |offset: usize, bytes: &[u8]| {
            stub[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        let relative = |from: u64, to: u64| {
            let [a, b, c, d, ..] = to.wrapping_sub(from).to_le_bytes();
            [a, b, c, d]
        };
        let len = displaced.len();
        let end = at + len as u64;
        put(0, displaced);
        put(len, &[0x4C, 0x8D, 0x1D]);
        put(len + 3, &relative(end + 7, at + DESCRIPTOR));
        put(len + 7, &[0xE9]);
        let entry = self.base + finesse_agent::entry();
        put(len + 8, &relative(end + 12, entry));
        put(40, &SYSCALL);
        // jmp [rip]; 8 bytes on from the descriptor.
        put(42, &[0xFF, 0x25, 0, 0, 0, 0]);
        put(48, &after.to_le_bytes());
        put(56, &site.to_le_bytes());
        stub
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNLINK: [u8; 8] = [0x90, 0xB8, 87, 0, 0, 0, 0x0F, 0x05];

    #[test]
    fn only_familiar_code_gives_way() {
        assert_eq!(
            displaced(UNLINK, 87),
            Some((class::SETS_NUMBER, [0xB8, 87, 0, 0, 0]))
        );
        let syscall3 = [0x90, 0x4C, 0x8B, 0x4C, 0x24, 0x08, 0x0F, 0x05];
        assert_eq!(
            displaced(syscall3, 5),
            Some((class::LOADS_LAST, [0x4C, 0x8B, 0x4C, 0x24, 0x08]))
        );
        for (at, byte) in [(0, 0x41), (1, 0xB9), (2, 88), (5, 1), (6, 0x0E), (7, 0x34)] {
            let mut other = UNLINK;
            other[at] = byte;
            assert_eq!(displaced(other, 87), None, "{other:x?}");
        }
    }

    #[test]
    fn a_site_jumps_to_its_stub_and_the_stub_back() {
        let sites = Sites::new(0x1234_0000_0000);
        let at = 0x1234_0001_0040;
        let stub = sites.stub(at, &[0xB8, 87, 0, 0, 0], 0x40_1007, 0x40_1005);
        let relative = |offset: usize| {
            let bytes = stub[offset..offset + 4].try_into().unwrap();
            i64::from(i32::from_le_bytes(bytes))
        };
        let target = |end: i64, offset: usize| at.cast_signed() + end + relative(offset);
        assert_eq!(target(12, 8), at.cast_signed() + 40);
        let entry = 0x1234_0000_0000 + finesse_agent::entry().cast_signed();
        assert_eq!(target(17, 13), entry);
        assert_eq!(stub[40..42], SYSCALL);
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
