//! The same random calls of some processes through the plain mount and through the bypass: same results, same
//! trees.
//!
//! `FINESSE_DIFF_STEPS` (default 1500) and `FINESSE_DIFF_SEED` (default fixed) ask for more, or for others;
//! `make soak-differential` for a million on our own file systems. `FINESSE_DIFF_KEEP=DIR` keeps the logs and
//! reports there.

mod daemons;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::environment::number;
use crate::guest::{self, Kind};
use crate::lines::assert_same;
use crate::report::Report;
use crate::timed::{self, Done};
use crate::tree;
use crate::twins::{Setting, Twins};

const STEPS: u64 = 1500;
const SEED: u64 = 20_240_229;
/// How deep the mount lies, and what the directories above are called; the guest says why.
const DEPTH: usize = 120;
const ABOVE: &str = "z";
/// From how many steps on every call has been bypassed: half as many as are made by default, as
/// [`mounted_read_only`] makes them in two halves.
const MANY: u64 = STEPS / 2;

const CHECKED: &[&str] = &["--default-permissions", "--allow-other"];
const CHECKED_READ_ONLY: &[&str] = &["--default-permissions", "--allow-other", "--read-only"];

/// One comparison.
#[derive(Debug, Clone, Copy)]
struct Form {
    name: &'static str,
    setting: Setting,
    /// Who the processes are, in the guest's words.
    crowd: &'static str,
    /// What becomes of the mount meanwhile, in the guest's words.
    scene: &'static str,
    /// Calls that are bypassed at some time.
    bypassed: &'static [&'static str],
    /// Keeps the forms from repeating each other's sequence.
    offset: u64,
    /// Whether there are sockets among the files.
    sockets: bool,
}

const CHANGES: &[&str] = &[
    "mkdirat",
    "renameat2",
    "unlinkat",
    "linkat",
    "symlinkat",
    "fchmodat2",
    "newfstatat",
];
const LOOKS: &[&str] = &[
    "newfstatat",
    "statx",
    "faccessat2",
    "readlinkat",
    "lgetxattr",
];

impl Form {
    /// Users of all kinds on a mount for all, which nothing happens to.
    const fn new(name: &'static str, setting: Setting, offset: u64) -> Form {
        Form {
            name,
            setting,
            crowd: "everybody",
            scene: "as-mounted",
            bypassed: CHANGES,
            offset,
            sockets: true,
        }
    }

    fn seed(self) -> u64 {
        number("FINESSE_DIFF_SEED", SEED) + self.offset
    }
}

const fn passthrough(ttl: f64) -> Setting {
    Setting {
        ttl,
        options: CHECKED,
        ..Setting::PASSTHROUGH
    }
}

fn mount(setting: Setting) -> Option<Twins> {
    Twins::mount(setting, &vec![ABOVE; DEPTH].join("/"))
}

/// Runs a form on fresh mounts.
fn compare(form: Form) {
    if let Some(twins) = mount(form.setting) {
        compare_on(&twins, form, number("FINESSE_DIFF_STEPS", STEPS));
    }
}

