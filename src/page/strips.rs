//! Metrics: all values on one axis, a dot each, with the median and its interval.

use maud::{Markup, html};

use super::axis::{Axis, Scale};
use super::budget::figures;
use super::model::{Strip, StripRow};
use super::svg::{drawing, grid, labels, place, width};
use crate::base::text::plural;
use crate::measure::Unit;
use crate::measure::figure::value;
use crate::report::strip::extent;

/// Bytes of the page that strips may take.
const ROOM: usize = 800_000;

/// Height of a row, in pixels.
const HEIGHT: u32 = 24;

/// With more values than this, those that are close to each other are one dot.
const SINGLE: usize = 40;

/// Places of such dots.
const BINS: f64 = 120.0;

/// Rows of a metric.
const ROWS: usize = 24;

/// The section.
pub(super) fn section(strips: &[Strip]) -> Markup {
    html! {
        @if !strips.is_empty() {
            section {
                h2 { "Metrics" }
                p.explain {
                    "Every dot is the value of one run, or of one node where the title says so. The thick line is the "
                    "median, the band around it its 99 % interval (bootstrap), the dashed line the bound of a criterion."
                }
                (figures(ROOM, strips, figure))
            }
        }
    }
}

/// A metric.
fn figure(strip: &Strip) -> Markup {
    let rows = &strip.rows[..strip.rows.len().min(ROWS)];
    let Some(axis) = axis(strip, rows) else {
        return Markup::default();
    };
    let unit = axis.unit.as_ref().map(|unit| format!(" in {unit}"));
    html! {
        figure {
            figcaption {
                b { (strip.title) }
                @if let Some(unit) = &unit { (unit) }
                ", a dot per " (strip.each)
                @if let Some((_, text)) = &strip.bound { "; criterion: " code { (text) } }
            }
            @for row in rows { (lane(strip, row, &axis)) }
            div.lane {
                span {}
                svg aria-hidden="true" width="100%" height="16" { (labels(&axis, 0)) }
                span {}
            }
            @if strip.rows.len() > rows.len() {
                p.note { (plural(strip.rows.len() - rows.len(), "further variant")) " not drawn" }
            }
            (table(strip))
        }
    }
}

/// The axis of a metric. The bound is on it if it is near the values; it would squeeze them otherwise.
fn axis(strip: &Strip, rows: &[StripRow]) -> Option<Axis> {
    let values = || rows.iter().flat_map(|row| &row.values);
    let (low, high) = extent(values())?;
    let near = low.abs().max(high.abs()) * 2.0;
    let bound = strip.bound.as_ref().map(|(bound, _)| *bound);
    let bound = bound.filter(|bound| bound.abs() <= near);
    let intervals = rows.iter().filter_map(|row| row.interval);
    let ends = intervals.flat_map(|(low, high)| [low, high]);
    let all = values().copied().chain(bound).chain(ends);
    Axis::new(Scale::Linear, all, strip.unit.as_ref(), 6)
}

/// The values of a variant: its name, the drawing, the median.
fn lane(strip: &Strip, row: &StripRow, axis: &Axis) -> Markup {
    let unit = strip.unit.as_ref();
    let middle = place(axis.at(row.median));
    let bound = strip.bound.as_ref().map(|(bound, _)| *bound);
    let bound = bound.filter(|bound| axis.has(*bound));
    let title = format!(
        "{} {}: {}, median {}",
        strip.title,
        row.label,
        plural(row.values.len(), "value"),
        value(row.median, unit)
    );
    let content = html! {
        (grid(axis, HEIGHT))
        @if let Some((low, high)) = row.interval {
            @let (low, high) = (axis.at(low), axis.at(high));
            rect.interval x=(place(low)) y="5" width=(width(low, high)) height="14" {}
        }
        @if let Some(bound) = bound {
            @let bound = place(axis.at(bound));
            line.bound x1=(bound) x2=(bound) y1="0" y2=(HEIGHT) {}
        }
        g.dots { (dots(&row.values, axis)) }
        line.median x1=(middle) x2=(middle) y1="3" y2="21" {}
    };
    html! {
        div.lane {
            span.label { (row.label) }
            (drawing(&title, HEIGHT, &content))
            span.value { (value(row.median, unit)) }
        }
    }
}

