//! Dots with whiskers on a logarithmic axis, a line a workload.

use std::fmt::Write;

use super::escape;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 160.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 26.0;
const STEP: f64 = 22.0;

/// A chart.
pub(super) struct Plot<'a> {
    /// What it shows, for those who cannot see it.
    pub(super) about: &'a str,
    /// Unit of the axis.
    pub(super) unit: &'a str,
    /// A value to draw a line at, always in sight.
    pub(super) base: Option<f64>,
    /// From top to bottom.
    pub(super) lines: Vec<Line<'a>>,
}

/// One line of a chart.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) dots: Vec<Dot>,
}

/// One value.
pub(super) struct Dot {
    /// Class in the style sheet.
    pub(super) class: &'static str,
    pub(super) at: f64,
    /// Smallest and largest, for whiskers.
    pub(super) range: Option<(f64, f64)>,
    /// Shown when pointed at.
    pub(super) text: String,
}

/// A logarithmic axis from `low` to `high`.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    /// The axis that holds all positive `values`, with a little room.
    fn around(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values
            .filter(|value| *value > 0.0)
            .fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if low > high {
            Self {
                low: 0.5,
                high: 2.0,
            }
        } else {
            Self {
                low: low / 1.15,
                high: high * 1.15,
            }
        }
    }

    fn x(&self, value: f64) -> f64 {
        let share = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    /// 1, 2 and 5 of each power of ten; only the powers when these would crowd.
    fn ticks(&self) -> Vec<f64> {
        let decades = -4..8;
        let steps: &[f64] = if self.high / self.low > 3000.0 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let all =
            decades.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
        all.filter(|tick| (self.low..=self.high).contains(tick))
            .collect()
    }
}

impl Plot<'_> {
    /// The chart as an SVG element.
    pub(super) fn svg(&self) -> String {
        let dots = || self.lines.iter().flat_map(|line| &line.dots);
        let ends = dots().flat_map(|dot| dot.range.into_iter().flat_map(|(low, high)| [low, high]));
        let axis = Axis::around(dots().map(|dot| dot.at).chain(ends).chain(self.base));
        let height =
            f64::from(u32::try_from(self.lines.len()).unwrap_or(u32::MAX)).mul_add(STEP, TOP + 8.0);
        let mut svg = format!(
            "<div class=\"wide\"><svg class=\"plot\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">",
            escape(self.about)
        );
        self.grid(&mut svg, &axis, height);
        let mut y = TOP + STEP / 2.0;
        for line in &self.lines {
            draw_line(&mut svg, line, &axis, y);
            y += STEP;
        }
        svg.push_str("</svg></div>");
        svg
    }

    fn grid(&self, svg: &mut String, axis: &Axis, height: f64) {
        for tick in axis.ticks() {
            let (x, bottom) = (axis.x(tick), height - 4.0);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>"
            );
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{x:.1}\" y=\"{}\">{tick} {}</text>",
                TOP - 8.0,
                self.unit
            );
        }
        if let Some(base) = self.base {
            let x = axis.x(base);
            let _ = write!(
                svg,
                "<line class=\"base\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\"/>",
                height - 4.0
            );
        }
    }
}

fn draw_line(svg: &mut String, line: &Line<'_>, axis: &Axis, y: f64) {
    let _ = write!(
        svg,
        "<text class=\"name\" x=\"{}\" y=\"{:.1}\">{}</text>",
        LEFT - 10.0,
        y + 4.0,
        escape(line.name)
    );
    for dot in &line.dots {
        let _ = write!(
            svg,
            "<g class=\"{}\"><title>{}</title>",
            dot.class,
            escape(&dot.text)
        );
        if let Some((low, high)) = dot.range {
            let _ = write!(
                svg,
                "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
                axis.x(low),
                axis.x(high)
            );
        }
        let _ = write!(
            svg,
            "<circle class=\"{}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"5\"/></g>",
            dot.class,
            axis.x(dot.at)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_is_logarithmic_and_holds_its_values() {
        let axis = Axis::around([1.0, 10.0, 100.0].into_iter());
        let (a, b, c) = (axis.x(1.0), axis.x(10.0), axis.x(100.0));
        assert!(((b - a) - (c - b)).abs() < 1e-6);
        assert!(LEFT < a && c < WIDTH - RIGHT);
        assert_eq!(axis.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
    }

    #[test]
    fn without_values_there_is_still_an_axis() {
        let axis = Axis::around(std::iter::empty());
        assert!(axis.x(1.0).is_finite());
    }
}
