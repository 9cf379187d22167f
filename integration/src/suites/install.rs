//! Building the suites from their packages; none of their text is kept here.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A package on crates.io with a program of the same name.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// The version that is built.
    pub version: &'static str,
}

impl Package {
    /// The program, built below `dir` with its own lock file unless it is there already.
    ///
    /// # Errors
    /// It cannot be fetched or built.
    pub fn program(&self, dir: &Path) -> Result<PathBuf> {
        let root = dir.join(format!("{}-{}", self.name, self.version));
        let program = root.join("bin").join(self.name);
        if program.is_file() {
            return Ok(program);
        }
        eprintln!(
            "building {} {} in {}",
            self.name,
            self.version,
            dir.display()
        );
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["install", "--locked", "--quiet", self.name])
            .args(["--version", &format!("={}", self.version)])
            .arg("--root")
            .arg(&root)
            .arg("--target-dir")
            .arg(dir.join("target"))
            // Where the linker looks too (gcc(1)).
            .env("LIBRARY_PATH", libraries(dir)?)
            .status()
            .context("cannot start cargo")?;
        ensure!(status.success(), "{} cannot be built", self.name);
        ensure!(
            program.is_file(),
            "{} has no program of its name",
            self.name
        );
        Ok(program)
    }
}

/// A directory with what a linker needs of a library that pjdfstest uses and of which most machines have
/// the run-time part only.
fn libraries(dir: &Path) -> Result<PathBuf> {
    const PLACES: [&str; 3] = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let libraries = dir.join("lib");
    fs::create_dir_all(&libraries).with_context(|| format!("cannot make {}", dir.display()))?;
    let link = libraries.join("libacl.so");
    let there = PLACES.map(|place| Path::new(place).join("libacl.so.1"));
    if let Some(library) = there.iter().find(|library| library.is_file())
        && !link.exists()
    {
        symlink(library, &link).context("cannot link to libacl")?;
    }
    Ok(libraries)
}

/// `suites` beside the directory of this program: below the target directory.
///
/// # Errors
/// This program's place is unknown.
pub fn default_dir() -> Result<PathBuf> {
    let program = env::current_exe().context("cannot tell where this program lies")?;
    let target = program.ancestors().nth(2).unwrap_or(Path::new("."));
    Ok(target.join("suites"))
}
