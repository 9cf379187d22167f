//! Sites where moves between registers stand between `mov eax, imm32` and the call, as in
//! musl, and musl's syscall(3).
//!
//! Only the first of these instructions is overwritten, which is long enough for a jump;
//! whoever comes to a later one by a way of its own finds it as it was. That the first is an
//! instruction is as sure as it is directly before a call: it names the number of the call
//! that trapped, and from it on the bytes are read as the processor reads them.

/// Longest text that is looked at, the byte before the first instruction and the call included.
pub(super) const LONGEST: usize = 1 + MOST + 2;
/// Longest instructions that a stub takes.
pub(super) const MOST: usize = 28;

/// musl's syscall(3): the seventh argument's place, and the third and fourth words of the list.
const LOADS: [u8; 15] = [
    0xC7, 0x04, 0x24, 0x08, 0, 0, 0, // mov dword ptr [rsp], 8
    0x48, 0x8B, 0x72, 0x10, // mov rsi, [rdx+16]
    0x48, 0x8B, 0x52, 0x18, // mov rdx, [rdx+24]
];

/// The instructions that the stub executes before the call; `text` ends with that.
pub(super) fn before_call(text: &[u8], number: i32) -> Option<&[u8]> {
    let code = text.strip_suffix(&[0x0F, 0x05])?;
    if code.ends_with(&LOADS) {
        return Some(&code[code.len() - LOADS.len()..]);
    }
    let (displaced, found) = number_and_moves(code)?;
    (found == number).then_some(displaced)
}

/// `mov eax, imm32` and the moves that `code` ends with, which may be none, and that number.
pub(super) fn number_and_moves(code: &[u8]) -> Option<(&[u8], i32)> {
    (1..code.len()).rev().find_map(|start| {
        let (number, moves) = code[start..].strip_prefix(&[0xB8])?.split_first_chunk()?;
        // After a REX prefix it would be another instruction.
        let is_whole = code[start - 1] & 0xF0 != 0x40 && are_moves(moves);
        is_whole.then_some((&code[start..], i32::from_le_bytes(*number)))
    })
}

fn are_moves(mut code: &[u8]) -> bool {
    while !code.is_empty() {
        let Some(rest) = after_move(code) else {
            return false;
        };
        code = rest;
    }
    true
}

/// What comes after an instruction that does nothing but set a register of an argument, from
/// another register or to a constant.
fn after_move(code: &[u8]) -> Option<&[u8]> {
    let low = |modrm: u8, rex: u8| modrm & 7 | (rex & 1) << 3;
    let middle = |modrm: u8, rex: u8| modrm >> 3 & 7 | (rex & 4) << 1;
    let (destination, rest) = match *code {
        // mov r64, r64
        [rex @ 0x48..=0x4F, 0x89, modrm @ 0xC0..=0xFF, ref rest @ ..] => (low(modrm, rex), rest),
        // movsxd r64, r32
        [rex @ 0x48..=0x4F, 0x63, modrm @ 0xC0..=0xFF, ref rest @ ..] => (middle(modrm, rex), rest),
        // mov r32, r32
        [0x89, modrm @ 0xC0..=0xFF, ref rest @ ..] => (low(modrm, 0), rest),
        // mov r32, imm32
        [opcode @ 0xB8..=0xBF, _, _, _, _, ref rest @ ..] => (opcode & 7, rest),
        _ => return None,
    };
    // rdx, rsi, rdi, r8, r9, r10
    matches!(destination, 2 | 6..=10).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(code: &[u8]) -> Vec<u8> {
        [&[0x90; 9], code, &[0x0F, 0x05]].concat()
    }

    fn is_found(code: &[u8]) -> bool {
        before_call(&text(code), 137) == Some(code)
    }

    /// mov eax, 137
    const SETS: [u8; 5] = [0xB8, 137, 0, 0, 0];

    #[test]
    fn what_musl_has_is_found() {
        let forms: [&[u8]; 6] = [
            // statfs: mov rdi, r8
            &[0x4C, 0x89, 0xC7],
            // fstatat: mov rdi, rbp; mov rsi, r9
            &[0x48, 0x89, 0xEF, 0x4C, 0x89, 0xCE],
            // faccessat: mov rdi, r13; mov rsi, rbx; mov rdx, r14
            &[0x4C, 0x89, 0xEF, 0x48, 0x89, 0xDE, 0x4C, 0x89, 0xF2],
            // fchmodat: mov edx, imm32
            &[0xBA, 0, 1, 0x2A, 0],
            // movsxd rdi, r8d; mov edx, edx
            &[0x49, 0x63, 0xF8, 0x89, 0xD2],
            // mov r10, rcx
            &[0x49, 0x89, 0xCA],
        ];
        for moves in forms {
            assert!(is_found(&[&SETS, moves].concat()), "{moves:x?}");
        }
        assert!(is_found(&LOADS));
    }

    #[test]
    fn other_code_stays() {
        let others: [&[u8]; 9] = [
            // mov rax, r12: another number
            &[0x4C, 0x89, 0xE0],
            // mov ebx, imm32, mov rsp, rdi
            &[0xBB, 0, 0, 0, 0],
            &[0x48, 0x89, 0xFC],
            // mov [rdi], rsi
            &[0x48, 0x89, 0x37],
            // je, push, call
            &[0x74, 0],
            &[0x57],
            &[0xE8, 0, 0, 0, 0],
            // a move of which the end is missing
            &[0x48, 0x89],
            &[0xBA, 0, 0],
        ];
        for other in others {
            assert!(!is_found(&[&SETS, other].concat()), "{other:x?}");
        }
        let moves = [0x4C, 0x89, 0xC7];
        let mut wrong = [&SETS[..], &moves].concat();
        wrong[1] = 138;
        assert_eq!(before_call(&text(&wrong), 137), None, "another number");
        let after_rex = [&[0x41], &SETS[..], &moves].concat();
        assert_eq!(before_call(&text(&after_rex), 137), None, "mov r9d");
        assert_eq!(before_call(&[&SETS[..], &moves].concat(), 137), None);
        let mut other = LOADS;
        other[10] = 0x18;
        assert!(!is_found(&other));
    }
}
