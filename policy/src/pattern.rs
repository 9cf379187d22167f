//! Patterns of paths and file names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use globset::{GlobBuilder, GlobSet};

use crate::components::{Component, Malformed, Scanned, scan};

/// Longest path that the kernel takes, linux: include/uapi/linux/limits.h (`PATH_MAX`).
const LONGEST: usize = 4096;

/// A glob over absolute, normalised paths or over one file name. `*`, `?` and classes
/// stay within a component, `**` spans components.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    components: Option<Vec<Component>>,
    matching: Matching,
}

/// How a path is compared, cheapest first.
#[derive(Clone, Debug)]
enum Matching {
    Literal(Vec<u8>),
    /// Everything below this directory: the pattern was `literal/**`.
    Below(Vec<u8>),
    /// Everything in this directory itself: the pattern was `literal/*`.
    Inside(Vec<u8>),
    Glob(GlobSet),
}

impl Pattern {
    /// A pattern of absolute paths.
    pub(crate) fn absolute(text: &str) -> Result<Pattern, Malformed> {
        if !text.starts_with('/') {
            return Err(Malformed::new(
                "a relative pattern",
                "an absolute one, beginning with `/`",
            ));
        }
        let mut scanned = scan(text)?;
        if let Some(components) = &mut scanned.components {
            components.remove(0);
            if text == "/" {
                components.clear();
            }
            components.iter().try_for_each(normalised)?;
        }
        Pattern::compile(text, scanned, "/")
    }

    /// A pattern of file names.
    pub(crate) fn name(text: &str) -> Result<Pattern, Malformed> {
        let scanned = scan(text)?;
        scanned
            .components
            .iter()
            .flatten()
            .try_for_each(normalised)?;
        Pattern::compile(text, scanned, "")
    }

    fn compile(text: &str, scanned: Scanned, root: &str) -> Result<Pattern, Malformed> {
        if text.len() > LONGEST {
            return Err(Malformed::new(
                "a pattern longer than any path",
                "at most 4096 bytes",
            ));
        }
        let matching = match scanned.components.as_deref() {
            Some(all) if let Some(path) = literal(all, root) => Matching::Literal(path),
            Some([above @ .., last]) if let Some(simple) = last_wild(above, last, root) => simple,
            _ => Matching::Glob(glob_set(&scanned.glob)?),
        };
        Ok(Pattern {
            text: text.to_owned(),
            components: scanned.components,
            matching,
        })
    }

    /// The text that it was made from.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn matches(&self, path: &OsStr) -> bool {
        let bytes = path.as_bytes();
        match &self.matching {
            Matching::Literal(literal) => bytes == literal,
            Matching::Below(above) => below(bytes, above).is_some(),
            Matching::Inside(above) => {
                below(bytes, above).is_some_and(|rest| !rest.contains(&b'/'))
            }
            Matching::Glob(glob) => glob.is_match(path),
        }
    }

    /// Whether it surely matches all that `other` matches. `false` may mean unknown.
    pub(crate) fn covers(&self, other: &Pattern) -> bool {
        if self.text == other.text {
            return true;
        }
        if let Some(path) = other.as_literal() {
            return self.matches(path);
        }
        match (&self.matching, &self.components, &other.components) {
            // `other` is not literal, so it goes on after the directory: each of its
            // further components is at least one of a normalised path.
            (Matching::Below(_), Some(own), Some(others)) => {
                others.starts_with(&own[..own.len() - 1])
            }
            _ => false,
        }
    }

    /// The one path or name that it matches, if it has no wildcards.
    pub(crate) fn as_literal(&self) -> Option<&OsStr> {
        match &self.matching {
            Matching::Literal(path) => Some(OsStr::from_bytes(path)),
            _ => None,
        }
    }

    /// Whether a path that it matches may be, or be below, a directory that `mount`
    /// matches. `true` may mean unknown.
    pub(crate) fn may_lie_under(&self, mount: &Pattern) -> bool {
        let (Some(own), Some(mounts)) = (&self.components, &mount.components) else {
            return true;
        };
        for (index, mount) in mounts.iter().enumerate() {
            match (mount, own.get(index)) {
                (Component::Deep, _) | (_, Some(Component::Deep)) => return true,
                (_, None) => return false,
                (mount, Some(own)) if !may_agree(mount, own) => return false,
                _ => {}
            }
        }
        true
    }
}

/// A component that can stand in a normalised path.
fn normalised(component: &Component) -> Result<(), Malformed> {
    const EXPECTED: &str = "a pattern without `.`, `..`, empty components and trailing slash";
    match component {
        Component::Literal(text) if text.is_empty() => Err(Malformed::new(
            "an empty component, which no path has",
            EXPECTED,
        )),
        Component::Literal(text) if text == "." || text == ".." => Err(Malformed::new(
            "a component `.` or `..`, which no normalised path has",
            EXPECTED,
        )),
        _ => Ok(()),
    }
}

/// What follows `above/` in `path`.
fn below<'p>(path: &'p [u8], above: &[u8]) -> Option<&'p [u8]> {
    path.strip_prefix(above)?.strip_prefix(b"/")
}

