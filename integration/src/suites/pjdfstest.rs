//! pjdfstest: the answers of each system call, on each kind of file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::unistd::{Group, User};

use super::cases::{Cases, Verdict};
use super::install::Package;
use super::options::Options;
use super::side::Side;
use super::suite::Suite;

const PACKAGE: Package = Package {
    name: "pjdfstest",
    version: "0.2.2",
};
const LIMIT: Duration = Duration::from_secs(1200);

/// Users that every Debian has, each with a group of its own; the suite becomes two of them.
const USERS: [&str; 8] = [
    "nobody", "daemon", "bin", "sys", "games", "man", "lp", "mail",
];

/// The suite, and whom it may become.
#[derive(Debug)]
pub struct Pjdfstest {
    program: PathBuf,
    people: Vec<(String, String)>,
    patterns: Vec<String>,
}

impl Pjdfstest {
    /// Builds it, if need be.
    ///
    /// # Errors
    /// It cannot be built, or this machine has too few users.
    pub fn prepare(dir: &Path, options: &Options) -> Result<Self> {
        Ok(Pjdfstest {
            program: PACKAGE.program(dir)?,
            people: two_people()?,
            patterns: options.case.clone(),
        })
    }

    /// The configuration: what Linux and these file systems have, and existing users.
    fn configuration(&self, side: &Side<'_>) -> String {
        let people = self
            .people
            .iter()
            .map(|(user, group)| format!("[{user:?}, {group:?}]"));
        format!(
            "[features]\nposix_fallocate = {{}}\nrename_ctime = {{}}\nutime_now = {{}}\nutimensat = {{}}\n\
             secondary_fs = {:?}\n\
             [settings]\nnaptime = 0.02\nallow_remount = true\nexpected_failures = []\n\
             [dummy_auth]\nentries = [{}]\n",
            side.beside(),
            people.collect::<Vec<_>>().join(", ")
        )
    }
}

impl Suite for Pjdfstest {
    fn title(&self) -> String {
        format!("{} {}", PACKAGE.name, PACKAGE.version)
    }

    fn run(&self, side: &Side<'_>, only: Option<&str>) -> Result<Cases> {
        let configuration = side.beside().join("pjdfstest.toml");
        fs::write(&configuration, self.configuration(side))
            .context("cannot configure pjdfstest")?;
        let mut line: Vec<OsString> = vec![self.program.clone().into(), "-c".into()];
        line.extend([configuration.into(), "-p".into(), side.path().into()]);
        match only {
            Some(name) => line.extend(["-e".into(), "--".into(), full_name(name).into()]),
            None => line
                .extend(std::iter::once("--".into()).chain(self.patterns.iter().map(Into::into))),
        }
        let finished = side.run(&line, LIMIT)?;
        let cases = parse(&finished.out, side.path());
        ensure!(
            finished.out.contains("Summary"),
            "pjdfstest ended early ({}): {}",
            finished.status,
            finished.err.trim()
        );
        Ok(cases)
    }
}

/// As the suite wants it with `-e`, where it prints less.
fn full_name(name: &str) -> String {
    // Undoes what `Cases::note` does.
    let plain = name.split_once(" #").map_or(name, |(plain, _)| plain);
    format!("pjdfstest::tests::{plain}")
}

/// A line a case, `NAME VERDICT`, then indented lines about it.
fn parse(out: &str, mountpoint: &Path) -> Cases {
    let mut cases = Cases::default();
    let mut current: Option<(&str, Verdict, String)> = None;
    for line in out.lines() {
        if let Some((name, verdict)) = case_of(line) {
            if let Some((name, verdict, words)) = current.take() {
                cases.note(name, verdict, words);
            }
            current = Some((name, verdict, String::new()));
        } else if let Some((_, Verdict::Failed, words)) = &mut current {
            let known = line.replace(&*mountpoint.to_string_lossy(), "MNT");
            words.push_str(known.trim());
            words.push(' ');
        }
    }
    if let Some((name, verdict, words)) = current {
        cases.note(name, verdict, words);
    }
    cases
}

fn case_of(line: &str) -> Option<(&str, Verdict)> {
    if line.starts_with(char::is_whitespace) {
        return None;
    }
    let (name, verdict) = line.split_once(' ')?;
    let verdict = match verdict.trim() {
        "ok" => Verdict::Passed,
        "FAILED" => Verdict::Failed,
        "skipped" => Verdict::Skipped,
        _ => return None,
    };
    Some((name, verdict))
}

/// Two users of different ids, with the names of their own groups.
fn two_people() -> Result<Vec<(String, String)>> {
    let mut seen = BTreeSet::new();
    let mut people = Vec::new();
    for name in USERS {
        let Some(user) = User::from_name(name)? else {
            continue;
        };
        let Some(group) = Group::from_gid(user.gid)? else {
            continue;
        };
        if seen.insert(user.gid.as_raw()) && people.len() < 2 {
            people.push((user.name, group.name));
        }
    }
    ensure!(
        people.len() == 2,
        "pjdfstest needs two users, each with a group, of: {USERS:?}"
    );
    Ok(people)
}
