//! A call site: the call, and the instructions before it that may give way to a jump.

use finesse_agent::layout;

use super::Why;
use super::memory::Memory;
use super::moves;
use super::text::{Mappings, PAGE};

pub(super) const SYSCALL: [u8; 2] = [0x0F, 0x05];
/// Length of a jump to within 2 GiB.
const NEAR: usize = 5;
/// Length of a [`detour`].
pub(super) const DETOUR: usize = 40;

pub(super) const TOO_FAR: Why = "it is too far from the table";

/// What kind of instruction gives way.
mod class {
    use super::Class;

    pub(super) const SETS_NUMBER: Class = "mov eax, imm32";
    pub(super) const LOADS_LAST: Class = "mov r9, [rsp+8]";
    pub(super) const BEFORE_MOVES: Class = "moves before the call";
    pub(super) const MOVES: Class = "moves between registers, as in Go";
}

/// An instruction before a call, as reports have it.
pub(super) type Class = &'static str;

/// mov r9, [rsp+8], as in syscall(3).
const LOADS_LAST: [u8; NEAR] = [0x4C, 0x8B, 0x4C, 0x24, 0x08];
/// mov eax, imm32
const SETS_NUMBER: u8 = 0xB8;
/// The last moves of `Syscall6` (runtime/internal/syscall/asm_linux_amd64.s of Go): mov rdx, rdi;
/// mov rsi, rcx; mov rdi, rbx.
const MOVES: [u8; 9] = [0x48, 0x89, 0xFA, 0x48, 0x89, 0xCE, 0x48, 0x89, 0xDF];
/// lea rdi, [rip+disp32], as musl has it before set_tid_address(2), without the displacement.
const LOADS_FIRST: [u8; 3] = [0x48, 0x8D, 0x3D];
/// Its length.
const LOAD_LEN: usize = 7;
/// jmp [disp32], without the displacement.
const JUMP_THROUGH: [u8; 3] = [0xFF, 0x24, 0x25];

/// A site as it was. A jump is written over the first of the instructions that give way;
/// whoever comes to a later one, or to the call, finds it as it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Site {
    after: u64,
    displaced: Vec<u8>,
    /// Not the call but [`LOADS_FIRST`] comes next: it may lead to the bootstrap, which changes
    /// no register but rcx and r11, and stands for the call then.
    loads_next: bool,
}

impl Site {
    /// The site of call `number` that returns to `after`.
    pub(super) fn read(
        memory: &Memory,
        mappings: &Mappings,
        after: u64,
        number: i32,
    ) -> Result<Site, Why> {
        let mut text = [0; moves::LONGEST];
        after
            .checked_sub(text.len() as u64)
            .and_then(|from| memory.read(from, &mut text).ok())
            .ok_or("its text cannot be read")?;
        let site = Site::parse(&text, after, number).ok_or("unfamiliar instructions")?;
        if !site.is_text(mappings) {
            return Err("it is not text of a file");
        }
        if !site.is_on_one_page() {
            return Err("it lies across pages");
        }
        if site.jump(0).is_none() {
            return Err(TOO_FAR);
        }
        Ok(site)
    }

    /// Or half of it might be written.
    pub(super) fn is_on_one_page(&self) -> bool {
        self.start() / PAGE == (self.after - 1) / PAGE
    }

    /// What call returns to `after`, if `text`, which ends with it, can give way whatever came
    /// before: the site, and the call's number if that is the same each time.
    pub(super) fn find(text: &[u8], after: u64) -> Option<(Site, Option<i32>)> {
        let code = text.strip_suffix(&SYSCALL)?;
        let site = |displaced: &[u8]| Site {
            after,
            displaced: displaced.to_vec(),
            loads_next: false,
        };
        if code.ends_with(&MOVES) {
            return Some((site(&MOVES), None));
        }
        if let Some((displaced, number)) = moves::number_and_moves(code) {
            return Some((site(displaced), Some(number)));
        }
        let (code, load) = code.split_last_chunk::<LOAD_LEN>()?;
        let (displaced, number) = moves::number_and_moves(code)?;
        // What loads an address relative to itself stays where it is.
        let site = Site {
            after: after.checked_sub(LOAD_LEN as u64)?,
            loads_next: true,
            ..site(displaced)
        };
        (load.starts_with(&LOADS_FIRST) && displaced.len() == NEAR).then_some((site, Some(number)))
    }

    /// `text` ends with the call.
    fn parse(text: &[u8], after: u64, number: i32) -> Option<Site> {
        let code = text.strip_suffix(&SYSCALL)?;
        let fixed = [LOADS_LAST.as_slice(), &MOVES];
        let displaced = match fixed.into_iter().find(|fixed| code.ends_with(fixed)) {
            Some(displaced) => displaced,
            None => moves::before_call(text, number)?,
        };
        Some(Site {
            after,
            displaced: displaced.to_vec(),
            loads_next: false,
        })
    }

    /// Whether it, and the byte before it, are text of a file.
    pub(super) fn is_text(&self, mappings: &Mappings) -> bool {
        let bytes = self.start().saturating_sub(1)..self.after;
        mappings.text(&bytes).is_some()
    }

