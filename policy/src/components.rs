//! A glob's text, checked and cut into path components.
//!
//! globset has a few readings that would surprise in a policy: a negated class matches
//! `/`, and `a**` is `a*`. The first is mended here, the second refused.

use std::iter::Peekable;
use std::str::Chars;

/// One component of a pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Component {
    /// Text without wildcards, escapes resolved.
    Literal(String),
    /// A glob that matches one component.
    Glob(String),
    /// `**`: any number of components.
    Deep,
}

/// A glob that was found well formed.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// The text for globset.
    pub(crate) glob: String,
    /// What stands between the slashes; empty before a leading slash. None if a slash
    /// stands in braces, where components have no one order.
    pub(crate) components: Option<Vec<Component>>,
}

/// What is wrong with a glob.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Malformed {
    pub(crate) found: &'static str,
    pub(crate) expected: &'static str,
}

impl Malformed {
    pub(crate) fn new(found: &'static str, expected: &'static str) -> Self {
        Malformed { found, expected }
    }
}

/// Checks a glob and cuts it up.
pub(crate) fn scan(text: &str) -> Result<Scanned, Malformed> {
    let mut scanner = Scanner {
        rest: text.chars().peekable(),
        done: Vec::new(),
        glob: String::new(),
        current: Current::default(),
        braces: 0,
        separator_in_braces: false,
    };
    while let Some(c) = scanner.rest.next() {
        scanner.take(c)?;
    }
    scanner.finish()
}

struct Scanner<'t> {
    rest: Peekable<Chars<'t>>,
    done: Vec<Component>,
    glob: String,
    current: Current,
    braces: usize,
    separator_in_braces: bool,
}

/// The component that is being read.
#[derive(Default)]
struct Current {
    glob: String,
    literal: String,
    wild: bool,
    after_star: bool,
    double_star: bool,
}

