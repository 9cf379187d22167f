//! The report as one page: charts as inline SVG, every figure in a table too, nothing from elsewhere.

mod chart;

use std::fmt::Write;

use self::chart::{Dot, Line, Plot};
use super::report::{Report, Row};
use super::stats::Summary;
use super::table::{micros, same_group, times};

const STYLE: &str = include_str!("page.css");

/// What the charts draw: class in the style sheet, words in the legend.
const SERIES: [(&str, &str); 4] = [
    ("native", "native directory"),
    ("best", "FUSE, best placement"),
    ("fuse", "FUSE, default placement"),
    ("bypass", "bypass, default placement"),
];

/// The whole page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut body = String::new();
    for group in report.rows.chunk_by(same_group) {
        section(&mut body, group);
    }
    if report.rows.is_empty() {
        body.push_str("<p>Nothing was measured.</p>");
    }
    if !report.warnings.is_empty() {
        let items: String = report
            .warnings
            .iter()
            .map(|warning| format!("<li>{}</li>", escape(warning)))
            .collect();
        let _ = write!(body, "<h2>Not measured</h2><ul>{items}</ul>");
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Finesse: native, FUSE, bypass</title><style>{STYLE}</style></head><body><main>\
         <h1>Native, FUSE, bypass</h1><p>The same static program on a directory, on its plain FUSE mount, and on \
         the mount under <code>finesse-run</code>. Columns ran in turn within each repetition; figures are medians, \
         whiskers reach from the fastest to the slowest repetition.</p>{body}</main></body></html>\n"
    )
}

fn section(body: &mut String, rows: &[Row]) {
    let first = &rows[0];
    let threads = if first.threads == 1 {
        "one thread".to_owned()
    } else {
        format!("{} threads", first.threads)
    };
    let _ = write!(
        body,
        "<section><h2>{} over {}, {threads}</h2>",
        escape(first.fs),
        escape(&first.backing)
    );
    let _ = write!(
        body,
        "<h3>How many times as fast as FUSE</h3>{}",
        speedups(rows)
    );
    let _ = write!(
        body,
        "<h3>Time per operation</h3>{}{}",
        legend(&SERIES),
        durations(rows)
    );
    let _ = write!(
        body,
        "<h3>All figures</h3>{}{}</section>",
        figures(rows),
        details(rows)
    );
}

fn speedups(rows: &[Row]) -> String {
    let series = [
        ("bypass", "against FUSE at its best placement"),
        ("fuse", "against FUSE at its default placement"),
    ];
    let line = |row: &Row| {
        let against = [("fuse", row.fuse_us), ("bypass", row.fuse_best_us)];
        let dots = against.into_iter().filter_map(|(class, other)| {
            let at = row.times(other)?;
            let (_, what) = *series.iter().find(|(known, _)| *known == class)?;
            Some(Dot {
                class,
                at,
                range: None,
                text: format!("{}: {at:.2} times as fast, {what}", row.workload),
            })
        });
        Line {
            name: row.workload,
            dots: dots.collect(),
        }
    };
    let plot = Plot {
        about: "Speed of the bypass relative to FUSE",
        unit: "×",
        base: Some(1.0),
        lines: rows.iter().map(line).collect(),
    };
    format!("{}{}", legend(&series), plot.svg())
}

fn durations(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let dots = SERIES.into_iter().filter_map(|(class, what)| {
            let summary = summary(row, class)?;
            let text = format!(
                "{}, {what}: {} µs ({} to {})",
                row.workload,
                micros(summary.median),
                micros(summary.min),
                micros(summary.max)
            );
            Some(Dot {
                class,
                at: summary.median,
                range: Some((summary.min, summary.max)),
                text,
            })
        });
        Line {
            name: row.workload,
            dots: dots.collect(),
        }
    };
    Plot {
        about: "Microseconds per operation",
        unit: "µs",
        base: None,
        lines: rows.iter().map(line).collect(),
    }
    .svg()
}

/// The figures of one of the [`SERIES`].
fn summary(row: &Row, class: &str) -> Option<Summary> {
    match class {
        "best" => row.column(&format!("fuse ({})", row.fuse_best_placement?)),
        "native" => row.column(class),
        other => row.column(&format!("{other} (default)")),
    }
}

fn legend(series: &[(&str, &str)]) -> String {
    let items: String = series
        .iter()
        .map(|(class, what)| format!("<li><svg width=\"14\" height=\"14\" aria-hidden=\"true\"><circle class=\"{class}\" cx=\"7\" cy=\"7\" r=\"5\"/></svg>{what}</li>"))
        .collect();
    format!("<ul class=\"legend\">{items}</ul>")
}

