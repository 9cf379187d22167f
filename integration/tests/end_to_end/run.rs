//! A program under `finesse-run` is what it is in a plain run.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use finesse_integration::mount::{FileSystem, MountRequest};
use finesse_integration::programs;

use crate::guest::{self, Kind};
use crate::report::Report;
use crate::timed::{self, Done};
use crate::twins::{self, Setting, Twins};

const LIMIT: Duration = Duration::from_secs(30);

fn finesse_run<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = timed::command(&[programs::run().unwrap()]);
    command.args(arguments);
    command
}

fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Done {
    timed::run(&mut finesse_run(arguments), LIMIT)
}

/// Runs a shell's `script` plainly, under `finesse-run`, and with a report. What whoever runs
/// the tests ignores, as nohup(1) does, a shell could not take back.
fn three_ways(script: &str) -> [Done; 3] {
    const PROGRAM: [&str; 4] = ["env", "--default-signal=HUP,INT,TERM", "/bin/sh", "-c"];
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report.json");
    let report = format!("--report-json={}", report.display());
    let program = [&PROGRAM[..], &[script]].concat();
    let plain = timed::run(&mut timed::command(&program), LIMIT);
    let under = run(&[&["--"], &program[..]].concat());
    let reported = run(&[&[&report, "--"], &program[..]].concat());
    [plain, under, reported]
}

#[test]
fn exit_codes_are_the_programs() {
    for code in [0, 1, 42, 125, 255] {
        for done in three_ways(&format!("exit {code}")) {
            assert_eq!(done.status.code(), Some(code), "{done:?}");
            assert_eq!((done.out.as_str(), done.err.as_str()), ("", ""));
        }
    }
}

#[test]
fn death_by_signal_is_seen_by_the_parent() {
    for (name, number) in [
        ("KILL", 9),
        ("TERM", 15),
        ("SEGV", 11),
        ("PIPE", 13),
        ("HUP", 1),
        ("INT", 2),
    ] {
        for done in three_ways(&format!("kill -{name} $$; exit 3")) {
            assert_eq!(done.status.signal(), Some(number), "{name}: {done:?}");
            assert_eq!(done.err, "");
        }
    }
}

#[test]
fn a_signal_sent_to_it_reaches_the_program() {
    let script = "trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    for options in [&[][..], &["--report-json=/dev/null"]] {
        let arguments = [options, &["--", "/bin/sh", "-c", script]].concat();
        let running = timed::start(&mut finesse_run(&arguments));
        timed::until("the program is ready", LIMIT, || {
            running.written() == "ready\n"
        });
        nix::sys::signal::kill(running.pid(), nix::sys::signal::SIGTERM).unwrap();
        let done = running.finish(LIMIT);
        assert_eq!(
            (done.out.as_str(), done.status.code()),
            ("ready\ncaught\n", Some(7)),
            "{done:?}"
        );
    }
}

#[test]
fn own_failures_have_codes_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    fs::write(&script, "#!/nonexistent/interpreter\n").unwrap();
    let data = dir.path().join("data");
    fs::write(&data, "").unwrap();
    let data = data.to_str().unwrap();
    for (arguments, code, said) in [
        (&["--", "/nonexistent"][..], 127, "cannot run /nonexistent"),
        (
            &["--", "no-such-program-anywhere"],
            127,
            "cannot run no-such-program-anywhere",
        ),
        (&["--", data], 126, "ermission denied"),
        (&["--", "/"], 126, "cannot run /"),
        (
            &["--policy", "/nonexistent", "--", "true"],
            125,
            "cannot read the policy /nonexistent",
        ),
        (
            &["--report-json", "/nonexistent/f", "--", "true"],
            125,
            "cannot write /nonexistent/f",
        ),
        (
            &["--report-json=/dev/null", "--", "/nonexistent"],
            127,
            "cannot run /nonexistent",
        ),
    ] {
        let done = run(arguments);
        assert_eq!(done.status.code(), Some(code), "{arguments:?} {done:?}");
        assert!(
            done.err.contains(said) && done.err.starts_with("finesse-run: "),
            "{done:?}"
        );
        assert_eq!(done.err.lines().count(), 1, "{done:?}");
        assert_eq!(done.out, "");
    }
    let usage = run::<&str>(&[]);
    assert!(
        usage.status.code() == Some(2) && usage.err.contains("Usage"),
        "{usage:?}"
    );
}

#[test]
fn the_three_streams_are_the_programs() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("input");
    fs::write(&input, "from afar\n").unwrap();
    for options in [&[][..], &["--report-json=/dev/null"]] {
        let arguments = [options, &["--", "/bin/sh", "-c", "cat; echo words >&2"]].concat();
        let mut command = finesse_run(&arguments);
        command.stdin(fs::File::open(&input).unwrap());
        let done = timed::run(&mut command, LIMIT);
        assert_eq!(
            (done.out.as_str(), done.err.as_str()),
            ("from afar\n", "words\n")
        );
    }
}

