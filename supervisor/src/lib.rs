//! Runs a program under a seccomp notification filter and forwards its calls on Finesse
//! mounts to the file systems' processes. `docs/ARCHITECTURE.md` has the picture; the way
//! of one call is `worker::Worker::forward`.

mod answer;
mod attend;
mod calls;
mod confine;
mod connection;
mod discovery;
#[allow(unsafe_code)]
mod early;
mod fast;
#[allow(unsafe_code)]
mod fork;
mod gather;
mod guardian;
mod heirs;
mod inspect;
mod launch;
mod mounts;
mod options;
mod orphans;
mod pace;
mod passed;
mod poll;
mod reason;
mod report;
mod request;
mod run;
mod slow;
mod supervise;
mod targets;
mod trace;
mod turns;
mod under_way;
mod worker;

pub use connection::ConnectError;
pub use discovery::NotServed;
pub use inspect::{InspectError, Inspection, Obstacle, inspect};
pub use options::Options;
pub use reason::Reason;
pub use run::run;
