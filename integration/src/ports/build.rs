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
    /// The package that was built against fuser.
    pub on_fuser: PathBuf,
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

/// Builds all of `source`, or those named in `only`, in the target directory `target`: most of what they depend on
/// is there already.
///
/// # Errors
/// A package cannot be fetched or built, or has examples that nothing is known of.
pub fn build(source: Source, target: &Path, only: Option<&[&str]>) -> Result<Built> {
    let (name, version) = source.package();
    let dir = target.join("ports");
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let target = target.canonicalize()?;
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
    let mut on_fuser = PathBuf::new();
    for against in Against::BOTH {
        let mut manifest = Manifest::new(against, version, &package.edition);
        match source {
            Source::Fuser => {
                let features = features(&package, wanted);
                let features: Vec<_> = features.iter().map(String::as_str).collect();
                manifest.fuser(version, &features, project());
                let texts = texts(&sources)?;
                manifest.as_of(&package, |one| texts.contains(&format!("{one}::")));
            }
            Source::EasyFuser => {
                manifest.exactly(name, version);
                // Its macros, and those with which its async traits are written.
                manifest.as_of(&package, |one| {
                    ["easy_fuser_macro", "async_trait"].contains(&one)
                });
                manifest.patch(project());
            }
        }
        for (name, source) in &sources {
            manifest.program(name, source);
        }
        // Fewer programs need fewer dependencies: another package.
        let what = only.map_or(name.to_owned(), |only| only.join("-"));
        let place = dir.join(format!("{}{what}", against.prefix()));
        if against == Against::Fuser {
            on_fuser.clone_from(&place);
        }
        compile(&manifest, &place, &target)?;
    }
    Ok(Built {
        title: format!("{name} {version}"),
        names: sources.into_iter().map(|(name, _)| name).collect(),
        on_fuser,
        programs: target.join("debug"),
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

/// The features that the `wanted` examples of `package` need.
fn features(package: &Package, wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let examples = package.examples().filter(|one| wanted(&one.name));
    let needed = examples.flat_map(|one| &one.required_features);
    needed.cloned().collect()
}

/// All of the sources, and of the directory beside them that examples share.
fn texts(sources: &[(String, PathBuf)]) -> Result<String> {
    let mut all = String::new();
    for (_, source) in sources {
        all += &fs::read_to_string(source)?;
        let shared = source.with_file_name("common");
        for entry in fs::read_dir(shared)? {
            all += &fs::read_to_string(entry?.path())?;
        }
    }
    Ok(all)
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

fn compile(manifest: &Manifest, place: &Path, target: &Path) -> Result<()> {
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
        .arg(target)
        .current_dir(place);
    succeed(&mut build)
}

pub(super) fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output();
    let output = output.with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