fn figures(rows: &[Row]) -> String {
    let header = [
        "workload",
        "operations",
        "native µs",
        "FUSE µs",
        "FUSE best µs",
        "best placement",
        "bypass µs",
        "× best",
        "× FUSE",
        "× native",
        "goal",
    ];
    let head: String = header
        .iter()
        .map(|name| format!("<th scope=\"col\">{name}</th>"))
        .collect();
    let body: String = rows.iter().map(figures_row).collect();
    format!(
        "<div class=\"wide\"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
}

fn figures_row(row: &Row) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), micros);
    let goal = row.goal.as_ref().map_or_else(String::new, |goal| {
        let (class, mark) = if goal.met {
            ("met", "✓")
        } else {
            ("missed", "✗")
        };
        format!(
            "<span class=\"{class}\">{mark}</span> {}",
            escape(&goal.text)
        )
    });
    let cells = [
        row.ops.to_string(),
        number(row.native_us),
        number(row.fuse_us),
        number(row.fuse_best_us),
        row.fuse_best_placement.unwrap_or("-").to_owned(),
        number(row.bypass_us),
        times(row.times(row.fuse_best_us)),
        times(row.times(row.fuse_us)),
        times(row.times(row.native_us)),
        goal,
    ];
    let cells: String = cells
        .iter()
        .map(|cell| format!("<td>{cell}</td>"))
        .collect();
    format!(
        "<tr><th scope=\"row\">{}</th>{cells}</tr>",
        escape(row.workload)
    )
}

/// Every column with its spread, the placements that were not the best among them.
fn details(rows: &[Row]) -> String {
    let lines = rows
        .iter()
        .flat_map(|row| row.columns.iter().map(move |measured| (row, measured)));
    let body: String = lines
        .map(|(row, measured)| {
            let Summary { median, min, max } = measured.summary;
            let (name, column) = (escape(row.workload), escape(&measured.column));
            let cells: String = [median, min, max]
                .iter()
                .map(|value| format!("<td>{}</td>", micros(*value)))
                .collect();
            format!(
                "<tr><th scope=\"row\">{name}</th><td>{column}</td>{cells}<td>{}</td></tr>",
                measured.repeats
            )
        })
        .collect();
    format!(
        "<details><summary>Every column and placement, with spread</summary><div class=\"wide\"><table><thead><tr>\
         <th scope=\"col\">workload</th><th scope=\"col\">column</th><th scope=\"col\">median µs</th>\
         <th scope=\"col\">fastest</th><th scope=\"col\">slowest</th><th scope=\"col\">repetitions</th></tr></thead>\
         <tbody>{body}</tbody></table></div></details>"
    )
}

/// Text as HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::column::Served;
    use crate::compare::report::tests::row;

    fn sample() -> String {
        let rows = vec![
            row("unlink", Served::Passthrough, [10.0, 60.0, 30.0, 15.0]),
            row(
                "exec-true",
                Served::Passthrough,
                [700.0, 700.0, 700.0, 3000.0],
            ),
            row("unlink", Served::Memory, [1.0, 50.0, 25.0, 8.0]),
        ];
        page(&Report {
            rows,
            warnings: vec!["<odd> & \"quoted\"".to_owned()],
        })
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = sample();
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "//"] {
            assert!(!page.contains(outside), "{outside} is in the page");
        }
    }

    #[test]
    fn every_figure_is_in_a_table() {
        let page = sample();
        let tables: String = page
            .split("<table>")
            .skip(1)
            .filter_map(|part| part.split("</table>").next())
            .collect();
        for figure in [
            "10.0", "60.0", "30.0", "15.0", "16.5", "2.00", "4.00", "3000", "same CPU",
        ] {
            assert!(
                tables.contains(&format!(">{figure}</td>")),
                "{figure} is in no table"
            );
        }
    }

    #[test]
    fn text_is_escaped_and_tags_are_closed() {
        let page = sample();
        assert!(page.contains("&lt;odd&gt; &amp; &quot;quoted&quot;"));
        for tag in ["svg", "table", "section", "details", "g", "text", "title"] {
            let opened = page.matches(&format!("<{tag} ")).count()
                + page.matches(&format!("<{tag}>")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }

    #[test]
    fn an_empty_report_is_a_page_too() {
        assert!(page(&Report::default()).contains("Nothing was measured"));
    }
}
