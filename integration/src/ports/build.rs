//! Building file systems where their packages lie.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::crates::{Against, Manifest};
use super::list::{self, Source};
use super::metadata::Package;

/// Programs that were built, against fuser and against finesse-fuse.
#[derive(Debug)]
pub struct Built {
    /// Package and version.
    pub title: String,
    /// Names of the programs.
    pub names: Vec<String>,
    programs: PathBuf,
}

impl Built {
    /// What a program's path begins with; its name follows.
    #[must_use]
    pub fn prefix(&self, against: Against) -> PathBuf {
        self.programs.join(against.prefix())
    }

    /// One of the programs.
    #[must_use]
    pub fn program(&self, against: Against, name: &str) -> PathBuf {
        self.programs.join(format!("{}{name}", against.prefix()))
    }

    /// One line.
    #[must_use]
    pub fn summary(&self) -> String {
        let names = self.names.join(", ");
        format!("built against fuser and finesse-fuse: {names}")
    }
}

/// cargo, as it was called for this program.
pub(super) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Where this project's sources are.
#[must_use]
pub fn project() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Builds all of `source`, or those named in `only`, below `dir`.
///
/// # Errors
/// A package cannot be fetched or built, or has examples that nothing is known of.
pub fn build(source: Source, dir: &Path, only: Option<&[&str]>) -> Result<Built> {
    let (name, version) = source.package();
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let dir = dir.canonicalize()?;
    let package = Package::ask(name, version, &dir)?;
    let sources = match source {
        Source::Fuser => examples(&package)?,
        Source::EasyFuser => mirrors(),
    };
    let wanted = |name: &str| only.is_none_or(|only| only.contains(&name));
    let sources: Vec<_> = sources
        .into_iter()
        .filter(|(name, _)| wanted(name))
        .collect();
    for against in Against::BOTH {
        let mut manifest = Manifest::new(against, version, &package.edition);
        match source {
            Source::Fuser => {
                let features = features(&package);
                let features: Vec<_> = features.iter().map(String::as_str).collect();
                manifest.fuser(version, &features, project());
                manifest.as_of(&package);
            }
            Source::EasyFuser => {
                manifest.exactly(name, version);
                // Its macros, and those with which its async traits are written.
                manifest.as_of(&package.only(&["easy_fuser_macro", "async-trait"]));
                manifest.patch(project());
            }
        }
        for (name, source) in &sources {
            manifest.program(name, source);
        }
        let place = dir.join(name).join(against.prefix().trim_end_matches('-'));
        compile(&manifest, &place, &dir)?;
    }
    Ok(Built {
        title: format!("{name} {version}"),
        names: sources.into_iter().map(|(name, _)| name).collect(),
        programs: dir.join("target/debug"),
    })
}

/// The examples of `package`, all of which must be known.
fn examples(package: &Package) -> Result<Vec<(String, PathBuf)>> {
    let known: BTreeSet<_> = list::ports(Source::Fuser)
        .map(|port| port.name)
        .chain(list::CLIENTS)
        .collect();
    let shipped: BTreeSet<_> = package.examples().map(|one| one.name.as_str()).collect();
    ensure!(
        known == shipped,
        "{} {} ships the examples {shipped:?}, known are {known:?}",
        package.name,
        package.version
    );
    let sources = package.examples();
    let sources = sources.map(|one| (one.name.clone(), one.src_path.clone()));
    Ok(sources.collect())
}

/// The features that the examples of `package` need.
fn features(package: &Package) -> BTreeSet<String> {
    let needed = package.examples().flat_map(|one| &one.required_features);
    needed.cloned().collect()
}

/// Programs of this project that do no more than mount what the library brings along.
fn mirrors() -> Vec<(String, PathBuf)> {
    let ours = list::ports(Source::EasyFuser).map(|port| port.name);
    ours.map(|name| (name.to_owned(), script(&format!("{name}.rs"))))
        .collect()
}

/// A file of `integration/ports`.
pub(super) fn script(name: &str) -> PathBuf {
    project().join("integration/ports").join(name)
}

fn compile(manifest: &Manifest, place: &Path, dir: &Path) -> Result<()> {
    fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
    let text = manifest.text();
    if fs::read_to_string(place.join("Cargo.toml")).ok().as_deref() != Some(text.as_str()) {
        fs::write(place.join("Cargo.toml"), &text)?;
    }
    let patched = text.contains("[patch.");
    if patched {
        succeed(&mut Command::new(
            project().join("fs-runtime/as-fuser/prepare"),
        ))?;
    }
    if !place.join("Cargo.lock").exists() {
        // The versions that this project is tested with.
        fs::copy(project().join("Cargo.lock"), place.join("Cargo.lock"))?;
        if patched {
            succeed(cargo().args(["update", "fuser"]).current_dir(place))?;
        }
    }
    eprintln!("building in {}", place.display());
    let mut build = cargo();
    build
        .args(["build", "--bins", "--target-dir"])
        .arg(dir.join("target"))
        .current_dir(place);
    succeed(&mut build)
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output();
    let output = output.with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
