//! The command line of `finesse-run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use finesse_policy::Fast;

/// Run a program; its calls on Finesse mounts go straight to the file system's process.
///
/// The program and all that it starts run unmodified. Calls that Finesse does not serve
/// are executed by the kernel as ever. Unless you are root, the program cannot gain
/// privileges while it runs (no_new_privs): set-user-ID programs such as sudo run without
/// their privilege.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "finesse-run",
    version,
    override_usage = "finesse-run [OPTIONS] [--] PROGRAM [ARGS...]"
)]
pub struct Options {
    /// What to bypass, by mount, path, program and operation (docs/POLICY.md).
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Explain the policy and end.
    #[arg(long)]
    pub check: bool,

    /// At exit, print what became of the trapped calls to standard error.
    #[arg(long)]
    pub report: bool,

    /// At exit, write what became of the trapped calls to FILE, as JSON.
    #[arg(long, value_name = "FILE")]
    pub report_json: Option<PathBuf>,

    /// Trap, but let the kernel execute everything: shows what trapping costs.
    #[arg(long)]
    pub no_bypass: bool,

    /// Let programs post their requests themselves, without a trap: auto, on or off. Wins
    /// over the policy; without it and the policy, off. Experimental.
    #[arg(
        long,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on"
    )]
    pub fast: Option<Fast>,

    /// Say more about what happens (twice: much more).
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// The program and its arguments.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PROGRAM",
        required_unless_present = "check"
    )]
    pub program: Vec<OsString>,
}
