//! What kind of program a daemon is: only one that calls a glibc of this machine's kind can
//! have a library preloaded.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A daemon.
#[derive(Debug)]
pub(crate) struct Program {
    /// Where it lies.
    pub(crate) path: PathBuf,
}

/// There is no such program.
#[derive(Debug, Error)]
#[error("{}: not found", .0.display())]
pub(crate) struct NotFound(PathBuf);

/// Why a program runs plain.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub(crate) enum Obstacle {
    #[error("it is linked statically, so nothing can be preloaded into it")]
    Static,
    #[error("it is written in Go, whose programs do not call libc")]
    Go,
    #[error("it uses a libc other than glibc")]
    OtherLibc,
    #[error("it is not a 64-bit x86 program")]
    OtherMachine,
    #[error("it is set-user-ID or set-group-ID, and the loader then preloads nothing")]
    SetId,
}

/// elf(5).
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const EM_X86_64: u16 = 62;
/// A longer note or interpreter is not looked at.
const MOST: usize = 64 * 1024;

impl Program {
    /// As execvp(3).
    pub(crate) fn find(name: &OsStr) -> Result<Program, NotFound> {
        let named = Path::new(name);
        let found = if named.components().count() > 1 || named.is_absolute() {
            Some(named.to_owned()).filter(|path| path.is_file())
        } else {
            let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
            let places: Vec<_> = env::split_paths(&path).collect();
            let mut candidates = places.iter().map(|dir| dir.join(named));
            candidates.find(|path| is_executable(path))
        };
        found
            .map(|path| Program { path })
            .ok_or_else(|| NotFound(named.to_owned()))
    }

    /// Why nothing can be preloaded; `None` when nothing speaks against it.
    pub(crate) fn obstacle(&self) -> Option<Obstacle> {
        // What cannot be read may still run.
        let file = File::open(&self.path).ok()?;
        let mode = file.metadata().ok()?.mode();
        if mode & 0o6000 != 0 {
            return Some(Obstacle::SetId);
        }
        obstacle_of(&file).ok().flatten()
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
}

fn obstacle_of(mut file: &File) -> io::Result<Option<Obstacle>> {
    let mut header = [0; 64];
    file.read_exact(&mut header)?;
    if !header.starts_with(b"\x7fELF") {
        // A script; its interpreter is a program of its own.
        return Ok(None);
    }
    let machine = u16::from_le_bytes([header[18], header[19]]);
    if header[4..6] != [2, 1] || machine != EM_X86_64 {
        return Ok(Some(Obstacle::OtherMachine));
    }
    let segments = segments(file, &header)?;
    let of = |kind| segments.iter().filter(move |segment| segment.kind == kind);
    for note in of(PT_NOTE) {
        if is_go(&note.read(file)?) {
            return Ok(Some(Obstacle::Go));
        }
    }
    let Some(interpreter) = of(PT_INTERP).next() else {
        return Ok(Some(Obstacle::Static));
    };
    let is_glibc = interpreter
        .read(file)?
        .windows(8)
        .any(|part| part == b"ld-linux");
    Ok((!is_glibc).then_some(Obstacle::OtherLibc))
}

struct Segment {
    kind: u32,
    offset: u64,
    len: u64,
}

impl Segment {
    fn read(&self, file: &File) -> io::Result<Vec<u8>> {
        let len = usize::try_from(self.len).map_or(MOST, |len| len.min(MOST));
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, self.offset)?;
        Ok(bytes)
    }
}

/// The program headers.
fn segments(file: &File, header: &[u8; 64]) -> io::Result<Vec<Segment>> {
    let start = word(header, 32);
    let size = u64::from(u16::from_le_bytes([header[54], header[55]]));
    let number = u64::from(u16::from_le_bytes([header[56], header[57]]));
    (0..number)
        .map(|index| {
            let mut bytes = [0; 56];
            file.read_exact_at(&mut bytes, start.saturating_add(index * size))?;
            Ok(Segment {
                kind: u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
                offset: word(&bytes, 8),
                len: word(&bytes, 32),
            })
        })
        .collect()
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
    word.map_or(0, |word| u64::from_le_bytes(*word))
}

/// Go's linker leaves a note of its own: 4 bytes of name, type 4 (cmd/link's `buildid`).
fn is_go(note: &[u8]) -> bool {
    note.windows(16)
        .any(|part| part[..4] == [4, 0, 0, 0] && part[8..] == *b"\x04\0\0\0Go\0\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_program_can_be_served() {
        let program = Program::find(OsStr::new("ls")).unwrap();
        assert_eq!(program.obstacle(), None);
        assert!(Program::find(OsStr::new("no-such-daemon")).is_err());
        assert!(Program::find(OsStr::new("/no/such/daemon")).is_err());
    }

    #[test]
    fn gos_note_is_known() {
        let mut note = vec![0; 20];
        note.extend(b"\x04\0\0\0\x53\0\0\0\x04\0\0\0Go\0\0abcdef");
        assert!(is_go(&note));
        note[33] = b'N';
        assert!(!is_go(&note));
    }

    #[test]
    fn a_program_for_nothing_known_runs_plain() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon");
        let mut header = [0; 64];
        header[..6].copy_from_slice(b"\x7fELF\x01\x01");
        std::fs::write(&path, header).unwrap();
        let obstacle = |path: &Path| {
            Program {
                path: path.to_owned(),
            }
            .obstacle()
        };
        assert_eq!(obstacle(&path), Some(Obstacle::OtherMachine));
        header[4] = 2;
        header[18] = 62;
        std::fs::write(&path, header).unwrap();
        assert_eq!(obstacle(&path), Some(Obstacle::Static));
        std::fs::write(&path, format!("#!/bin/sh{}", " ".repeat(64))).unwrap();
        assert_eq!(obstacle(&path), None);
    }
}