    /// What the site may be that has its call there, and of which `copy` begins with the
    /// instructions that gave way.
    pub(super) fn possible(call: u64, copy: &[u8]) -> impl Iterator<Item = Site> {
        (NEAR..=moves::MOST)
            .flat_map(|len| [(len, false), (len, true)])
            .filter_map(move |(len, loads_next)| {
                call.checked_sub(len as u64)?;
                Some(Site {
                    after: call.checked_add(SYSCALL.len() as u64)?,
                    displaced: copy.get(..len)?.to_vec(),
                    loads_next,
                })
            })
    }

    /// Whether it has given way to a jump to there.
    pub(super) fn jumps_to(&self, memory: &Memory, at: u64) -> bool {
        let (mut jump, mut next) = ([0; NEAR], [0; 3]);
        memory.read(self.start(), &mut jump).is_ok()
            && memory.read(self.call(), &mut next).is_ok()
            && Some(jump) == near_jump(self.start(), at)
            && match self.loads_next {
                true => next == LOADS_FIRST,
                false => next.starts_with(&SYSCALL),
            }
    }

    /// Where the call returns to.
    pub(super) fn after(&self) -> u64 {
        self.after
    }

    /// Where the call is.
    pub(super) fn call(&self) -> u64 {
        self.after - SYSCALL.len() as u64
    }

    /// Where the first instruction is that gives way.
    pub(super) fn start(&self) -> u64 {
        self.call() - self.displaced.len() as u64
    }

    pub(super) fn displaced(&self) -> &[u8] {
        &self.displaced
    }

    pub(super) fn class(&self) -> Class {
        match *self.displaced {
            [SETS_NUMBER, _, _, _, _] => class::SETS_NUMBER,
            _ if self.displaced == LOADS_LAST => class::LOADS_LAST,
            _ if self.displaced == MOVES => class::MOVES,
            _ => class::BEFORE_MOVES,
        }
    }

    /// How it is made to lead to stub `number`; none if that is too far.
    pub(super) fn jump(&self, number: u64) -> Option<Jump> {
        if self.loads_next {
            return None;
        }
        // jmp [disp32]
        let [a, b, c] = JUMP_THROUGH;
        if self.displaced.len() == NEAR {
            let word = layout::TABLE + number * 8;
            // The displacement's upper half is the call itself.
            let [low, high, ..] = word.to_le_bytes();
            let code = vec![a, b, c, low, high];
            return Some(Jump {
                code,
                at: word,
                leads: Leads::Through,
            });
        }
        if self.displaced == MOVES {
            // The displacement is what comes next.
            let (code, at) = (vec![a, b, c], layout::MOVES_WORD);
            return Some(Jump {
                code,
                at,
                leads: Leads::Through,
            });
        }
        let at = near_place(number);
        let code = near_jump(self.start(), at)?.to_vec();
        Some(Jump {
            code,
            at,
            leads: Leads::To,
        })
    }

    /// Whether a jump to anywhere near may be written over its first instruction.
    pub(super) fn has_room_for_jump(&self) -> bool {
        self.displaced != MOVES
    }
}

/// What is written over a site, and what it hangs on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Jump {
    pub(super) code: Vec<u8>,
    /// An address in the table.
    pub(super) at: u64,
    leads: Leads,
}

/// How a jump leads to the stub.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Leads {
    /// The stub's address is to be there.
    Through,
    /// It jumps there, and that is to jump to the stub.
    To,
}

impl Jump {
    /// What is to stand in the table.
    pub(super) fn word(&self, stub: u64) -> Vec<u8> {
        let address = stub.to_le_bytes();
        match self.leads {
            Leads::Through => address.to_vec(),
            // jmp [rip]; the address follows.
            Leads::To => [[0xFF, 0x25, 0, 0, 0, 0].as_slice(), &address].concat(),
        }
    }
}

/// The displaced instructions, the address at [`DETOUR`] into r11, a jump.
pub(super) fn detour(at: u64, displaced: &[u8], to: u64) -> [u8; DETOUR] {
    let mut code = [0xCC; DETOUR];
    let mut len = 0;
    let mut put = |bytes: &[u8]| {
        code[len..len + bytes.len()].copy_from_slice(bytes);
        len += bytes.len();
        at + len as u64
    };
    let relative = |from: u64, to: u64| {
        let [a, b, c, d, ..] = to.wrapping_sub(from).to_le_bytes();
        [a, b, c, d]
    };
    put(displaced);
    let next = put(&[0x4C, 0x8D, 0x1D]) + 4;
    put(&relative(next, at + DETOUR as u64));
    let next = put(&[0xE9]) + 4;
    put(&relative(next, to));
    code
}

/// jmp rel32, if that is near enough.
pub(super) fn near_jump(from: u64, to: u64) -> Option<[u8; NEAR]> {
    let distance = to.wrapping_sub(from + NEAR as u64).cast_signed();
    let [a, b, c, d] = i32::try_from(distance).ok()?.to_le_bytes();
    Some([0xE9, a, b, c, d])
}

