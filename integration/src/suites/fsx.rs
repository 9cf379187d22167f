//! fsx: random changes to one file, whose content is checked after each.
//!
//! It works on a descriptor, which stays with the kernel. So half of the cases have company: a shell that
//! meanwhile changes the same file's attributes and names by path, through the other door.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::cases::{Cases, Verdict};
use super::install::Package;
use super::options::Options;
use super::side::Side;
use super::suite::Suite;

const PACKAGE: Package = Package {
    name: "fsx",
    version: "0.3.2",
};
const LIMIT: Duration = Duration::from_secs(120);

/// Configurations, by name: what else is done to the file than reading, writing, mapping and truncating.
const PROFILES: [(&str, &str); 3] = [
    (
        "plain",
        "[weights]\nclose_open = 1\ninvalidate = 1\nfsync = 1\nfdatasync = 1\n",
    ),
    (
        "fallocate",
        "flen = 1000000\n[weights]\nclose_open = 5\ninvalidate = 5\ntruncate = 20\nposix_fallocate = 10\npunch_hole = 10\nsendfile = 5\ncopy_file_range = 5\nposix_fadvise = 2\n",
    ),
    (
        "aligned",
        "nomsyncafterwrite = true\n[opsize]\nalign = 4096\nmin = 4096\n[weights]\nclose_open = 10\ninvalidate = 10\n",
    ),
];

/// `$1` is fsx, `$2` its file, `$3` a file that ends the company; the rest are its other arguments.
const COMPANY: &str = r#"
fsx=$1 file=$2 end=$3; shift 3
rm -f "$end"
while [ ! -e "$end" ]; do
    [ -e "$file" ] || continue
    chmod 600 "$file" && touch -c "$file" && ln "$file" "$file.link" && chmod 644 "$file.link" &&
        mv "$file.link" "$file.moved" && touch -c -d @1000000000.5 "$file.moved" && rm "$file.moved" || exit 9
done &
company=$!
"$fsx" "$@" "$file"
status=$?
: > "$end"
wait $company || exit 9
exit $status
"#;

/// fsx with its cases: one a profile, company and seed.
#[derive(Debug)]
pub struct Fsx {
    program: PathBuf,
    cases: Vec<Plan>,
    operations: u64,
}

#[derive(Debug)]
struct Plan {
    name: String,
    configuration: &'static str,
    accompanied: bool,
    seed: u64,
}

impl Fsx {
    /// Builds it, if need be.
    ///
    /// # Errors
    /// It cannot be built.
    pub fn prepare(dir: &Path, options: &Options) -> Result<Self> {
        let (seeds, operations) = if options.quick { (1, 500) } else { (4, 3000) };
        let mut cases = Vec::new();
        for (profile, configuration) in PROFILES {
            for (company, accompanied) in [("alone", false), ("accompanied", true)] {
                for seed in options.seed..options.seed + seeds {
                    cases.push(Plan {
                        name: format!("{profile}::{company}::seed_{seed}"),
                        configuration,
                        accompanied,
                        seed,
                    });
                }
            }
        }
        cases.retain(|plan| options.wants(&plan.name));
        Ok(Fsx {
            program: PACKAGE.program(dir)?,
            cases,
            operations,
        })
    }

    fn run_one(&self, plan: &Plan, side: &Side<'_>) -> Result<(Verdict, String)> {
        let configuration = side.beside().join("fsx.toml");
        std::fs::write(&configuration, plan.configuration).context("cannot configure fsx")?;
        let file = side.path().join("fsx");
        let mut arguments: Vec<OsString> = vec!["-f".into(), configuration.into()];
        arguments.extend(["-N", &self.operations.to_string()].map(Into::into));
        arguments.extend(["-S", &plan.seed.to_string(), "-P"].map(Into::into));
        arguments.push(side.beside().into());
        let line: Vec<OsString> = if plan.accompanied {
            let shell = ["/bin/sh", "-c", COMPANY, "company"].map(Into::into);
            let end = side.beside().join("end");
            let names = [&self.program, &file, &end].map(Into::into);
            shell.into_iter().chain(names).chain(arguments).collect()
        } else {
            let program = std::iter::once(self.program.clone().into());
            program
                .chain(arguments)
                .chain([file.clone().into()])
                .collect()
        };
        let finished = side.run(&line, LIMIT)?;
        std::fs::remove_file(&file).context("fsx left no file")?;
        if finished.status.success() {
            return Ok((Verdict::Passed, String::new()));
        }
        let first = finished.err.lines().next().unwrap_or_default();
        Ok((Verdict::Failed, format!("{}: {first}", finished.status)))
    }
}

impl Suite for Fsx {
    fn title(&self) -> String {
        format!(
            "{} {}, {} operations a case",
            PACKAGE.name, PACKAGE.version, self.operations
        )
    }

    fn run(&self, side: &Side<'_>, only: Option<&str>) -> Result<Cases> {
        let mut cases = Cases::default();
        for plan in &self.cases {
            if only.is_none_or(|name| name == plan.name) {
                let (verdict, words) = self.run_one(plan, side)?;
                cases.note(&plan.name, verdict, words);
            }
        }
        Ok(cases)
    }
}