impl Scanner<'_> {
    fn take(&mut self, c: char) -> Result<(), Malformed> {
        let after_star = std::mem::take(&mut self.current.after_star);
        match c {
            '\0' => return Err(Malformed::new("a NUL character", "a path without it")),
            '/' => return self.separator(),
            '\\' => return self.escape(),
            '[' => return self.class(),
            '{' => self.braces += 1,
            '}' => {
                let outer = self.braces.checked_sub(1);
                self.braces = outer.ok_or(Malformed::new("`}` without `{`", "`{` before it"))?;
            }
            '*' => {
                self.current.after_star = true;
                self.current.double_star |= after_star;
            }
            '?' => {}
            // A comma within braces is covered by the braces' own wildness.
            _ => {
                self.current.literal.push(c);
                self.current.glob.push(c);
                return Ok(());
            }
        }
        self.current.wild = true;
        self.current.glob.push(c);
        Ok(())
    }

    fn separator(&mut self) -> Result<(), Malformed> {
        if self.braces > 0 {
            self.separator_in_braces = true;
            self.current.glob.push('/');
            return Ok(());
        }
        self.end_component()?;
        self.glob.push('/');
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        match self.rest.next() {
            None => Err(Malformed::new(
                "`\\` at the end",
                "a character after it, or `\\\\`",
            )),
            Some(c @ ('\0' | '/')) => self.take(c),
            Some(c) => {
                self.current.literal.push(c);
                self.current.glob.extend(['\\', c]);
                Ok(())
            }
        }
    }

    /// A class, read as globset reads it, that never matches a slash.
    fn class(&mut self) -> Result<(), Malformed> {
        self.current.wild = true;
        self.current.glob.push('[');
        let negated = self.rest.next_if(|c| matches!(c, '!' | '^')).is_some();
        if negated {
            self.current.glob.push('!');
        }
        let mut first = true;
        loop {
            match self.rest.next() {
                None => return Err(Malformed::new("`[` without `]`", "`]` after it")),
                Some(']') if !first => break,
                Some(from) => self.class_element(from, first, negated)?,
            }
            if first && negated {
                // A range cannot begin here: `-` is last when it is not first.
                self.current.glob.push('/');
            }
            first = false;
        }
        self.current.glob.push(']');
        Ok(())
    }

    fn class_element(&mut self, from: char, first: bool, negated: bool) -> Result<(), Malformed> {
        let to = self.range_end().unwrap_or(from);
        if from == '-' && !first && self.rest.peek() != Some(&']') {
            return Err(Malformed::new(
                "`-` between others in a class",
                "`-` as the first or last of a class",
            ));
        }
        if from > to {
            return Err(Malformed::new(
                "a range that runs backwards",
                "the smaller character first",
            ));
        }
        if !negated && (from..=to).contains(&'/') {
            return Err(Malformed::new(
                "a class that holds `/`",
                "a class without it: a component has no slash",
            ));
        }
        if from == '\0' || to == '\0' {
            return self.take('\0');
        }
        self.current.glob.push(from);
        if to != from {
            self.current.glob.extend(['-', to]);
        }
        Ok(())
    }

    /// The end of a range, if a range stands here.
    fn range_end(&mut self) -> Option<char> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') {
            return None;
        }
        let end = ahead.next().filter(|end| *end != ']')?;
        self.rest = ahead;
        Some(end)
    }

    fn end_component(&mut self) -> Result<(), Malformed> {
        let current = std::mem::take(&mut self.current);
        self.glob.push_str(&current.glob);
        if current.double_star && current.glob != "**" {
            return Err(Malformed::new(
                "`**` beside other text or in braces",
                "`**` alone between slashes, or `*`",
            ));
        }
        self.done.push(match (current.wild, current.double_star) {
            (false, _) => Component::Literal(current.literal),
            (true, false) => Component::Glob(current.glob),
            (true, true) => Component::Deep,
        });
        Ok(())
    }

    fn finish(mut self) -> Result<Scanned, Malformed> {
        if self.braces > 0 {
            return Err(Malformed::new("`{` without `}`", "`}` after it"));
        }
        self.end_component()?;
        Ok(Scanned {
            glob: self.glob,
            components: (!self.separator_in_braces).then_some(self.done),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Component::{Deep, Glob, Literal};
    use super::*;

    fn components(text: &str) -> Option<Vec<Component>> {
        scan(text).unwrap().components
    }

    #[test]
    fn components_are_cut_at_slashes() {
        let literal = |text: &str| Literal(text.to_owned());
        assert_eq!(
            components(r"/a\*b/*.c/**"),
            Some(vec![
                literal(""),
                literal("a*b"),
                Glob("*.c".to_owned()),
                Deep
            ])
        );
        assert_eq!(components("rm"), Some(vec![literal("rm")]));
        assert_eq!(components("/{a/b,c}"), None);
        assert_eq!(components("/{a,b}").unwrap().len(), 2);
    }

    #[test]
    fn classes_never_match_a_slash() {
        for (text, glob) in [
            ("[a-c]", "[a-c]"),
            ("[!a]", "[!a/]"),
            ("[^a-]", "[!a/-]"),
            ("[!]a]", "[!]/a]"),
            ("[!]-a]", "[!]-a/]"),
            ("[!--a]", "[!--a/]"),
            ("[]-]", "[]-]"),
        ] {
            assert_eq!(scan(text).unwrap().glob, glob, "{text}");
        }
    }

    #[test]
    fn malformed_globs_are_refused() {
        for (text, found) in [
            ("/a[b", "`[` without `]`"),
            ("/[]", "`[` without `]`"),
            ("/a{b", "`{` without `}`"),
            ("/a}b", "`}` without `{`"),
            ("/a\\", "`\\` at the end"),
            ("/a**", "`**` beside other text or in braces"),
            ("/***", "`**` beside other text or in braces"),
            ("/{**,a}", "`**` beside other text or in braces"),
            ("/[z-a]", "a range that runs backwards"),
            ("/[+-9]", "a class that holds `/`"),
            ("/[/]", "a class that holds `/`"),
            ("/[a-c-e]", "`-` between others in a class"),
            ("/a\0", "a NUL character"),
            ("/\\\0", "a NUL character"),
            ("/[\0]", "a NUL character"),
        ] {
            assert_eq!(scan(text).unwrap_err().found, found, "{text}");
        }
    }
}
