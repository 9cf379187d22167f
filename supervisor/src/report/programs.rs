//! What became of programs on the fast path.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

/// What happened to a process that may post its calls itself, or to a call site of it. Reasons
/// and classes are a few words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Note {
    /// It has made its first call that was bypassed.
    Met,
    /// A call of it was bypassed with a trap.
    Trapped,
    /// So many calls needed none.
    Untrapped(u64),
    /// It has the agent.
    HasAgent,
    /// It does not get the agent.
    Without(&'static str),
    /// It has the agent, which is off from now on.
    AgentOff(&'static str),
    /// A site of this class was rewritten.
    Rewritten(&'static str),
    /// A site stays as it is.
    Left(&'static str),
}

/// What is known of all programs.
#[derive(Debug, Default)]
pub(super) struct Programs {
    programs: Mutex<HashMap<Arc<Path>, Program>>,
}

/// All processes that ran one file.
#[derive(Clone, Debug, Default)]
struct Program {
    processes: u64,
    with_agent: u64,
    /// Processes that were found not to get the agent.
    without: u64,
    trapped: u64,
    untrapped: u64,
    rewritten: BTreeMap<&'static str, u64>,
    left: BTreeMap<&'static str, u64>,
    on_traps: BTreeMap<&'static str, u64>,
}

/// [`Programs`] as data.
#[derive(Debug, Serialize)]
pub(super) struct Json {
    programs: Vec<JsonProgram>,
}

#[derive(Debug, Serialize)]
struct JsonProgram {
    program: String,
    processes: u64,
    with_agent: u64,
    untrapped: u64,
    trapped: u64,
    sites_rewritten: BTreeMap<&'static str, u64>,
    sites_left: BTreeMap<&'static str, u64>,
    on_traps: BTreeMap<&'static str, u64>,
}

/// Why processes have no agent that were never found not to get it.
const FEW: &str = "it makes few calls";

impl Programs {
    pub(super) fn note(&self, program: &Arc<Path>, note: Note) {
        let mut programs = self.programs.lock();
        if !programs.contains_key(program) {
            programs.insert(Arc::clone(program), Program::default());
        }
        if let Some(program) = programs.get_mut(program) {
            program.note(note);
        }
    }

    pub(super) fn to_json(&self) -> Json {
        let programs = self.programs.lock();
        let mut programs: Vec<_> = programs
            .iter()
            .map(|(path, program)| program.clone().into_json(path))
            .collect();
        programs.sort_by(|a, b| {
            let weight = |it: &JsonProgram| it.untrapped.saturating_add(it.trapped);
            weight(b).cmp(&weight(a)).then(a.program.cmp(&b.program))
        });
        Json { programs }
    }
}

impl Program {
    fn note(&mut self, note: Note) {
        let count = |counts: &mut BTreeMap<_, u64>, what| *counts.entry(what).or_default() += 1;
        match note {
            Note::Met => self.processes += 1,
            Note::Trapped => self.trapped += 1,
            Note::Untrapped(calls) => self.untrapped = self.untrapped.saturating_add(calls),
            Note::HasAgent => self.with_agent += 1,
            Note::Without(why) => {
                self.without += 1;
                count(&mut self.on_traps, why);
            }
            Note::AgentOff(why) => count(&mut self.on_traps, why),
            Note::Rewritten(class) => count(&mut self.rewritten, class),
            Note::Left(why) => count(&mut self.left, why),
        }
    }

    fn into_json(self, path: &Path) -> JsonProgram {
        let mut on_traps = self.on_traps;
        let few = self
            .processes
            .saturating_sub(self.with_agent + self.without);
        if few > 0 {
            on_traps.insert(FEW, few);
        }
        JsonProgram {
            program: path.to_string_lossy().into_owned(),
            processes: self.processes,
            with_agent: self.with_agent,
            untrapped: self.untrapped,
            trapped: self.trapped,
            sites_rewritten: self.rewritten,
            sites_left: self.left,
            on_traps,
        }
    }
}

impl Json {
    /// As `--report` prints it, below the calls.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        for program in &self.programs {
            let _ = writeln!(
                text,
                "fast path: {} untrapped, {} trapped, {} of {} processes with the agent: {}",
                program.untrapped,
                program.trapped,
                program.with_agent,
                program.processes,
                program.program
            );
            for (name, counts) in [
                ("sites rewritten", &program.sites_rewritten),
                ("sites left", &program.sites_left),
                ("on traps because", &program.on_traps),
            ] {
                if !counts.is_empty() {
                    let counts: Vec<_> =
                        counts.iter().map(|(it, n)| format!("{it} ({n})")).collect();
                    let _ = writeln!(text, "  {name}: {}", counts.join(", "));
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_say_what_became_of_them() {
        let programs = Programs::default();
        let (one, other) = (Arc::from(Path::new("/one")), Arc::from(Path::new("/other")));
        for note in [
            Note::Met,
            Note::Trapped,
            Note::HasAgent,
            Note::Rewritten("a"),
            Note::Rewritten("a"),
            Note::Left("b"),
            Note::Untrapped(7),
            Note::AgentOff("c"),
            Note::Met,
            Note::Without("d"),
            Note::Met,
        ] {
            programs.note(&one, note);
        }
        programs.note(&other, Note::Met);
        let text = "\
fast path: 7 untrapped, 1 trapped, 1 of 3 processes with the agent: /one
  sites rewritten: a (2)
  sites left: b (1)
  on traps because: c (1), d (1), it makes few calls (1)
fast path: 0 untrapped, 0 trapped, 0 of 1 processes with the agent: /other
  on traps because: it makes few calls (1)
";
        assert_eq!(programs.to_json().to_text(), text);
        let json = serde_json::to_value(programs.to_json()).unwrap();
        assert_eq!(json["programs"][0]["sites_rewritten"]["a"], 2);
        assert_eq!(json["programs"][0]["on_traps"]["d"], 1);
    }
}
