//! Sets of operations, and the names that policies have for them.

use std::fmt;

use finesse_wire::Operation;

/// Names of more than one operation.
pub(crate) const GROUPS: [&str; 3] = ["all", "mutations", "lookups"];

/// A set of operations.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct OperationSet(u32);

impl OperationSet {
    /// All operations.
    pub fn all() -> OperationSet {
        Operation::all().collect()
    }

    /// The operations that a policy calls `name`: one, or a group of them.
    pub(crate) fn from_name(name: &str) -> Option<OperationSet> {
        match name {
            "all" => Some(OperationSet::all()),
            "mutations" => Some(Operation::all().filter(|o| !o.is_lookup()).collect()),
            "lookups" => Some(Operation::all().filter(|o| o.is_lookup()).collect()),
            _ => name
                .parse::<Operation>()
                .ok()
                .map(|o| [o].into_iter().collect()),
        }
    }

    /// Whether the operation is in the set.
    pub fn contains(self, operation: Operation) -> bool {
        self.0 & OperationSet::bit(operation) != 0
    }

    /// Whether the set has no operation.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set's operations, mutations first.
    pub fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::all().filter(move |operation| self.contains(*operation))
    }

    /// What is in this set and not in `other`.
    pub(crate) fn without(self, other: OperationSet) -> OperationSet {
        OperationSet(self.0 & !other.0)
    }

    fn bit(operation: Operation) -> u32 {
        1 << operation as u8
    }
}

impl FromIterator<Operation> for OperationSet {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Self {
        OperationSet(
            operations
                .into_iter()
                .fold(0, |set, o| set | OperationSet::bit(o)),
        )
    }
}

impl fmt::Debug for OperationSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The names with commas, groups that the set holds by theirs, `none` if it is empty.
impl fmt::Display for OperationSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = *self;
        let mut names = Vec::new();
        for name in GROUPS {
            let group = OperationSet::from_name(name).unwrap_or_default();
            if !rest.is_empty() && group.without(rest).is_empty() {
                names.push(name);
                rest = rest.without(group);
            }
        }
        names.extend(rest.iter().map(Operation::name));
        if names.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&names.join(", "))
    }
}

/// One value for each operation, found by its number.
#[derive(Clone, Debug)]
pub(crate) struct PerOperation<T>(Box<[T]>);

impl<T> PerOperation<T> {
    pub(crate) fn from_fn(value: impl FnMut(Operation) -> T) -> Self {
        // The wire numbers operations from 1 without a gap, in the order of `all`.
        PerOperation(Operation::all().map(value).collect())
    }

    pub(crate) fn get(&self, operation: Operation) -> &T {
        &self.0[operation as usize - 1]
    }

    pub(crate) fn set(&mut self, operation: Operation, value: T) {
        self.0[operation as usize - 1] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_finds_its_own_value() {
        let per = PerOperation::from_fn(|operation| operation);
        for operation in Operation::all() {
            assert_eq!(*per.get(operation), operation);
            assert!((operation as u32) < u32::BITS);
        }
    }

    #[test]
    fn groups_split_all_operations() {
        let [all, mutations, lookups] = GROUPS.map(|name| OperationSet::from_name(name).unwrap());
        assert_eq!(all.without(mutations), lookups);
        assert_eq!(all.without(lookups), mutations);
        assert!(mutations.contains(Operation::Unlink) && !mutations.contains(Operation::Stat));
        assert!(lookups.contains(Operation::Statfs));
        assert_eq!(OperationSet::from_name("open"), None);
    }

    #[test]
    fn sets_are_shown_by_name() {
        let set: OperationSet = [Operation::Stat, Operation::Unlink].into_iter().collect();
        assert_eq!(set.to_string(), "unlink, stat");
        assert_eq!(OperationSet::all().to_string(), "all");
        let but_stat = OperationSet::all().without([Operation::Stat].into_iter().collect());
        let expected = "mutations, access, readlink, getxattr, listxattr, statfs";
        assert_eq!(but_stat.to_string(), expected);
        assert_eq!(OperationSet::default().to_string(), "none");
    }
}
