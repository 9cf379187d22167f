//! A policy's text as a tree of values that know where they stand.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Fault, PolicyError};
use crate::names::Choices;

/// A value and its place in the text.
pub(crate) type Value<'i> = Spanned<DeValue<'i>>;

/// A key with its value. `key_at` and the value's span are byte ranges of the text.
pub(crate) struct Entry<'t, 'i> {
    pub(crate) key: &'t str,
    pub(crate) key_at: Range<usize>,
    pub(crate) value: &'t Value<'i>,
}

/// The text, to turn byte offsets into lines and columns.
#[derive(Clone, Copy)]
pub(crate) struct Source<'i>(pub(crate) &'i str);

impl<'i> Source<'i> {
    /// The text as a tree.
    pub(crate) fn tree(self) -> Result<Spanned<DeTable<'i>>, PolicyError> {
        DeTable::parse(self.0).map_err(|error| {
            let at = error.span().unwrap_or(0..0);
            // The parser says both in one sentence.
            let (found, expected) = match error.message().split_once(", expected ") {
                Some((found, expected)) => (found, expected),
                None if error.message() == "duplicate key" => (error.message(), "each key once"),
                None => (error.message(), "valid TOML"),
            };
            self.error(&at, Fault::Syntax, found.to_owned(), expected.to_owned())
        })
    }

    pub(crate) fn error(
        self,
        at: &Range<usize>,
        fault: Fault,
        found: String,
        expected: String,
    ) -> PolicyError {
        let (line, column) = self.position(at.start);
        PolicyError {
            line,
            column,
            fault,
            found,
            expected,
        }
    }

    pub(crate) fn unknown_key(self, entry: &Entry<'_, '_>, known: &[&str]) -> PolicyError {
        let found = format!("unknown key `{}`", entry.key.escape_debug());
        let expected = Choices::new(known, entry.key).to_string();
        self.error(&entry.key_at, Fault::UnknownKey, found, expected)
    }

    pub(crate) fn wrong_type(self, value: &Value<'_>, expected: &str) -> PolicyError {
        let found = described(value.get_ref());
        self.error(&value.span(), Fault::WrongType, found, expected.to_owned())
    }

    /// The string that `value` is, else an error that names `expected`.
    pub(crate) fn string<'t>(
        self,
        value: &'t Value<'_>,
        expected: &str,
    ) -> Result<&'t str, PolicyError> {
        value
            .get_ref()
            .as_str()
            .ok_or_else(|| self.wrong_type(value, expected))
    }

    /// Line and column in characters, both from 1, of a byte offset.
    pub(crate) fn position(self, offset: usize) -> (usize, usize) {
        let offset = self.0.floor_char_boundary(offset);
        let before = &self.0[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }
}

/// A table's entries in the order of the text, so that the first fault is reported.
pub(crate) fn entries<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref(),
            key_at: key.span(),
            value,
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_at.start);
    entries
}

fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string `{}`", text.escape_debug()),
        DeValue::Integer(number) => format!("the integer {number}"),
        DeValue::Float(number) => format!("the float {number}"),
        DeValue::Boolean(truth) => format!("the boolean {truth}"),
        DeValue::Datetime(time) => format!("the date-time {time}"),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let source = Source("a\nüb\r\nc");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(1), (1, 2));
        assert_eq!(source.position(2), (2, 1));
        assert_eq!(source.position(4), (2, 2));
        assert_eq!(source.position(7), (3, 1));
        assert_eq!(source.position(99), (3, 2));
    }
}