/// How to compare with an absolute pattern whose only wildcard is a last `*` or `**`.
fn last_wild(above: &[Component], last: &Component, root: &str) -> Option<Matching> {
    if root.is_empty() {
        return None;
    }
    let directory = match above {
        [] => Vec::new(),
        above => literal(above, root)?,
    };
    match last {
        Component::Deep => Some(Matching::Below(directory)),
        Component::Glob(glob) if glob == "*" => Some(Matching::Inside(directory)),
        _ => None,
    }
}

/// The path that literal components make, `None` if one is not literal.
fn literal(components: &[Component], root: &str) -> Option<Vec<u8>> {
    let texts: Option<Vec<&str>> = components
        .iter()
        .map(|component| match component {
            Component::Literal(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    Some(format!("{root}{}", texts?.join("/")).into_bytes())
}

/// Whether some text may match both components.
fn may_agree(one: &Component, other: &Component) -> bool {
    match (one, other) {
        (Component::Literal(one), Component::Literal(other)) => one == other,
        (Component::Glob(glob), Component::Literal(text))
        | (Component::Literal(text), Component::Glob(glob)) => {
            glob_set(glob).is_ok_and(|glob| glob.is_match(text))
        }
        _ => true,
    }
}

/// A set of one: unlike a lone matcher it reports a glob that is too complex.
fn glob_set(text: &str) -> Result<GlobSet, Malformed> {
    let glob = GlobBuilder::new(text)
        .literal_separator(true)
        .backslash_escape(true)
        .empty_alternates(true)
        .build();
    glob.and_then(|glob| GlobSet::builder().add(glob).build())
        .map_err(|_| Malformed::new("a pattern too complex to compile", "a simpler glob"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::absolute(pattern)
            .unwrap()
            .matches(OsStr::new(path))
    }

    #[test]
    fn globs_match_as_documented() {
        for (pattern, path, expected) in [
            ("/mnt", "/mnt", true),
            ("/mnt", "/mnt/a", false),
            ("/", "/", true),
            ("/mnt/*", "/mnt/a", true),
            ("/mnt/*", "/mnt/.a", true),
            ("/mnt/*", "/mnt/a/b", false),
            ("/mnt/*", "/mnt", false),
            ("/mnt/**", "/mnt/a", true),
            ("/mnt/**", "/mnt/a/b", true),
            ("/mnt/**", "/mnt", false),
            ("/mnt/**", "/mntx/a", false),
            ("/**", "/a/b", true),
            ("/**", "/", true),
            ("/*", "/a", true),
            ("/*", "/a/b", false),
            ("/mnt/*", "/mntx/a", false),
            ("/mnt/**/x", "/mnt/x", true),
            ("/mnt/**/x", "/mnt/a/b/x", true),
            ("/mnt/**/x", "/mnt/ax", false),
            ("/a?c", "/abc", true),
            ("/a?c", "/a/c", false),
            ("/a[!b]c", "/axc", true),
            ("/a[!b]c", "/a/c", false),
            ("/a[^b]c", "/abc", false),
            ("/{a,b}/*.o", "/b/x.o", true),
            ("/x{,.bak}", "/x", true),
            ("/x{/y,z}", "/x/y", true),
            (r"/a\*", "/a*", true),
            (r"/a\*", "/ab", false),
            ("/Mnt", "/mnt", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn paths_need_not_be_utf8() {
        let path = OsStr::from_bytes(b"/mnt/\xff/x");
        assert!(Pattern::absolute("/mnt/*/x").unwrap().matches(path));
        assert!(Pattern::absolute("/mnt/**").unwrap().matches(path));
    }

    #[test]
    fn covering_is_seen_where_it_is_plain() {
        let covers = |one, other| {
            Pattern::absolute(one)
                .unwrap()
                .covers(&Pattern::absolute(other).unwrap())
        };
        assert!(covers("/mnt/*", "/mnt/a"));
        assert!(covers("/mnt/**", "/mnt/a/*"));
        assert!(covers("/mnt/**", "/mnt/**/x"));
        assert!(!covers("/mnt/**", "/mnt"));
        assert!(!covers("/mnt/**", "/**"));
        assert!(!covers("/mnt/a", "/mnt/*"));
    }

    #[test]
    fn places_below_a_mount_are_told_from_others() {
        let may = |path, mount| {
            let mount = Pattern::absolute(mount).unwrap();
            Pattern::absolute(path).unwrap().may_lie_under(&mount)
        };
        for (path, mount, expected) in [
            ("/mnt/a/x", "/mnt/*", true),
            ("/mnt/a", "/mnt/a", true),
            ("/mnt", "/mnt/*", false),
            ("/srv/**", "/mnt/*", false),
            ("/**/x", "/mnt/*", true),
            ("/mnt/b*/x", "/mnt/a", false),
            ("/mnt/?/x", "/mnt/a", true),
            ("/mnt/a/x", "/mnt/b*", false),
            ("/x", "/", true),
            ("/x", "/**", true),
            ("/x", "/{y/z,w}", true),
        ] {
            assert_eq!(may(path, mount), expected, "{path} {mount}");
        }
    }

    #[test]
    fn deep_braces_and_long_patterns_are_refused() {
        let deep = format!("/{}{}", "{".repeat(1000), "}".repeat(1000));
        assert!(Pattern::absolute(&deep).is_err());
        assert!(Pattern::absolute(&format!("/{}", "a".repeat(LONGEST))).is_err());
    }
}
