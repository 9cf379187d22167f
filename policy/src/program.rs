//! A policy as it is for one program.

use std::path::Path;
use std::sync::Arc;

use finesse_wire::Operation;

use crate::decision::Decision;
use crate::fast::Fast;
use crate::operations::PerOperation;
use crate::rule::Rule;

/// One call to decide about.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What it does.
    pub operation: Operation,
    /// The mountpoint of the file system that it is for, absolute, in the target's terms.
    pub mount: &'a Path,
    /// The path that it names, absolute, in the target's terms, normalised by its text
    /// alone. Looked at only where [`ProgramPolicy::needs_path`] says so.
    pub path: &'a Path,
}

/// The rules that apply to one program, by operation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProgramPolicy {
    routes: Arc<PerOperation<Route>>,
    by_mount_alone: bool,
    fast: Fast,
}

/// What is left to ask about an operation once the program is known.
#[derive(Debug)]
struct Route {
    /// Rules that depend on mount or path, in order.
    rules: Box<[Arc<Rule>]>,
    /// The decision if none of them matches.
    otherwise: Decision,
    needs_path: bool,
}

impl ProgramPolicy {
    /// `rules` are those for the program, in order.
    pub(crate) fn new(rules: &[Arc<Rule>], defaults: &PerOperation<Decision>, fast: Fast) -> Self {
        let routes = PerOperation::from_fn(|operation| {
            Route::new(rules, operation, *defaults.get(operation))
        });
        ProgramPolicy {
            by_mount_alone: Operation::all().all(|it| routes.get(it).is_by_mount_alone()),
            routes: Arc::new(routes),
            fast,
        }
    }

    /// What to do with the call. Without rules on mount or path for its operation this
    /// is one look into a table.
    pub fn decide(&self, call: &Call<'_>) -> Decision {
        let route = self.routes.get(call.operation);
        route
            .rules
            .iter()
            .find(|rule| rule.is_for_place(call))
            .map_or(route.otherwise, |rule| rule.decision)
    }

    /// What to do with a call that names two places, as rename(2) and link(2) do: the
    /// stricter of the decisions on each ([`Decision::stricter`]).
    pub fn decide_both(&self, from: &Call<'_>, to: &Call<'_>) -> Decision {
        self.decide(from).stricter(self.decide(to))
    }

    /// Whether the decision on this operation depends on [`Call::path`].
    pub fn needs_path(&self, operation: Operation) -> bool {
        self.routes.get(operation).needs_path
    }

    /// Whether the program posts its calls itself.
    pub fn fast(&self) -> Fast {
        self.fast
    }

    /// Whether every decision is to bypass or to leave to the kernel, and depends on nothing
    /// but operation and mount.
    pub fn is_by_mount_alone(&self) -> bool {
        self.by_mount_alone
    }

    /// The decision on this operation if it is the same for each mount and path.
    pub fn fixed(&self, operation: Operation) -> Option<Decision> {
        let route = self.routes.get(operation);
        route.rules.is_empty().then_some(route.otherwise)
    }
}

impl Route {
    fn is_by_mount_alone(&self) -> bool {
        let mut decisions = self.rules.iter().map(|rule| rule.decision);
        let refuses = |decision| matches!(decision, Decision::Refuse(_));
        !self.needs_path && !refuses(self.otherwise) && !decisions.any(refuses)
    }

    fn new(rules: &[Arc<Rule>], operation: Operation, default: Decision) -> Route {
        let mut otherwise = default;
        let mut asked = Vec::new();
        for rule in rules
            .iter()
            .filter(|rule| rule.operations.contains(operation))
        {
            if rule.is_for_any_place() {
                otherwise = rule.decision;
                break;
            }
            asked.push(Arc::clone(rule));
        }
        Route {
            needs_path: asked.iter().any(|rule| rule.path.is_some()),
            rules: asked.into(),
            otherwise,
        }
    }
}