/// What a program finds when it starts.
#[test]
fn the_program_starts_with_what_it_would_have() {
    // Not SigQ: it counts the signals of all of the user's processes.
    let script = "grep -E '^(Sig[^Q]|ShdPnd|Umask|Groups|Cap|NoNewPrivs|Nice)' /proc/self/status; pwd; env | grep -v '^_=' | sort; \
        for fd in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$fd ] && echo $fd; done; nice; ulimit -a";
    let run = programs::run().unwrap();
    for before in [
        "",
        "exec <&-;",
        "exec 2>&-;",
        "trap '' PIPE USR1;",
        "umask 077; nice -n 3",
        "exec 5</dev/null;",
    ] {
        let shell = |with: &str| {
            let line = format!(
                "{before} exec {with} /bin/sh -c '{}'",
                script.replace('\'', "'\\''")
            );
            // `nice` takes a program, not `exec`.
            let line = if before.contains("nice") {
                line.replace(" exec ", " ")
            } else {
                line
            };
            timed::run(&mut timed::command(&["/bin/sh", "-c", &line]), LIMIT).out
        };
        let (plain, under) = (shell(""), shell(&format!("{} --", run.display())));
        assert!(plain.lines().count() > 10, "{plain}");
        crate::lines::assert_same(before, ("plain", &plain), ("finesse-run", &under));
        let reported = shell(&format!("{} --report-json=/dev/null --", run.display()));
        crate::lines::assert_same(before, ("plain", &plain), ("with a report", &reported));
    }
}

/// The limit is inherited, and holds for memory that has a descriptor too.
#[test]
fn where_files_may_not_grow_it_runs_all_the_same() {
    let run = programs::run().unwrap();
    for blocks in [0, 1, 64] {
        let script = format!("ulimit -f {blocks}; exec \"$0\" --fast=auto -- sh -c 'exit 7'");
        let words = [
            "sh".as_ref(),
            "-c".as_ref(),
            script.as_ref(),
            run.as_os_str(),
        ];
        let done = timed::run(&mut timed::command(&words), LIMIT);
        assert_eq!(done.status.code(), Some(7), "{blocks}: {done:?}");
    }
}

#[test]
fn the_program_is_the_process_that_was_started() {
    // pid, parent, process group, session.
    let script = "cut -d' ' -f1,4-6 /proc/$$/stat; :";
    let running = timed::start(&mut finesse_run(&["--", "/bin/sh", "-c", script]));
    let pid = running.pid();
    let session = nix::unistd::getsid(None).unwrap();
    let done = running.finish(LIMIT);
    let expected = format!("{pid} {} {pid} {session}", nix::unistd::getpid());
    assert_eq!(done.out.lines().next(), Some(expected.as_str()), "{done:?}");
    // Its children are its own: none of the supervisor's.
    let script = "sleep 9 & read -r all < /proc/$$/task/$$/children; kill $!; [ \"$all\" = $! ] && echo alone";
    let children = run(&["--", "/bin/sh", "-c", script]);
    assert_eq!(children.out, "alone\n", "{children:?}");
}

#[test]
fn a_wrong_policy_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.toml");
    let path = policy.to_str().unwrap();
    for (text, place) in [
        (
            "version = 1\n\n[defaults]\n  stats = \"bypass\"\n",
            ":4:3: ",
        ),
        ("version = 1\n[defaults]\nstat = \"bypas\"\n", ":3:8: "),
        ("version = 9\n", ":1:11: "),
        ("[[rule]]\npath = \"[\"\naction = \"kernel\"\n", ":2:8: "),
        ("version = = 1\n", ":1:"),
    ] {
        fs::write(&policy, text).unwrap();
        for more in [&["--check"][..], &["--", "true"]] {
            let done = run(&[&["--policy", path], more].concat());
            assert_eq!(done.status.code(), Some(125), "{done:?}");
            assert!(
                done.err.contains(&format!("{path}{place}")),
                "{text:?}: {done:?}"
            );
            assert!(done.err.contains("expected"), "{done:?}");
        }
    }
}

#[test]
fn check_explains_and_runs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (policy, made) = (dir.path().join("policy.toml"), dir.path().join("made"));
    fs::write(&policy, twins::BYPASS_ALL).unwrap();
    let path = policy.to_str().unwrap();
    for more in [&[][..], &["--", "touch", made.to_str().unwrap()]] {
        let done = run(&[&["--policy", path, "--check"], more].concat());
        assert!(
            done.status.success() && done.out.contains("bypass"),
            "{done:?}"
        );
        assert_eq!(done.err, "");
    }
    assert!(!made.exists());
}

#[test]
fn a_nested_run_is_plain_and_warns_once() {
    let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
        return;
    };
    let (dir, report) = (
        twins.bypass.path().join("d"),
        twins.dir.path().join("report.json"),
    );
    let inner = programs::run().unwrap();
    let mut command =
        twins.finesse_run(&["--report-json".as_ref(), report.as_os_str(), "--".as_ref()]);
    command
        .arg(inner)
        .args(["--", "/bin/sh", "-c", "mkdir \"$0\"; exit 6"])
        .arg(&dir);
    let done = timed::run(&mut command, LIMIT);
    assert_eq!(done.status.code(), Some(6), "{done:?}");
    assert!(done.err.contains("running without bypass"), "{done:?}");
    assert_eq!(done.err.lines().count(), 1, "{done:?}");
    assert!(dir.is_dir());
    // The outer one still covers it.
    assert_eq!(Report::read(&report).bypassed("mkdir"), 1);
}

