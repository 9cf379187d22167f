//! libfuse's examples, as its package libfuse3-dev brings them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

const SOURCES: &str = "/usr/share/doc/libfuse3-dev/examples";

/// Builds an example, once for all tests of a run.
pub(crate) fn build(name: &str) -> PathBuf {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = BUILT.get_or_init(|| {
        let dir = tempfile::Builder::new()
            .prefix("example")
            .tempdir()
            .unwrap();
        let program = dir.path().join(name);
        compile(name, &program);
        (dir, program)
    });
    program.clone()
}

fn compile(name: &str, program: &Path) {
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs", "fuse3"])
        .output()
        .expect("pkg-config");
    assert!(flags.status.success(), "pkg-config knows no fuse3");
    let flags = String::from_utf8(flags.stdout).unwrap();
    let built = Command::new("cc")
        .args(["-O2", "-w", "-o"])
        .arg(program)
        .arg(format!("{SOURCES}/{name}.c"))
        .args(flags.split_whitespace())
        .output()
        .expect("cc");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{name}: {said}");
}
