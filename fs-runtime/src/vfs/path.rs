//! Paths as the kernel's `link_path_walk` (fs/namei.c) takes them apart.

/// What a last component is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Last<'p> {
    /// A name (`LAST_NORM`).
    Name(&'p [u8]),
    /// `.`
    Dot,
    /// `..`
    DotDot,
}

/// A path with its last component apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Split<'p> {
    /// All before the last component.
    pub(super) head: &'p [u8],
    /// The last component.
    pub(super) last: Last<'p>,
    /// Whether slashes follow it.
    pub(super) slash: bool,
}

/// Takes the last component off; `None` when there is no component at all.
pub(super) fn split(path: &[u8]) -> Option<Split<'_>> {
    let end = path.iter().rposition(|byte| *byte != b'/')? + 1;
    let start = path[..end]
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    Some(Split {
        head: &path[..start],
        last: classify(&path[start..end]),
        slash: end < path.len(),
    })
}

/// Takes the first component off; `None` when there is none.
pub(super) fn first(path: &[u8]) -> Option<(Last<'_>, &[u8])> {
    let start = path.iter().position(|byte| *byte != b'/')?;
    let path = &path[start..];
    let end = path
        .iter()
        .position(|byte| *byte == b'/')
        .unwrap_or(path.len());
    Some((classify(&path[..end]), &path[end..]))
}

fn classify(component: &[u8]) -> Last<'_> {
    match component {
        b"." => Last::Dot,
        b".." => Last::DotDot,
        name => Last::Name(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_component_comes_off() {
        let parts = |path| split(path).map(|s| (s.head, s.last, s.slash));
        assert_eq!(parts(b""), None);
        assert_eq!(parts(b"//"), None);
        assert_eq!(parts(b"a"), Some((&b""[..], Last::Name(b"a"), false)));
        assert_eq!(
            parts(b"a//b//"),
            Some((&b"a//"[..], Last::Name(b"b"), true))
        );
        assert_eq!(parts(b"a/."), Some((&b"a/"[..], Last::Dot, false)));
        assert_eq!(parts(b"../"), Some((&b""[..], Last::DotDot, true)));
        assert_eq!(parts(b"..."), Some((&b""[..], Last::Name(b"..."), false)));
    }

    #[test]
    fn the_first_component_comes_off() {
        assert_eq!(first(b"//"), None);
        assert_eq!(first(b"//a//b"), Some((Last::Name(b"a"), &b"//b"[..])));
        assert_eq!(first(b"../x"), Some((Last::DotDot, &b"/x"[..])));
    }
}
