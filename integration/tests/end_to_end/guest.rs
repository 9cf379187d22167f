//! The guest programs, compiled from `integration/guests`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::foreign::examples::pkg_config;

/// How a guest is built.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    GlibcStatic,
    GlibcDynamic,
    /// With other bytes of the file behind its text, as lld has it, not zeros.
    GlibcTight,
    MuslStatic,
    CppStatic,
    CppDynamic,
    /// A daemon on libfuse.
    Daemon,
    /// A shared library, with a word for the preprocessor.
    Library(&'static str),
    /// Neither libc nor start-up code.
    Bare,
    Go,
}

impl Kind {
    fn command(self) -> Command {
        let (compiler, options): (_, &[&str]) = match self {
            Kind::GlibcStatic => ("gcc", &["-static", "-pthread"]),
            Kind::GlibcDynamic | Kind::Daemon => ("gcc", &["-pthread"]),
            Kind::GlibcTight => ("gcc", &["-static", "-pthread", "-Wl,-z,noseparate-code"]),
            Kind::MuslStatic => ("musl-gcc", &["-static", "-pthread"]),
            Kind::CppStatic => ("g++", &["-static", "-pthread"]),
            Kind::CppDynamic => ("g++", &["-pthread"]),
            Kind::Library(_) => ("gcc", &["-shared", "-fPIC"]),
            Kind::Bare => (
                "gcc",
                &[
                    "-static",
                    "-nostdlib",
                    "-fno-builtin",
                    "-fno-stack-protector",
                ],
            ),
            Kind::Go => ("go", &["build"]),
        };
        let mut command = Command::new(compiler);
        command.args(options);
        if let Kind::Library(word) = self {
            command.arg(word);
        }
        if let Kind::Go = self {
            // Nothing from the network, and no module: one file.
            command.envs([
                ("GO111MODULE", "off"),
                ("CGO_ENABLED", "0"),
                ("GOFLAGS", ""),
            ]);
        } else {
            command.args(["-O1", "-Wall", "-Wextra", "-Werror"]);
        }
        command
    }
}

/// Compiles `source` of `integration/guests` into `dir`. `None`, with the reason printed, when there is no
/// such compiler.
pub(crate) fn build(kind: Kind, source: &str, dir: &Path) -> Option<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let program = dir.join(format!("guest-{number}"));
    let mut command = kind.command();
    if let Kind::Go = kind {
        command
            .env("GOCACHE", dir.join("go-cache"))
            .env("HOME", dir);
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("guests")
        .join(source);
    command.arg("-o").arg(&program).arg(source);
    if let Kind::Daemon = kind {
        command.args(pkg_config(&["--cflags", "--libs", "fuse3"]));
    }
    match command.output() {
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command:?}: {words}");
            Some(program)
        }
        Err(error) => {
            println!("skipped: cannot start {:?}: {error}", command.get_program());
            None
        }
    }
}