fn compare_on(twins: &Twins, form: Form, steps: u64) {
    let Some(program) = guest::build(Kind::GlibcStatic, "differential.c", twins.dir.path()) else {
        return;
    };
    let arguments = |dir: &Path| -> Vec<OsString> {
        let mut arguments = vec![program.clone().into(), dir.into()];
        arguments.extend([form.seed(), steps].map(|number| number.to_string().into()));
        let crowd = if is_root() { form.crowd } else { "alone" };
        arguments.extend([crowd, form.scene].map(OsString::from));
        arguments.push(fs::read_link("/proc/self/ns/mnt").unwrap().into());
        arguments
    };
    let what = format!(
        "{}, FINESSE_DIFF_SEED={} FINESSE_DIFF_STEPS={steps}",
        form.name,
        form.seed() - form.offset
    );
    let plain = run(form, steps, timed::command(&arguments(twins.plain.path())));
    let report = twins.dir.path().join("report.json");
    let mut bypass: Vec<OsString> =
        vec!["--report-json".into(), report.clone().into(), "--".into()];
    bypass.extend(arguments(twins.bypass.path()));
    let bypass = run(form, steps, twins.finesse_run(&bypass));
    keep(form.name, &plain.out, &bypass.out, &report);
    assert_done(&what, &plain);
    assert_same(&what, ("FUSE", &plain.out), ("bypass", &bypass.out));
    assert_done(&what, &bypass);
    assert_eq!(plain.out.lines().count() as u64, steps, "{what}");
    assert_same_trees(&what, twins, form.setting);
    let report = Report::read(&report);
    assert_eq!(report.untrapped() > 0, form.setting.fast, "{what}");
    if steps >= MANY {
        report.assert_bypassed(form.bypassed);
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// What happens to the mount happens in a mount namespace that ends with the program.
fn run(form: Form, steps: u64, mut command: Command) -> Done {
    if !form.sockets {
        command.env("WITHOUT_SOCKETS", "1");
    }
    let limit = Duration::from_secs(60) + Duration::from_millis(50) * u32::try_from(steps).unwrap();
    if form.scene == "as-mounted" {
        return timed::run(&mut command, limit);
    }
    let mut apart = timed::command(&["unshare", "--mount", "--propagation", "private", "--"]);
    apart.arg(command.get_program()).args(command.get_args());
    apart.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    timed::run(&mut apart, limit)
}

fn assert_done(what: &str, done: &Done) {
    assert!(
        done.status.success(),
        "{what}: {} {}",
        done.status,
        done.err
    );
}

fn assert_same_trees(what: &str, twins: &Twins, setting: Setting) {
    let trees = [&twins.plain, &twins.bypass]
        .map(|twin| tree::describe(twin.path(), twin.path()).join("\n"));
    assert_same(what, ("FUSE", &trees[0]), ("bypass", &trees[1]));
    // What the kernel's caches say is what lies below.
    if !setting.memory && setting.ttl < 100.0 {
        let sources = [&twins.plain, &twins.bypass]
            .map(|twin| tree::describe(&twin.source, twin.path()).join("\n"));
        assert_same(
            what,
            ("FUSE's source", &sources[0]),
            ("bypass's source", &sources[1]),
        );
    }
}

fn keep(name: &str, plain: &str, bypass: &str, report: &Path) {
    let Some(dir) = env::var_os("FINESSE_DIFF_KEEP") else {
        return;
    };
    let file = |end: &str| Path::new(&dir).join(format!("{name}.{end}"));
    fs::write(file("plain"), plain).unwrap();
    fs::write(file("bypass"), bypass).unwrap();
    // None where the program was killed.
    let _ = fs::copy(report, file("json"));
}

#[test]
fn passthrough_checked_and_cached_for_long() {
    compare(Form::new(
        "passthrough-checked-1000",
        passthrough(1000.0),
        0,
    ));
}

#[test]
fn passthrough_checked_and_never_cached() {
    compare(Form::new("passthrough-checked-0", passthrough(0.0), 1));
}

#[test]
fn passthrough_unchecked() {
    compare(Form {
        crowd: "owners",
        ..Form::new("passthrough-unchecked", Setting::PASSTHROUGH, 2)
    });
}

#[test]
fn memory_cached_for_long() {
    let setting = Setting {
        ttl: 1000.0,
        options: CHECKED,
        ..Setting::MEMORY
    };
    compare(Form::new("memory-1000", setting, 3));
}

#[test]
fn memory_never_cached_and_for_the_owner_alone() {
    let setting = Setting {
        ttl: 0.0,
        ..Setting::MEMORY
    };
    compare(Form {
        crowd: "owners",
        ..Form::new("memory-0", setting, 4)
    });
}

/// Runs a form whose guest changes mounts.
fn compare_as_root(form: Form) {
    if is_root() {
        compare(form);
    } else {
        println!("skipped: only root changes mounts");
    }
}

#[test]
fn remounted_read_only_and_back() {
    compare_as_root(Form {
        scene: "read-only",
        ..Form::new("read-only", passthrough(1000.0), 5)
    });
}

#[test]
fn remounted_without_symbolic_links_and_back() {
    compare_as_root(Form {
        scene: "no-symlinks",
        ..Form::new("no-symlinks", passthrough(0.0), 6)
    });
}

#[test]
fn mounts_come_and_go_below() {
    compare_as_root(Form {
        scene: "below",
        ..Form::new("below", passthrough(1000.0), 7)
    });
}

/// The first half of the steps makes what the second half meets.
#[test]
fn mounted_read_only() {
    let setting = passthrough(1.0);
    let form = Form::new("mounted-read-write", setting, 8);
    let Some(twins) = mount(setting) else {
        return;
    };
    let half = number("FINESSE_DIFF_STEPS", STEPS) / 2;
    compare_on(&twins, form, half);
    let setting = Setting {
        options: CHECKED_READ_ONLY,
        ..setting
    };
    let form = Form {
        name: "mounted-read-only",
        setting,
        bypassed: LOOKS,
        offset: 9,
        ..form
    };
    compare_on(&twins.mounted_again(setting), form, half);
}

#[test]
fn passthrough_fast() {
    let setting = Setting {
        fast: true,
        ..passthrough(1000.0)
    };
    compare(Form::new("passthrough-fast", setting, 10));
}

#[test]
fn memory_fast() {
    let setting = Setting {
        fast: true,
        options: CHECKED,
        ..Setting::MEMORY
    };
    compare(Form::new("memory-fast", setting, 11));
}
