//! pjdfstest: the answers of each system call, on each kind of file.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
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

/// In the names of the cases that make the mount read-only for a while.
const REMOUNTING: &str = "erofs";

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
    fn configuration(&self, side: &Side<'_>, may_remount: bool) -> String {
        let people = self
            .people
            .iter()
            .map(|(user, group)| format!("[{user:?}, {group:?}]"));
        format!(
            "[features]\nposix_fallocate = {{}}\nrename_ctime = {{}}\nutime_now = {{}}\nutimensat = {{}}\n\
             secondary_fs = {:?}\n\
             [settings]\nnaptime = 0.02\nallow_remount = {may_remount}\nexpected_failures = []\n\
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
        if let Some(name) = only {
            let patterns = ["-e".into(), "--".into(), full_name(name)];
            return self.run_some(side, &patterns, true);
        }
        let mut patterns = vec!["--".to_owned()];
        patterns.extend(self.patterns.iter().cloned());
        // By themselves, and first: what other cases leave behind keeps a mount from becoming read-only.
        let remounting = self.run_some(side, &["--".into(), REMOUNTING.into()], true)?;
        let mut cases = self.run_some(side, &patterns, false)?;
        cases.supersede(remounting.retain(|name| cases.verdict(name) != Verdict::NotRun));
        Ok(cases)
    }
}

impl Pjdfstest {
    fn run_some(&self, side: &Side<'_>, patterns: &[String], may_remount: bool) -> Result<Cases> {
        let configuration = side.beside().join("pjdfstest.toml");
        fs::write(&configuration, self.configuration(side, may_remount))
            .context("cannot configure pjdfstest")?;
        let mut line: Vec<OsString> = vec!["/usr/bin/env".into(), path_with_mount(side)?];
        line.extend([
            self.program.clone().into(),
            "-c".into(),
            configuration.into(),
        ]);
        line.extend(["-p".into(), side.path().into()]);
        line.extend(patterns.iter().map(Into::into));
        let finished = side.run(&line, LIMIT)?;
        ensure!(
            finished.out.contains("Summary"),
            "pjdfstest ended early ({}): {}",
            finished.status,
            finished.err.trim()
        );
        Ok(parse(&finished.out, side.beside()))
    }
}

/// `PATH`, with a `mount` in front that remounts by itself: mount(8) would have it done by mount.fuse3(8),
/// which takes the file system's source for a program and runs it.
fn path_with_mount(side: &Side<'_>) -> Result<OsString> {
    let (programs, mount) = (side.beside().join("bin"), side.beside().join("bin/mount"));
    fs::create_dir_all(&programs)?;
    fs::write(&mount, "#!/bin/sh\nPATH=${PATH#*:} exec mount -i \"$@\"\n")?;
    fs::set_permissions(&mount, fs::Permissions::from_mode(0o755))?;
    let mut path = OsString::from("PATH=");
    path.push(programs);
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    Ok(path)
}

/// As the suite wants it with `-e`, where it prints less.
fn full_name(name: &str) -> String {
    // Undoes what `Cases::note` does.
    let plain = name.split_once(" #").map_or(name, |(plain, _)| plain);
    format!("pjdfstest::tests::{plain}")
}

/// A line a case, `NAME VERDICT`, then indented lines about it.
fn parse(out: &str, dir: &Path) -> Cases {
    let mut cases = Cases::default();
    let mut current: Option<(&str, Verdict, String)> = None;
    for line in out.lines() {
        if let Some((name, verdict)) = case_of(line) {
            if let Some((name, verdict, words)) = current.take() {
                cases.note(name, verdict, words);
            }
            current = Some((name, verdict, String::new()));
        } else if let Some((_, Verdict::Failed, words)) = &mut current {
            let known = line.replace(&*dir.to_string_lossy(), "DIR");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_cases() {
        let out = "chmod::a           ok\nchmod::b::dir      FAILED\n\tleft: EPERM in /d/x\n  right: EACCES\n\
                   link::c            skipped\n\trequires features: x\n\nSummary: 1 failed, 3 total\n";
        let cases = parse(out, Path::new("/d"));
        assert_eq!(cases.len(), 3);
        assert_eq!(cases.verdict("chmod::a"), Verdict::Passed);
        assert_eq!(cases.verdict("link::c"), Verdict::Skipped);
        assert_eq!(cases.verdict("chmod::b::dir"), Verdict::Failed);
        assert_eq!(
            cases.words("chmod::b::dir").trim(),
            "left: EPERM in DIR/x right: EACCES"
        );
        assert_eq!(full_name("chmod::b #2"), "pjdfstest::tests::chmod::b");
    }
}
