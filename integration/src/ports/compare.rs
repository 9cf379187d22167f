//! One file system, by every way to it, and what plain FUSE says.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::build::{self, Built};
use super::crates::Against;
use super::port::{Places, Port};
use crate::compare::interrupt::Interrupt;
use crate::mount::Mounted;
use crate::suites::calls::Calls;
use crate::suites::process::{self, Finished};
use crate::suites::side::{Side, Way};

const LIMIT: Duration = Duration::from_secs(120);

/// Directories with the number of another one: there must be none.
const TWICE: &str = "cd \"$1\" && find . -type d -printf '%i\\n' | sort | uniq -d; find . | wc -l";

/// What came out by one way, with nothing in it that tells the way.
type Said = String;

/// Uses `port` by all ways and prints where another one than plain FUSE says something else; whether none does.
///
/// # Errors
/// It cannot be mounted or run, panicked, or nothing was bypassed that should have been.
pub fn compare(port: &Port, built: &Built, interrupt: &Interrupt) -> Result<bool> {
    let dir = tempfile::tempdir().context("cannot make a directory to work in")?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    let scene = Scene {
        port,
        built,
        dir: dir.path(),
        interrupt,
    };
    let expected = scene.alone(Way::Plain)?.0;
    let mut same = agree(
        "the kernel door",
        &expected,
        &scene.alone(Way::KernelDoor)?.0,
    );
    let (said, calls) = scene.alone(Way::Bypass)?;
    same &= agree("finesse-run", &expected, &said);
    println!("  {} lines; calls: {calls}", expected.lines().count());
    ensure!(
        !port.bypassed || calls.bypassed() > 0,
        "nothing was bypassed, so nothing was compared"
    );
    if port.together {
        let expected = scene.together(Way::Plain)?;
        same &= agree(
            "both doors at once",
            &expected,
            &scene.together(Way::Bypass)?,
        );
    }
    Ok(same)
}

/// All that the runs of one port have in common.
struct Scene<'a> {
    port: &'a Port,
    built: &'a Built,
    dir: &'a Path,
    interrupt: &'a Interrupt,
}

impl Scene<'_> {
    /// One user of a fresh mount.
    fn alone(&self, way: Way) -> Result<(Said, Calls)> {
        let side = self.mount(way)?;
        let finished = side.run(&self.line(&side, 1), LIMIT);
        let said = told(&finished.with_context(|| by(way))?, &side);
        let calls = side.calls();
        self.take_down(side)?;
        Ok((said, calls))
    }

    /// Two users of a fresh mount at once, one of them through the kernel and the other by `way`.
    fn together(&self, way: Way) -> Result<Said> {
        let side = self.mount(way)?;
        let (first, second) = (self.line(&side, 1), self.line(&side, 2));
        let (kernel, other) = thread::scope(|scope| {
            let kernel = scope.spawn(|| plainly(&first, self.interrupt));
            let other = side.run(&second, LIMIT);
            (kernel.join(), other)
        });
        let kernel = kernel.map_err(|_| anyhow!("the thread of one user panicked"))?;
        let mut said = told(&kernel?, &side) + &told(&other?, &side);
        let after = [
            "sh".into(),
            "-c".into(),
            TWICE.into(),
            "sh".into(),
            side.path().into(),
        ];
        said += &told(&plainly(&after, self.interrupt)?, &side);
        self.take_down(side)?;
        Ok(said)
    }

    fn mount(&self, way: Way) -> Result<Side<'_>> {
        let letter = match way {
            Way::Plain => "p",
            Way::KernelDoor => "k",
            Way::Bypass => "b",
        };
        let dir = self.dir.join(letter);
        let places = Places {
            mountpoint: dir.join("at"),
            data: dir.join("data"),
        };
        for made in [&places.mountpoint, &places.data, &dir.join("beside")] {
            fs::create_dir_all(made)?;
        }
        let mut command = Command::new(self.built.program(against(way), self.port.name));
        command
            .args((self.port.arguments)(&places))
            .env_remove("RUST_LOG");
        let mounted = Mounted::start(&mut command, &places.mountpoint, self.port.end)?;
        Side::over(way, dir, mounted, self.interrupt)
    }

    /// The script's command line, for the user of this number.
    fn line(&self, side: &Side<'_>, user: usize) -> Vec<OsString> {
        vec![
            "sh".into(),
            build::script(self.port.script).into(),
            side.path().into(),
            side.beside().join("beside").into(),
            user.to_string().into(),
            self.built.prefix(against(side.way)).into(),
        ]
    }

    /// Unmounts; whatever was kept goes, so that the next mount is a fresh one.
    fn take_down(&self, side: Side<'_>) -> Result<()> {
        let (words, dir, way) = (side.words()?, PathBuf::from(side.beside()), side.way);
        side.take_down()?;
        let mut said = vec![0; usize::try_from(words.metadata()?.len())?];
        words.read_exact_at(&mut said, 0)?;
        let said = String::from_utf8_lossy(&said);
        ensure!(
            !said.contains("panicked"),
            "{} {} panicked: {said}",
            self.port.name,
            by(way)
        );
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))
    }
}

fn against(way: Way) -> Against {
    match way {
        Way::Plain => Against::Fuser,
        Way::KernelDoor | Way::Bypass => Against::Finesse,
    }
}

fn by(way: Way) -> String {
    format!("by way of {}", way.name())
}

fn plainly(line: &[OsString], interrupt: &Interrupt) -> Result<Finished> {
    process::run(Command::new(&line[0]).args(&line[1..]), LIMIT, interrupt)
}

/// All that was said, with the paths that are particular to a side replaced.
fn told(finished: &Finished, side: &Side<'_>) -> Said {
    let own = side.beside().to_string_lossy().into_owned();
    let prefix = match side.way {
        Way::Plain => Against::Fuser.prefix(),
        Way::KernelDoor | Way::Bypass => Against::Finesse.prefix(),
    };
    let all = format!("{}{}{}\n", finished.out, finished.err, finished.status);
    all.replace(&own, "@").replace(prefix, "")
}

/// Whether `said` is what was `expected`; prints the first difference.
fn agree(way: &str, expected: &str, said: &str) -> bool {
    let mut lines = expected.lines();
    let mut others = said.lines();
    let mut before: Vec<&str> = Vec::new();
    loop {
        match (lines.next(), others.next()) {
            (None, None) => {
                println!("  {way} agrees with plain FUSE");
                return true;
            }
            (expected, said) if expected == said => before.extend(expected),
            (expected, said) => {
                println!("  DIFFERENT by {way}, after {} lines:", before.len());
                for line in &before[before.len().saturating_sub(6)..] {
                    println!("      {line}");
                }
                println!("    - plain FUSE: {}", expected.unwrap_or("(end)"));
                println!("    - {way}: {}", said.unwrap_or("(end)"));
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_more_or_other_differs() {
        assert!(agree("x", "a\nb\n", "a\nb\n"));
        assert!(!agree("x", "a\nb\n", "a\nc\n"));
        assert!(!agree("x", "a\nb\n", "a\n"));
        assert!(!agree("x", "a\n", "a\nb\n"));
    }
}
