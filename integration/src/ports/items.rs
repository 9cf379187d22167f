//! Whether the crate `finesse-every-item`, and the tables in docs/PORTING.md, name each public item of fuser.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::build::{self, cargo, project};

/// What rustdoc says of a crate, in JSON.
#[derive(Debug, Deserialize)]
struct Documented {
    root: Value,
    index: BTreeMap<String, Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    name: Option<String>,
    /// One entry: the item's kind, and what is particular to it.
    inner: BTreeMap<String, Value>,
}

/// An item's path, ending in its name, and its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    path: String,
    kind: String,
}

impl Named {
    fn name(&self) -> &str {
        self.path.rsplit("::").next().unwrap_or(&self.path)
    }

    /// Of errnos and sets of flags the tables name the types alone.
    fn is_for_the_tables(&self) -> bool {
        let of_a_set = ["Flags::", "PollEvents::"];
        self.kind != "assoc_const" && !of_a_set.iter().any(|part| self.path.contains(part))
    }
}

/// Prints what is named nowhere; whether that is nothing. `package` is one that depends on fuser.
///
/// # Errors
/// rustdoc fails, or speaks otherwise than it used to.
pub fn check(package: &Path, target: &Path) -> Result<bool> {
    let items = public_items(package, target)?;
    let count = items.len();
    ensure!(count > 500, "rustdoc knows only {count} items of fuser");
    let mut source = String::new();
    for entry in fs::read_dir(project().join("integration/every-item/src"))? {
        source += &fs::read_to_string(entry?.path())?;
    }
    let tables = fs::read_to_string(project().join("docs/PORTING.md"))?;
    let all: Vec<_> = items.iter().collect();
    let for_the_tables = items.iter().filter(|one| one.is_for_the_tables());
    let named = are_named("finesse-every-item", &source, &all);
    let listed = are_named(
        "docs/PORTING.md",
        &tables,
        &for_the_tables.collect::<Vec<_>>(),
    );
    Ok(named && listed)
}

/// Whether `text`, which is that of `place`, has the names of all `items`.
fn are_named(place: &str, text: &str, items: &[&Named]) -> bool {
    let ends = |c: char| !c.is_alphanumeric() && c != '_';
    let words: BTreeSet<_> = text.split(ends).collect();
    let missing: Vec<_> = items
        .iter()
        .filter(|one| !words.contains(one.name()))
        .collect();
    println!(
        "  {place} names {} of {}",
        items.len() - missing.len(),
        items.len()
    );
    for one in &missing {
        println!("    MISSING: {} ({})", one.path, one.kind);
    }
    missing.is_empty()
}

fn public_items(package: &Path, target: &Path) -> Result<BTreeSet<Named>> {
    let mut command = cargo();
    command
        .args(["rustdoc", "--quiet", "--lib", "-p", "fuser", "--target-dir"])
        .arg(target)
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        // Not stable yet.
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(package);
    build::succeed(&mut command)?;
    let text = fs::read(target.join("doc/fuser.json")).context("rustdoc wrote nothing")?;
    let documented: Documented =
        serde_json::from_slice(&text).context("rustdoc writes otherwise than it used to")?;
    let mut items = BTreeSet::new();
    documented.walk(&documented.root, "", &mut items);
    Ok(items)
}

impl Documented {
    /// Adds the item `id`, which is found in `outside`, and those in it.
    fn walk(&self, id: &Value, outside: &str, items: &mut BTreeSet<Named>) {
        let Some(item) = self.index.get(&id.to_string()) else {
            return;
        };
        let Some((kind, inner)) = item.inner.first_key_value() else {
            return;
        };
        let path = match (outside, item.name.as_deref()) {
            _ if *id == self.root => String::new(),
            ("", Some(name)) => name.to_owned(),
            (outside, Some(name)) => format!("{outside}::{name}"),
            (outside, None) => outside.to_owned(),
        };
        match kind.as_str() {
            // No item is renamed.
            "use" => return self.walk(&inner["id"], outside, items),
            // The source names the traits themselves.
            "impl" if !inner["trait"].is_null() => return,
            "module" | "impl" => {}
            kind => {
                items.insert(Named {
                    path: path.clone(),
                    kind: kind.to_owned(),
                });
            }
        }
        let lists = [&inner["items"], &inner["variants"], &inner["impls"]];
        let fields = &inner["kind"]["plain"]["fields"];
        for list in lists.into_iter().chain([fields]) {
            for id in list.as_array().into_iter().flatten() {
                self.walk(id, &path, items);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_in_the_root_is_found_where_it_is_made() {
        let text = r#"{"root": 0, "index": {
            "0": {"name": "fuser", "inner": {"module": {"items": [1]}}},
            "1": {"name": null, "inner": {"use": {"id": 2}}},
            "2": {"name": "Reply", "inner": {"struct": {"impls": [3, 4], "kind": {"plain": {"fields": [7]}}}}},
            "3": {"name": null, "inner": {"impl": {"trait": null, "items": [5]}}},
            "4": {"name": null, "inner": {"impl": {"trait": {"path": "Drop"}, "items": [6]}}},
            "5": {"name": "error", "inner": {"function": {}}},
            "6": {"name": "drop", "inner": {"function": {}}},
            "7": {"name": "code", "inner": {"struct_field": {}}}
        }}"#;
        let documented: Documented = serde_json::from_str(text).unwrap();
        let mut items = BTreeSet::new();
        documented.walk(&documented.root, "", &mut items);
        let paths: Vec<_> = items.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["Reply", "Reply::code", "Reply::error"]);
        assert!(are_named(
            "here",
            "Reply::error(code)",
            &items.iter().collect::<Vec<_>>()
        ));
        assert!(!are_named(
            "here",
            "Reply::errors(code)",
            &items.iter().collect::<Vec<_>>()
        ));
    }
}