#[test]
fn everything_that_a_program_starts_is_covered() {
    let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
        return;
    };
    let Some(program) = guest::build(Kind::GlibcStatic, "family.c", twins.dir.path()) else {
        return;
    };
    let report = twins.dir.path().join("report.json");
    let mut command =
        twins.finesse_run(&["--report-json".as_ref(), report.as_os_str(), "--".as_ref()]);
    let done = timed::run(command.arg(program).arg(twins.bypass.path()), LIMIT);
    assert_eq!(
        (done.out.as_str(), done.status.code()),
        ("done\n", Some(0)),
        "{done:?}"
    );
    let mut made: Vec<_> = fs::read_dir(&twins.bypass.source)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    made.sort();
    let expected = [
        "chain-0",
        "chain-1",
        "chain-2",
        "chain-3",
        "child",
        "first",
        "grandchild",
        "its-thread",
        "orphan",
        "thread",
        "vfork",
        "vfork-exec",
    ];
    assert_eq!(made, expected);
    let report = Report::read(&report);
    assert_eq!(
        (report.bypassed("mkdir"), report.continued("mkdir")),
        (12, 0),
        "{report:#?}"
    );
    // finesse-run's own, the two of the vfork and the spawn, three of the chain.
    assert_eq!(report.continued("execve"), 6, "{report:#?}");
}

#[test]
fn no_bypass_traps_and_continues() {
    let Some(twins) = Twins::mount(Setting::PASSTHROUGH, "") else {
        return;
    };
    let (dir, report) = (
        twins.bypass.path().join("d"),
        twins.dir.path().join("report.json"),
    );
    let options = [
        "--no-bypass".as_ref(),
        "--report-json".as_ref(),
        report.as_os_str(),
        "--".as_ref(),
    ];
    let done = timed::run(
        twins.finesse_run(&options).arg("/bin/mkdir").arg(&dir),
        LIMIT,
    );
    assert!(done.status.success() && dir.is_dir(), "{done:?}");
    let report = Report::read(&report);
    assert_eq!(
        (report.bypassed("mkdir"), report.continued("mkdir")),
        (0, 1),
        "{report:#?}"
    );
}

/// A user without privileges, with programs of its own; on a mount of its own where /dev/fuse is open to all as
/// it should be, else on one that root lets others into.
#[test]
fn a_user_without_privileges_may() {
    const NOBODY: u32 = 65534;
    if !twins::have_fuse() {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let inside = |name: &str| dir.path().join(name);
    twins::open_to_all(dir.path());
    for (name, program) in [
        ("run", programs::run().unwrap()),
        ("serve", programs::mount().unwrap()),
    ] {
        fs::copy(program, inside(name)).unwrap();
    }
    for name in ["source", "at", "reports"] {
        fs::create_dir(inside(name)).unwrap();
        std::os::unix::fs::chown(inside(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let become_nobody = "exec setpriv --reuid=65534 --regid=65534 --clear-groups";
    let is_open = fs::metadata("/dev/fuse").unwrap().permissions().mode() & 0o006 == 0o006;
    let (before, options) = match is_open {
        true => (become_nobody, vec![]),
        false => ("exec", vec!["--allow-other".into()]),
    };
    let wrapper = inside("wrapper");
    fs::write(
        &wrapper,
        format!("#!/bin/sh\n{before} {} \"$@\"\n", inside("serve").display()),
    )
    .unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let source = inside("source");
    let request = MountRequest {
        options,
        ..MountRequest::new(&wrapper, FileSystem::Passthrough(&source))
    };
    let mounted = request.start(&inside("at")).unwrap();
    let (made, report) = (mounted.path().join("made"), inside("reports/report.json"));
    let script = format!(
        "{become_nobody} {} --report-json {} -- /bin/sh -c 'grep NoNewPrivs /proc/self/status; mkdir {made}; \
         perl -e \"chown(0, -1, qq({made})) or die qq(\\$!\\n)\"; exit 9'",
        inside("run").display(),
        report.display(),
        made = made.display(),
    );
    let done = timed::run(&mut timed::command(&["/bin/sh", "-c", &script]), LIMIT);
    assert_eq!(done.status.code(), Some(9), "{done:?}");
    assert_eq!(done.out, "NoNewPrivs:\t1\n");
    assert_eq!(
        done.err.lines().count(),
        1,
        "chown is refused, nothing else: {done:?}"
    );
    let made = fs::metadata(source.join("made")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), NOBODY);
    let report = Report::read(&report);
    // A program that looks first leaves the call to the kernel.
    report.assert_bypassed(&["mkdir", "chown"]);
    mounted.unmount().unwrap();
}
