//! Finding the programs that a comparison or a test starts.

use std::env;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// How to build the static driver, from the workspace's root.
pub const BUILD_DRIVER: &str = "RUSTFLAGS='-C target-feature=+crt-static' cargo build --release -p finesse-driver \
     --target x86_64-unknown-linux-gnu --target-dir target/driver";

/// A program is missing or is not what it has to be.
#[derive(Debug, Clone, Error)]
pub enum ProgramError {
    /// Nothing of that name where it is looked for.
    #[error("{name} was not found beside this program ({dir}) nor in PATH; build it with: cargo build --release -p {package}", dir = .dir.display())]
    Missing {
        /// File name.
        name: &'static str,
        /// Package that builds it.
        package: &'static str,
        /// Where it should have been.
        dir: PathBuf,
    },
    /// No static driver.
    #[error("no static finesse-driver beside this program nor below {target}; build it with:\n  {BUILD_DRIVER}", target = .0.display())]
    NoStaticDriver(PathBuf),
    /// No busybox that nothing can be preloaded into.
    #[error("no static busybox in PATH; on Debian it is the package busybox-static")]
    NoStaticBusybox,
    /// The program's own path is unknown.
    #[error("cannot tell where this program lies: {0}")]
    Unplaced(io::ErrorKind),
}

/// `finesse-mount`: the file systems with both doors.
///
/// # Errors
/// It is missing.
pub fn mount() -> Result<PathBuf, ProgramError> {
    find("finesse-mount", "finesse-mount")
}

/// `finesse-mount-plain`: the same source on plain fuser.
///
/// # Errors
/// It is missing.
pub fn mount_plain() -> Result<PathBuf, ProgramError> {
    find("finesse-mount-plain", "finesse-mount-plain")
}

/// `finesse-serve`; it finds its library beside itself.
///
/// # Errors
/// It is missing.
pub fn serve() -> Result<PathBuf, ProgramError> {
    find("finesse-serve", "finesse-serve -p finesse-serve-library")
}

/// `finesse-run`.
///
/// # Errors
/// It is missing.
pub fn run() -> Result<PathBuf, ProgramError> {
    find("finesse-run", "finesse-supervisor")
}

/// A statically linked busybox in PATH.
///
/// # Errors
/// There is none.
pub fn static_busybox() -> Result<PathBuf, ProgramError> {
    let mut candidates = in_path("busybox");
    candidates
        .find(|path| is_static(path).unwrap_or(false))
        .ok_or(ProgramError::NoStaticBusybox)
}

/// The static driver: `FINESSE_DRIVER`, or beside this program, or below the target directory where
/// [`BUILD_DRIVER`] puts it. A dynamic one is passed over.
///
/// # Errors
/// There is none; the message says how to build it.
pub fn driver() -> Result<PathBuf, ProgramError> {
    let dir = own_dir()?;
    let target = dir.parent().unwrap_or(&dir).to_owned();
    let built = |profile| {
        target
            .join("driver/x86_64-unknown-linux-gnu")
            .join(profile)
            .join("finesse-driver")
    };
    let named = env::var_os("FINESSE_DRIVER").map(PathBuf::from);
    let places = [dir.join("finesse-driver"), built("release"), built("debug")];
    let mut candidates = named.into_iter().chain(places);
    candidates
        .find(|path| is_static(path).unwrap_or(false))
        .ok_or(ProgramError::NoStaticDriver(target))
}

/// Whether the ELF file at `path` asks for no interpreter, so that nothing can be preloaded into it.
///
/// # Errors
/// The file cannot be read, or is no 64-bit little-endian ELF file.
pub fn is_static(path: &Path) -> io::Result<bool> {
    /// `p_type` of the segment that names the interpreter (elf(5)).
    const PT_INTERP: u32 = 3;
    let file = File::open(path)?;
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not a 64-bit ELF file",
        ));
    }
    let table = u64::from_le_bytes(header[32..40].try_into().expect("eight bytes"));
    let size = u64::from(u16::from_le_bytes([header[54], header[55]]));
    let count = u64::from(u16::from_le_bytes([header[56], header[57]]));
    for index in 0..count {
        let mut kind = [0; 4];
        file.read_exact_at(&mut kind, table.saturating_add(index * size))?;
        if u32::from_le_bytes(kind) == PT_INTERP {
            return Ok(false);
        }
    }
    Ok(true)
}

fn find(name: &'static str, package: &'static str) -> Result<PathBuf, ProgramError> {
    let dir = own_dir()?;
    let beside = dir.join(name);
    if beside.is_file() {
        return Ok(beside);
    }
    in_path(name)
        .next()
        .ok_or(ProgramError::Missing { name, package, dir })
}

/// The directory of the running program; for a test, the one that cargo puts programs into.
fn own_dir() -> Result<PathBuf, ProgramError> {
    let program = env::current_exe().map_err(|error| ProgramError::Unplaced(error.kind()))?;
    let dir = program.parent().unwrap_or(Path::new("/"));
    let dir = if dir.ends_with("deps") {
        dir.parent().unwrap_or(dir)
    } else {
        dir
    };
    Ok(dir.to_owned())
}

fn in_path(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places: Vec<_> = env::split_paths(&path).map(|dir| dir.join(name)).collect();
    places.into_iter().filter(|place| place.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_dynamic_and_a_script_is_no_program() {
        assert!(!is_static(&env::current_exe().unwrap()).unwrap());
        let script = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(script.path(), [b'#'; 80]).unwrap();
        assert!(is_static(script.path()).is_err());
    }

    #[test]
    fn a_missing_driver_says_how_to_build_it() {
        let text = ProgramError::NoStaticDriver("/target".into()).to_string();
        assert!(
            text.contains("crt-static") && text.contains("/target"),
            "{text}"
        );
    }
}
