//! The packages that are generated: the same sources and dependencies, but for the one line.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::metadata::{Dependency, Package};

/// Against what a file system is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// fuser.
    Fuser,
    /// finesse-fuse.
    Finesse,
}

impl Against {
    /// Both.
    pub const BOTH: [Against; 2] = [Against::Fuser, Against::Finesse];

    /// What its programs' names begin with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Against::Fuser => "on-fuser-",
            Against::Finesse => "on-finesse-",
        }
    }
}

/// A package in the making.
#[derive(Debug)]
pub struct Manifest {
    against: Against,
    head: String,
    dependencies: String,
    programs: String,
    patch: String,
}

impl Manifest {
    /// One that calls itself by `version` and is of `edition`.
    #[must_use]
    pub fn new(against: Against, version: &str, edition: &str) -> Self {
        let name = format!("{}ports", against.prefix());
        Manifest {
            against,
            head: format!(
                "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"{edition}\"\n\
                 publish = false\nautobins = false\n\n[workspace]\n"
            ),
            dependencies: String::new(),
            programs: String::new(),
            patch: String::new(),
        }
    }

    /// `fuser` in `version` with `features`, or in its place finesse-fuse of `project`: the line that makes the port.
    pub fn fuser(&mut self, version: &str, features: &[&str], project: &Path) {
        let from = match self.against {
            Against::Fuser => format!("version = \"={version}\""),
            Against::Finesse => format!(
                "package = \"finesse-fuse\", path = {}",
                quoted(&project.join("fs-runtime"))
            ),
        };
        self.line(format_args!(
            "fuser = {{ {from}, features = {features:?} }}"
        ));
    }

    /// Another package in exactly this version.
    pub fn exactly(&mut self, name: &str, version: &str) {
        self.line(format_args!("{name} = \"={version}\""));
    }

    /// Those of which `wanted` names the crates, of all that `package` itself depends on here, be it for its
    /// library or its examples.
    pub fn as_of(&mut self, package: &Package, wanted: impl Fn(&str) -> bool) {
        let mut all = BTreeMap::<&str, Dependency>::new();
        let here = |one: &&Dependency| {
            one.target.is_none()
                && one.kind.as_deref() != Some("build")
                && wanted(&one.name.replace('-', "_"))
        };
        for one in package.dependencies.iter().filter(here) {
            all.entry(&one.name)
                .and_modify(|known| {
                    known.features.extend(one.features.iter().cloned());
                    known.uses_default_features |= one.uses_default_features;
                })
                .or_insert_with(|| one.clone());
        }
        for (name, one) in all {
            self.line(format_args!(
                "{name} = {{ version = {:?}, features = {:?}, default-features = {} }}",
                one.req, one.features, one.uses_default_features
            ));
        }
    }

    /// A program of this name, but for a prefix, made of `source`.
    pub fn program(&mut self, name: &str, source: &Path) {
        let _ = write!(
            self.programs,
            "\n[[bin]]\nname = \"{}{name}\"\npath = {}\n",
            self.against.prefix(),
            quoted(source)
        );
    }

    /// finesse-fuse of `project` in fuser's place for all dependencies: the lines that port a library.
    pub fn patch(&mut self, project: &Path) {
        if self.against == Against::Finesse {
            let path = quoted(&project.join("fs-runtime/as-fuser"));
            self.patch = format!("\n[patch.crates-io]\nfuser = {{ path = {path} }}\n");
        }
    }

    /// The text of its Cargo.toml.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}\n[dependencies]\n{}{}{}",
            self.head, self.dependencies, self.programs, self.patch
        )
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.dependencies, "{line}");
    }
}

/// As TOML writes a string.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_differs() {
        let text = |against| {
            let mut manifest = Manifest::new(against, "0.18.0", "2024");
            manifest.fuser("0.18.0", &["experimental"], Path::new("/finesse"));
            manifest.exactly("log", "0.4.6");
            manifest.program("hello", Path::new("/there/hello.rs"));
            manifest.text()
        };
        let (plain, port) = (text(Against::Fuser), text(Against::Finesse));
        let own_names = |text: &str| text.replace("on-finesse-", "on-fuser-");
        let port = own_names(&port);
        let differing: Vec<_> = plain
            .lines()
            .zip(port.lines())
            .filter(|(a, b)| a != b)
            .collect();
        assert_eq!(
            differing,
            [(
                "fuser = { version = \"=0.18.0\", features = [\"experimental\"] }",
                "fuser = { package = \"finesse-fuse\", path = \"/finesse/fs-runtime\", features = [\"experimental\"] }"
            )]
        );
    }
}
