//! The table on the terminal.

use std::fmt::Write;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table, TableComponent};

use super::report::{Report, Row};
use super::stats::Summary;

const HEADER: [&str; 11] = [
    "workload",
    "ops",
    "native",
    "FUSE",
    "FUSE best",
    "placement",
    "bypass",
    "× best",
    "× FUSE",
    "× native",
    "goal",
];
/// The column that is there only when it was asked for, before the ratios.
const PINNED: &str = "bypass, same CPU";
const PINNED_AT: usize = 7;
/// Those that are there only when `--fast` was asked for, at the end.
const FAST: [&str; 2] = ["fast", "fast × native"];
/// Likewise for daemons of others: under finesse-serve, without finesse-run.
const IDLE: [(&str, &str); 2] = [
    ("served", "idle (default)"),
    ("served, same CPU", "idle (same CPU, 1 thread)"),
];
const IDLE_AT: usize = 6;

/// All rows, a table for each file system and number of threads. On a terminal it fits its width.
#[must_use]
pub fn render(report: &Report, on_terminal: bool) -> String {
    let mut text = String::new();
    for group in report.rows.chunk_by(same_group) {
        let first = &group[0];
        let threads = if first.threads == 1 {
            "1 thread".to_owned()
        } else {
            format!("{} threads", first.threads)
        };
        let _ = writeln!(
            text,
            "\n{} over {}, {threads}: µs per operation, median ± half the range",
            first.fs, first.backing
        );
        let _ = writeln!(text, "{}", table(group, on_terminal));
    }
    if report.rows.is_empty() {
        text.push_str("nothing was measured");
    } else {
        text.push_str("× best, × FUSE, × native: how many times as fast the bypass is.");
    }
    text
}

/// Whether two rows belong into one table.
#[must_use]
pub(super) fn same_group(a: &Row, b: &Row) -> bool {
    (a.fs, a.threads) == (b.fs, b.threads)
}

fn table(rows: &[Row], on_terminal: bool) -> Table {
    let pinned = rows.iter().any(|row| row.bypass_pinned_us.is_some());
    let mut header = HEADER.map(str::to_owned).to_vec();
    if pinned {
        header.insert(PINNED_AT, PINNED.to_owned());
    }
    let fast = rows.iter().any(|row| row.fast_us.is_some());
    if fast {
        header.extend(FAST.map(str::to_owned));
    }
    let idle = rows.iter().any(|row| row.column(IDLE[0].1).is_some());
    if idle {
        header.splice(IDLE_AT..IDLE_AT, IDLE.map(|(name, _)| name.to_owned()));
    }
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    // A line below the header and none between the rows.
    table.remove_style(TableComponent::HorizontalLines);
    table.remove_style(TableComponent::MiddleIntersections);
    if on_terminal {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for row in rows {
        let mut cells = cells(row).to_vec();
        if pinned {
            cells.insert(PINNED_AT, column(row, "bypass (same CPU)"));
        }
        if fast {
            let ratio = row
                .native_us
                .zip(row.fast_us)
                .map(|(native, fast)| native / fast);
            cells.extend([column(row, "fast"), times(ratio)]);
        }
        if idle {
            cells.splice(IDLE_AT..IDLE_AT, IDLE.map(|(_, name)| column(row, name)));
        }
        table.add_row(cells);
    }
    align(&mut table, &header);
    table.set_header(header);
    table
}

/// Figures to the right, words to the left.
fn align(table: &mut Table, header: &[String]) {
    for (column, name) in table.column_iter_mut().zip(header) {
        column.set_padding((0, 1));
        if !["workload", "placement", "goal"].contains(&name.as_str()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Median and spread of the column called `name`, or a dash.
fn column(row: &Row, name: &str) -> String {
    row.column(name)
        .map_or_else(|| "-".to_owned(), |summary| figure(&summary))
}

/// The cells of a row, in the order of the header; `-` where nothing was measured.
fn cells(row: &Row) -> [String; 11] {
    let best = row.fuse_best_placement.unwrap_or("-");
    [
        row.workload.to_owned(),
        row.ops.to_string(),
        column(row, "native"),
        column(row, "fuse (default)"),
        column(row, &format!("fuse ({best})")),
        best.to_owned(),
        column(row, "bypass (default)"),
        times(row.times(row.fuse_best_us)),
        times(row.times(row.fuse_us)),
        times(row.times(row.native_us)),
        row.goal.as_ref().map_or_else(String::new, |goal| {
            format!("{} {}", if goal.met { "✓" } else { "✗" }, goal.text)
        }),
    ]
}

fn figure(summary: &Summary) -> String {
    format!(
        "{} ±{:>2.0}%",
        micros(summary.median),
        summary.spread_percent()
    )
}

/// Three significant digits are as many as a median of a few repetitions bears.
#[must_use]
pub(super) fn micros(value: f64) -> String {
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}")
}

/// A ratio, or a dash.
#[must_use]
pub(super) fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::column::Served;
    use crate::compare::report::tests::row;

    #[test]
    fn a_row_shows_medians_spread_and_ratios() {
        let report = Report {
            rows: vec![row("unlink", Served::Passthrough, [10.0, 60.0, 30.0, 15.0])],
            warnings: vec![],
        };
        let text = render(&report, false);
        for wanted in [
            "unlink",
            "10.0 ±10%",
            "60.0",
            "30.0",
            "same CPU",
            "15.0",
            "2.00",
            "4.00",
            "0.67",
            "✓ 1.3× FUSE-best",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
        }
    }

    #[test]
    fn a_pinned_bypass_has_a_column_only_when_there_is_one() {
        let mut row = row("unlink", Served::Passthrough, [10.0, 60.0, 30.0, 15.0]);
        assert!(
            !table(std::slice::from_ref(&row), false)
                .to_string()
                .contains(PINNED)
        );
        row.bypass_pinned_us = Some(12.3);
        row.columns[3].column = "bypass (same CPU)".to_owned();
        let text = table(&[row], false).to_string();
        assert!(
            text.contains(PINNED) && text.contains("15.0 ±10%"),
            "{text}"
        );
    }

    #[test]
    fn the_fast_path_has_its_columns_only_when_it_was_measured() {
        let mut row = row("unlink", Served::Passthrough, [10.0, 60.0, 30.0, 15.0]);
        let text = |row: &Row| table(std::slice::from_ref(row), false).to_string();
        assert!(!text(&row).contains(FAST[1]));
        row.fast_us = Some(8.0);
        assert!(text(&row).contains(FAST[1]) && text(&row).contains("1.25"));
    }

    #[test]
    fn figures_have_three_digits() {
        assert_eq!(
            [micros(1.234), micros(12.34), micros(123.4)],
            ["1.23", "12.3", "123"]
        );
        assert_eq!(times(None), "-");
    }
}
