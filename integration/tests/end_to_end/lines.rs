//! Comparing two outputs line by line.

/// Fails on the first difference, with the ten lines before it. `left` and `right` are what the two are called.
pub(crate) fn assert_same(what: &str, (left, ours): (&str, &str), (right, theirs): (&str, &str)) {
    let (a, b): (Vec<_>, Vec<_>) = (ours.lines().collect(), theirs.lines().collect());
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    if same == a.len() && same == b.len() {
        return;
    }
    let before = a[same.saturating_sub(10)..same].join("\n  ");
    let next = |lines: &[&str]| {
        lines
            .get(same)
            .map_or("(end)".to_owned(), |line| (*line).to_owned())
    };
    panic!(
        "{what}: difference in line {}\n  {before}\n- {left}: {}\n- {right}: {}",
        same + 1,
        next(&a),
        next(&b)
    );
}
