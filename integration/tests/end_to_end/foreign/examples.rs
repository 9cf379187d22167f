//! libfuse's examples: those that its package libfuse3-dev brings, and one that only its source has, which
//! `FINESSE_LIBFUSE="$(scripts/libfuse-source.sh DIR)"` fetches.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

const SOURCES: &str = "/usr/share/doc/libfuse3-dev/examples";

/// What libfuse's own build finds out about libc.
const LIBC: [&str; 3] = [
    "-DHAVE_UTIMENSAT",
    "-DHAVE_POSIX_FALLOCATE",
    "-DHAVE_SETXATTR",
];

/// Where libfuse's source is unpacked; says so if there is none.
pub(crate) fn source() -> Option<PathBuf> {
    let source = env::var_os("FINESSE_LIBFUSE").map(PathBuf::from);
    if source.is_none() {
        println!("skipped: FINESSE_LIBFUSE does not say where libfuse's source is");
    }
    source
}

/// An example, built once for all tests of a run.
pub(crate) fn built(name: &'static str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<&str, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut programs = BUILT.lock().unwrap();
    let build = || {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libfuse");
        fs::create_dir_all(&dir).unwrap();
        let fresh = tempfile::tempdir_in(&dir).unwrap();
        // Another run of the tests may be using the one that is there.
        let program = dir.join(name);
        fs::rename(compile(name, fresh.path(), &[]), &program).unwrap();
        program
    };
    programs.entry(name).or_insert_with(build).clone()
}

/// Compiles an example into `dir`, with `flags` before libfuse's.
pub(crate) fn compile(name: &str, dir: &Path, flags: &[String]) -> PathBuf {
    let program = dir.join(name);
    let in_c = Path::new(SOURCES).join(name).with_extension("c");
    let (mut compiler, source) = if in_c.is_file() {
        (Command::new("cc"), in_c)
    } else {
        let mut compiler = Command::new("c++");
        compiler.arg("-std=c++17");
        let source = source().expect("FINESSE_LIBFUSE").join("example");
        (compiler, source.join(name).with_extension("cc"))
    };
    let built = compiler
        .args(["-O2", "-w", "-o"])
        .arg(&program)
        .arg(source)
        .args(LIBC)
        .args(flags)
        .args(pkg_config(&["--cflags", "--libs", "fuse3"]))
        .output()
        .expect("a compiler");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{name}: {said}");
    program
}

/// What pkg-config says.
pub(crate) fn pkg_config(arguments: &[&str]) -> Vec<String> {
    let said = Command::new("pkg-config")
        .args(arguments)
        .output()
        .expect("pkg-config");
    assert!(said.status.success(), "pkg-config {arguments:?}");
    let said = String::from_utf8(said.stdout).unwrap();
    said.split_whitespace().map(str::to_owned).collect()
}
