//! Naming what would have been right.

use std::fmt;

/// Words to choose from, with the one that a wrong word probably meant.
pub(crate) struct Choices<'a> {
    words: &'a [&'a str],
    wrong: &'a str,
}

impl<'a> Choices<'a> {
    pub(crate) fn new(words: &'a [&'a str], wrong: &'a str) -> Self {
        Choices { words, wrong }
    }

    /// What follows a list of choices when one of them is near.
    pub(crate) fn hint(name: &str) -> String {
        format!("; did you mean `{name}`?")
    }
}

impl fmt::Display for Choices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of ")?;
        for (index, word) in self.words.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}`{word}`")?;
        }
        match nearest(self.wrong, self.words.iter().copied()) {
            Some(word) => f.write_str(&Choices::hint(word)),
            None => Ok(()),
        }
    }
}

/// The word that `wrong` probably meant: the same in another case, or at most a third
/// of its letters away.
pub(crate) fn nearest<'a>(wrong: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// No word of a policy is longer; distances of long texts take long to compute.
    const LONGEST: usize = 24;
    if wrong.len() > LONGEST {
        return None;
    }
    let folded = wrong.to_lowercase();
    words
        .map(|word| {
            let distance = strsim::osa_distance(&folded, &word.to_lowercase());
            (distance, word)
        })
        .filter(|(distance, word)| distance * 3 <= word.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_others_not() {
        let words = ["mount", "path", "operations"];
        assert_eq!(nearest("opertion", words.into_iter()), Some("operations"));
        assert_eq!(nearest("Path", words.into_iter()), Some("path"));
        assert_eq!(nearest("fast", words.into_iter()), None);
        assert_eq!(nearest("", words.into_iter()), None);
        assert_eq!(nearest(&"m".repeat(1 << 20), words.into_iter()), None);
    }

    #[test]
    fn choices_read_as_a_sentence() {
        let text = Choices::new(&["mount", "path"], "mout").to_string();
        assert_eq!(text, "one of `mount`, `path`; did you mean `mount`?");
    }
}