/// Where the jump of stub `number` lies in the table, for sites that jump there themselves.
pub(super) fn near_place(number: u64) -> u64 {
    layout::TABLE + layout::NEAR + number * layout::NEAR_LEN
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNLINK: [u8; 8] = [0x90, 0xB8, 87, 0, 0, 0, 0x0F, 0x05];

    fn given_way(text: &[u8], number: i32) -> Option<Vec<u8>> {
        let site = Site::parse(text, 0x40_1000, number)?;
        Some(site.displaced)
    }

    #[test]
    fn only_familiar_code_gives_way() {
        assert_eq!(given_way(&UNLINK, 87).as_deref(), Some(&UNLINK[1..6]));
        let syscall3 = [0x90, 0x4C, 0x8B, 0x4C, 0x24, 0x08, 0x0F, 0x05];
        assert_eq!(given_way(&syscall3, 5).as_deref(), Some(&LOADS_LAST[..]));
        for (at, byte) in [(0, 0x41), (1, 0xB9), (2, 88), (5, 1), (6, 0x0E), (7, 0x34)] {
            let mut other = UNLINK;
            other[at] = byte;
            assert_eq!(given_way(&other, 87), None, "{other:x?}");
        }
        let go = [&[0x49, 0x89, 0xF2], &MOVES[..], &SYSCALL].concat();
        assert_eq!(given_way(&go, 5).as_deref(), Some(&MOVES[..]));
        for at in 3..go.len() {
            let mut other = go.clone();
            other[at] ^= 1;
            assert_eq!(given_way(&other, 5), None, "{other:x?}");
        }
    }

    #[test]
    fn what_is_found_in_text_has_one_number_or_any() {
        let find = |text: &[u8]| Site::find(text, 0x40_1000).map(|(_, number)| number);
        assert_eq!(find(&UNLINK), Some(Some(87)));
        assert_eq!(find(&[&MOVES[..], &SYSCALL].concat()), Some(None));
        let loads = [&UNLINK[..6], &LOADS_FIRST, &[1, 2, 3, 4], &SYSCALL].concat();
        let (site, number) = Site::find(&loads, 0x40_1000).unwrap();
        assert_eq!(number, Some(87));
        assert_eq!((site.start(), site.call()), (0x40_0FF2, 0x40_0FF7));
        assert_eq!(site.jump(0), None, "it is not the call that comes next");
        // A function for all calls, of which most are not the agent's.
        assert_eq!(find(&[&[0x90], &LOADS_LAST[..], &SYSCALL].concat()), None);
        assert_eq!(find(&UNLINK[..7]), None);
    }

    #[test]
    fn a_site_is_where_its_instructions_are() {
        let site = Site::parse(&UNLINK, 0x40_1007, 87).unwrap();
        assert_eq!((site.start(), site.call()), (0x40_1000, 0x40_1005));
        assert_eq!(site.class(), class::SETS_NUMBER);
        let jump = site.jump(2).unwrap();
        // jmp [0x050F0010], of which the upper half is the call.
        assert_eq!(jump.code, [0xFF, 0x24, 0x25, 0x10, 0x00]);
        assert_eq!((jump.at, jump.leads), (0x050F_0010, Leads::Through));
        assert_eq!(jump.word(7), 7_u64.to_le_bytes());
    }

    #[test]
    fn sites_of_go_jump_through_what_is_left_of_them() {
        let text = [&MOVES[..], &SYSCALL].concat();
        let site = Site::parse(&text, 0x40_100B, 0).unwrap();
        assert_eq!(site.class(), class::MOVES);
        assert!(!site.has_room_for_jump());
        let jump = site.jump(2).unwrap();
        let written = [&jump.code, &text[jump.code.len()..]].concat();
        assert_eq!(written[..3], JUMP_THROUGH);
        let address = i32::from_le_bytes(written[3..7].try_into().unwrap());
        assert_eq!(u64::try_from(address).unwrap(), jump.at);
        assert_eq!(jump.at / PAGE * PAGE, layout::MOVES_TABLE);
        // What comes behind the jump is as it was.
        assert_eq!(written[7..], text[7..]);
    }

    #[test]
    fn jumps_lead_where_they_shall() {
        let at = 0x1234_0001_0040;
        let code = detour(at, &[0xB8, 87, 0, 0, 0], 0x1234_0000_1000);
        let target = |end: u64, offset: usize| {
            let bytes = code[offset..offset + 4].try_into().unwrap();
            (at + end).wrapping_add_signed(i32::from_le_bytes(bytes).into())
        };
        assert_eq!(target(12, 8), at + DETOUR as u64);
        assert_eq!(target(17, 13), 0x1234_0000_1000);
        assert_eq!(
            near_jump(0x1000, 0x1000),
            Some([0xE9, 0xFB, 0xFF, 0xFF, 0xFF])
        );
        assert_eq!(near_jump(0x1000, 0x1_0000_0000), None);
    }
}
