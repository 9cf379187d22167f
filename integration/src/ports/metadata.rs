//! What cargo knows of a package on crates.io: where it is unpacked, its examples, its dependencies.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::build::cargo;

/// The part of `cargo metadata` that is of use here.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// A package.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its edition.
    pub edition: String,
    /// All that it depends on.
    pub dependencies: Vec<Dependency>,
    /// All that it builds.
    pub targets: Vec<Target>,
}

/// What a package depends on.
#[derive(Debug, Clone, Deserialize)]
pub struct Dependency {
    /// Name of the other package.
    pub name: String,
    /// Versions that will do.
    pub req: String,
    /// `None`, `dev` or `build`.
    pub kind: Option<String>,
    /// Features that are asked for.
    pub features: Vec<String>,
    /// Whether its default features are asked for.
    pub uses_default_features: bool,
    /// The platform that it is for.
    pub target: Option<String>,
}

/// What a package builds.
#[derive(Debug, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its kinds, `example` or `lib` for example.
    pub kind: Vec<String>,
    /// Its source.
    pub src_path: PathBuf,
    /// Features of the package that it needs.
    #[serde(default, rename = "required-features")]
    pub required_features: Vec<String>,
}

impl Package {
    /// Asks cargo, which fetches the package if need be.
    ///
    /// # Errors
    /// It cannot be fetched.
    pub fn ask(name: &str, version: &str, dir: &Path) -> Result<Self> {
        let asking = dir.join("ask").join(name);
        fs::create_dir_all(asking.join("src"))?;
        fs::write(asking.join("src/lib.rs"), "")?;
        let manifest = format!(
            "[package]\nname = \"ask\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{name} = \"={version}\"\n"
        );
        fs::write(asking.join("Cargo.toml"), manifest)?;
        let mut command = cargo();
        command
            .args(["metadata", "--format-version", "1", "--manifest-path"])
            .arg(asking.join("Cargo.toml"));
        let output = command.output().context("cannot start cargo")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let metadata: Metadata = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("cargo says: {said}"))?;
        let mut packages = metadata.packages.into_iter();
        packages
            .find(|package| package.name == name)
            .with_context(|| format!("cargo does not know {name}"))
    }

    /// Its examples, in their order.
    pub fn examples(&self) -> impl Iterator<Item = &Target> {
        let is_example = |target: &&Target| target.kind.iter().any(|kind| kind == "example");
        self.targets.iter().filter(is_example)
    }
}
