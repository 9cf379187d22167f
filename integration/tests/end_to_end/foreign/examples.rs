//! libfuse's examples, as its package libfuse3-dev brings them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

const SOURCES: &str = "/usr/share/doc/libfuse3-dev/examples";

/// Builds passthrough_ll, once for all tests of a run.
pub(crate) fn passthrough_ll() -> PathBuf {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = BUILT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let program = compile("passthrough_ll", dir.path(), &[]);
        (dir, program)
    });
    program.clone()
}

/// Compiles an example into `dir`, with `flags` before libfuse's.
pub(crate) fn compile(name: &str, dir: &Path, flags: &[String]) -> PathBuf {
    let program = dir.join(name);
    let built = Command::new("cc")
        .args(["-O2", "-w", "-o"])
        .arg(&program)
        .arg(format!("{SOURCES}/{name}.c"))
        .args(flags)
        .args(pkg_config(&["--cflags", "--libs", "fuse3"]))
        .output()
        .expect("cc");
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
