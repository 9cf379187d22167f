//! The aligned list on the terminal.

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};

use crate::check::{Check, State};

/// One row a check, its remedy below its meaning. Wraps at the terminal's width; coloured
/// on a terminal only, and not where `NO_COLOR` is set.
pub(crate) fn of<'c>(checks: impl Iterator<Item = &'c Check>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        table.force_no_tty();
    }
    for check in checks {
        table.add_row([
            Cell::new(check.state.word()).fg(colour(check.state)),
            Cell::new(&check.name),
            Cell::new(text(check)),
        ]);
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    table.trim_fmt()
}

fn text(check: &Check) -> String {
    match &check.remedy {
        Some(remedy) => format!("{}\n→ {remedy}", check.meaning),
        None => check.meaning.clone(),
    }
}

fn colour(state: State) -> Color {
    match state {
        State::Ok => Color::Green,
        State::Limited => Color::Yellow,
        State::Missing => Color::Red,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_remedies_follow() {
        let checks = [
            Check::ok("short", "fine"),
            Check::limited("a longer name", "slow", "be patient"),
        ];
        assert_eq!(
            of(checks.iter()),
            "ok       short          fine\n\
             limited  a longer name  slow\n\
             \u{20}                       → be patient"
        );
    }
}