/// A dot per value, or where there are many, per place; the more values, the larger.
fn dots(values: &[f64], axis: &Axis) -> Markup {
    if values.len() <= SINGLE {
        return html! {
            @for value in values { circle cx=(place(axis.at(*value))) cy="12" r="4" {} }
        };
    }
    let mut bins = std::collections::BTreeMap::<u32, usize>::new();
    for value in values {
        let bin = (axis.at(*value) * BINS).round() as u32;
        *bins.entry(bin).or_default() += 1;
    }
    html! {
        @for (bin, count) in &bins {
            @let radius = (2.0 + (*count as f64).sqrt()).min(9.0);
            circle cx=(place(f64::from(*bin) / BINS)) cy="12" r=(format!("{radius:.1}")) {}
        }
    }
}

/// The values as a table, for those who cannot see the drawing.
fn table(strip: &Strip) -> Markup {
    let unit = strip.unit.as_ref();
    html! {
        details {
            summary { "Values" }
            div.scroll {
                table {
                    thead {
                        tr {
                            th scope="col" { "variant" }
                            @for heading in ["values", "lowest", "median", "highest", "99 % interval"] {
                                th.number scope="col" { (heading) }
                            }
                            th scope="col" { "all, in order" }
                        }
                    }
                    tbody {
                        @for row in &strip.rows {
                            @let (low, high) = extent(&row.values).unwrap_or((f64::NAN, f64::NAN));
                            tr {
                                th scope="row" { (row.label) }
                                td.number { (row.values.len()) }
                                td.number { (value(low, unit)) }
                                td.number { (value(row.median, unit)) }
                                td.number { (value(high, unit)) }
                                td.number { (interval(row, unit)) }
                                td { (listed(&row.values, unit)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn interval(row: &StripRow, unit: Option<&Unit>) -> String {
    match row.interval {
        Some((low, high)) => format!("{} to {}", value(low, unit), value(high, unit)),
        None => "-".to_owned(),
    }
}

/// The values, if they are few.
fn listed(values: &[f64], unit: Option<&Unit>) -> String {
    if values.len() > SINGLE {
        return "-".to_owned();
    }
    let all: Vec<String> = values.iter().map(|one| value(*one, unit)).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(values: Vec<f64>, bound: Option<f64>) -> Strip {
        Strip {
            title: "join_seconds".into(),
            unit: Some(Unit::seconds()),
            each: "run",
            bound: bound.map(|bound| (bound, "p99 < x".to_owned())),
            rows: vec![StripRow {
                label: "rev=<b>old</b>".into(),
                median: 1.5,
                interval: Some((1.2, 1.8)),
                values,
            }],
        }
    }

    #[test]
    fn each_run_is_a_dot_and_what_comes_from_elsewhere_is_escaped() {
        let drawn = section(&[strip(vec![1.0, 1.5, 2.0], Some(2.5))]).into_string();
        assert_eq!(drawn.matches("<circle").count(), 3, "{drawn}");
        assert_eq!(drawn.matches("class=\"bound\"").count(), 1);
        assert_eq!(drawn.matches("class=\"interval\"").count(), 1);
        assert!(drawn.contains("1 s, 1.5 s, 2 s") && drawn.contains("1.2 s to 1.8 s"));
        assert!(!drawn.contains("<b>old") && drawn.contains("rev=&lt;b&gt;old"));
    }

    #[test]
    fn many_values_are_few_dots_whose_size_shows_how_many_they_are() {
        let values: Vec<f64> = (0..15_000).map(|number| f64::from(number % 150)).collect();
        let drawn = section(&[strip(values, None)]).into_string();
        let circles = drawn.matches("<circle").count();
        assert!((50..=121).contains(&circles), "{circles}");
        assert!(drawn.len() < 20_000, "{}", drawn.len());
    }

    #[test]
    fn a_bound_that_is_far_from_the_values_does_not_squeeze_them() {
        let one = strip(vec![1.0, 2.0], Some(300.0));
        let axis = axis(&one, &one.rows).unwrap();
        assert!(axis.at(2.0) > 0.9 && !axis.has(300.0));
        assert!(!section(&[one]).into_string().contains("class=\"bound\""));
    }

    #[test]
    fn without_values_nothing_is_drawn() {
        assert_eq!(section(&[]).into_string(), "");
        assert!(
            !section(&[strip(Vec::new(), None)])
                .into_string()
                .contains("<figure")
        );
    }
}
