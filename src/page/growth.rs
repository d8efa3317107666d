//! How metrics grow with the size of the cluster: the runs, the model with its interval, and the criterion.

use maud::{Markup, html};

use super::axis::{Axis, Scale};
use super::budget::figures;
use super::model::{GrowthChart, Mark};
use super::svg::{drawing, grid, labels, percent, place};
use crate::base::text::plural;
use crate::measure::Statistic;
use crate::measure::figure::{number, value};
use crate::report::growth::against;

/// Bytes of the page that charts may take.
const ROOM: usize = 500_000;

/// Height of the plot, in pixels.
const HEIGHT: u32 = 260;

/// From this ratio between the largest and the smallest on, an axis is logarithmic.
const WIDE: f64 = 4.0;

/// Units of the inner drawing, whose curves are stretched to the width.
const INNER: f64 = 1000.0;

/// The section.
pub(super) fn section(charts: &[GrowthChart]) -> Markup {
    let metrics: Vec<&[GrowthChart]> = charts
        .chunk_by(|one, other| (&one.title, &one.group) == (&other.title, &other.group))
        .collect();
    html! {
        @if !charts.is_empty() {
            section {
                h2 { "Growth" }
                p.explain {
                    "Every dot is a run. The line is the best model, the band its 95 % interval. The dashed line "
                    "begins like the model and grows exactly as the criterion allows. Variants of one metric "
                    "have the same axes."
                }
                (figures(ROOM, &metrics, |charts| beside(charts)))
            }
        }
    }
}

/// Both axes of a chart.
struct Axes {
    x: Axis,
    y: Axis,
    is_log: bool,
}

impl Axes {
    /// The axes that all of these charts fit into; they are of one metric.
    fn new(charts: &[GrowthChart]) -> Option<Self> {
        let unit = charts.first()?.unit.as_ref();
        let curves = || {
            charts.iter().flat_map(|chart| {
                let bound = chart.bound.iter().flat_map(|(_, curve)| curve);
                chart.points.iter().chain(&chart.curve).chain(bound)
            })
        };
        let sizes: Vec<f64> = curves().map(|(size, _)| *size).collect();
        let bands = charts.iter().flat_map(|chart| &chart.band);
        let ends = bands.flat_map(|(_, low, high)| [*low, *high]);
        let values: Vec<f64> = curves().map(|(_, value)| *value).chain(ends).collect();
        // Both or neither: only then is a power of n a straight line.
        let is_log = is_wide(&sizes) && is_wide(&values);
        let scale = if is_log { Scale::Log } else { Scale::Linear };
        let origin = if is_log { None } else { Some(0.0) };
        Some(Self {
            x: Axis::new(scale, sizes, None, 8)?,
            y: Axis::new(scale, values.into_iter().chain(origin), unit, 6)?,
            is_log,
        })
    }

    /// A point of the inner drawing.
    fn inner(&self, size: f64, value: f64) -> String {
        let x = percent(self.x.at(size)) / 100.0 * INNER;
        format!("{x:.1},{:.1}", self.height(value))
    }

    /// The vertical place of a value, in pixels.
    fn height(&self, value: f64) -> f64 {
        (1.0 - self.y.at(value)) * f64::from(HEIGHT)
    }
}

/// Whether all values are above 0, and the largest is several times the smallest.
fn is_wide(values: &[f64]) -> bool {
    let of = |statistic: Statistic| statistic.of(values).unwrap_or_default();
    let (low, high) = (of(Statistic::Min), of(Statistic::Max));
    low > 0.0 && high / low >= WIDE
}

/// The charts of one metric, a figure for each variant.
fn beside(charts: &[GrowthChart]) -> Markup {
    let Some(axes) = Axes::new(charts) else {
        return Markup::default();
    };
    html! {
        @if let [chart] = charts {
            (figure(chart, &axes))
        } @else {
            div.beside { @for chart in charts { (figure(chart, &axes)) } }
        }
    }
}

fn figure(chart: &GrowthChart, axes: &Axes) -> Markup {
    let unit = axes.y.unit.as_ref().map(|unit| format!(" in {unit}"));
    let scales = if axes.is_log {
        "both axes logarithmic"
    } else {
        "both axes linear"
    };
    html! {
        figure {
            figcaption {
                b { (chart.title) }
                @if let Some(unit) = &unit { (unit) }
                @if !chart.variant.is_empty() { ", " (chart.variant) }
                " over nodes of " (chart.group) ", " (scales)
            }
            (drawing(&words(chart), HEIGHT + 18, &plot(chart, axes)))
            (remarks(chart))
            (table(chart))
        }
    }
}

/// The chart in words.
fn words(chart: &GrowthChart) -> String {
    let models = chart.models.as_deref().unwrap_or("unknown growth");
    format!("{}: {}, {models}", chart.title, plural(chart.points.len(), "run"))
}

fn plot(chart: &GrowthChart, axes: &Axes) -> Markup {
    let curve = |points: &[(f64, f64)]| -> String {
        let points: Vec<String> = points
            .iter()
            .map(|(size, value)| axes.inner(*size, *value))
            .collect();
        points.join(" ")
    };
    let lower = chart.band.iter().map(|(size, low, _)| axes.inner(*size, *low));
    let upper = chart
        .band
        .iter()
        .rev()
        .map(|(size, _, high)| axes.inner(*size, *high));
    let band: Vec<String> = lower.chain(upper).collect();
    html! {
        (grid(&axes.x, HEIGHT))
        @for tick in &axes.y.ticks {
            @let y = (1.0 - tick.at) * f64::from(HEIGHT);
            line.grid x1="0" x2="100%" y1=(format!("{y:.1}")) y2=(format!("{y:.1}")) {}
        }
        svg width="100%" height=(HEIGHT) viewBox=(format!("0 0 {INNER} {HEIGHT}")) preserveAspectRatio="none" {
            @if !band.is_empty() { polygon.interval points=(band.join(" ")) {} }
            @if let Some((_, points)) = &chart.bound { polyline.bound points=(curve(points)) {} }
            @if !chart.curve.is_empty() { polyline.model points=(curve(&chart.curve)) {} }
        }
        g.dots {
            @for (size, value) in &chart.points {
                circle cx=(place(axes.x.at(*size))) cy=(format!("{:.1}", axes.height(*value))) r="4" {}
            }
        }
        @for tick in &axes.y.ticks {
            @let y = ((1.0 - tick.at) * f64::from(HEIGHT) - 3.0).max(10.0);
            text.tick x="0" y=(format!("{y:.1}")) { (tick.label) }
        }
        (labels(&axes.x, HEIGHT))
    }
}

fn remarks(chart: &GrowthChart) -> Markup {
    html! {
        ul {
            @match &chart.models {
                Some(models) => { li { "grows with " b { (models) } } }
                None => { li { "no model: it needs three sizes" } }
            }
            @if let Some((size, at)) = chart.at_target {
                li {
                    b { (value(at, chart.unit.as_ref())) } " at " (plural(size as usize, "node"))
                    @if let Some(expected) = expected(chart) { ", 95 % interval " (expected) }
                    @if let Some(contrast) = &chart.contrast {
                        ", against " (contrast.baseline) ": " b { (against(contrast)) }
                    }
                }
            }
            @if let Some((text, _)) = &chart.bound { li { "criterion: " code { (text) } } }
            @if let Some((mark, why)) = &chart.judged { li { (badge(*mark)) " " (why) } }
            @match chart.held_out {
                Some(true) => {
                    li { "the largest size lies in the interval that the smaller ones predict for it" }
                }
                Some(false) => {
                    li {
                        "the largest size does not lie in the interval that the smaller ones predict for it: "
                        "do not extrapolate from this model"
                    }
                }
                None => {}
            }
        }
    }
}

/// Where the value at the target size is expected: `9.1 s to 12 s`.
pub(super) fn expected(chart: &GrowthChart) -> Option<String> {
    let (low, high) = chart.interval?;
    let unit = chart.unit.as_ref();
    Some(format!("{} to {}", value(low, unit), value(high, unit)))
}

/// A mark as a character with its word.
fn badge(mark: Mark) -> Markup {
    let word = match mark {
        Mark::Good => "holds",
        Mark::Bad => "fails",
        Mark::Open => "not judged",
    };
    html! { span class={ "mark " (mark.as_str()) } { (mark.symbol()) " " (word) } }
}

/// The median of each size as a table.
fn table(chart: &GrowthChart) -> Markup {
    let unit = chart.unit.as_ref();
    let mut sizes: Vec<f64> = chart.points.iter().map(|(size, _)| *size).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let rows = sizes.into_iter().map(|size| {
        let here = chart
            .points
            .iter()
            .filter(|(other, _)| other.total_cmp(&size).is_eq());
        let values: Vec<f64> = here.map(|(_, value)| *value).collect();
        (size, values)
    });
    html! {
        details {
            summary { "Values" }
            div.scroll {
                table {
                    thead {
                        tr {
                            @for heading in ["nodes", "runs", "lowest", "median", "highest"] {
                                th.number scope="col" { (heading) }
                            }
                        }
                    }
                    tbody {
                        @for (size, values) in rows {
                            tr {
                                th.number scope="row" { (number(size)) }
                                td.number { (values.len()) }
                                @for statistic in [Statistic::Min, Statistic::Median, Statistic::Max] {
                                    td.number { (value(statistic.of(&values).unwrap_or(f64::NAN), unit)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::experiment::Contrast;

    fn chart() -> GrowthChart {
        let sizes = [10.0, 20.0, 40.0, 80.0, 160.0];
        let line = |factor: f64| sizes.map(|size| (size, factor * size)).to_vec();
        GrowthChart {
            title: "join_seconds (p99)".into(),
            variant: "rev=<i>".into(),
            group: "worker".into(),
            unit: None,
            points: line(1.0).into_iter().chain(line(1.1)).collect(),
            models: Some("n or n log n".into()),
            curve: line(1.05),
            band: sizes.map(|size| (size, size, 1.1 * size)).to_vec(),
            bound: Some(("growth <= n log n".into(), line(1.2))),
            judged: Some((Mark::Bad, "it grows with n^2".into())),
            held_out: Some(false),
            at_target: Some((160, 168.0)),
            interval: None,
            contrast: None,
        }
    }

    #[test]
    fn variants_of_a_metric_stand_beside_each_other_on_the_same_axes() {
        let mut new = chart();
        new.variant = "rev=new".into();
        new.interval = Some((150.0, 190.0));
        new.contrast = Some(Contrast {
            metric: "join_seconds".parse().unwrap(),
            baseline: "rev=<i>".into(),
            variant: "rev=new".into(),
            size: 160,
            times: 0.0125,
            overlaps: Some(false),
        });
        for (_, value) in &mut new.points {
            *value /= 100.0;
        }
        let mut other = chart();
        other.title = "other".into();
        let drawn = section(&[chart(), new, other]).into_string();
        assert_eq!(drawn.matches("class=\"beside\"").count(), 1);
        assert_eq!(drawn.matches("<figure").count(), 3);
        assert!(drawn.contains("<b>168</b> at 160 nodes</li>"), "{drawn}");
        assert!(
            drawn.contains(" at 160 nodes, 95 % interval 150 to 190, against "),
            "{drawn}"
        );
        let contrast = ", against rev=&lt;i&gt;: <b>80 times smaller</b></li>";
        assert!(drawn.contains(contrast), "{drawn}");
        // The lowest point of the first variant has another height where the second one is on the same axis.
        let lowest = |drawn: &str| {
            let dots = drawn.split("<circle").skip(1).take(10);
            dots.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_ne!(lowest(&drawn), lowest(&section(&[chart()]).into_string()));
    }

    #[test]
    fn a_chart_has_its_points_its_model_its_interval_and_its_criterion() {
        let drawn = section(&[chart()]).into_string();
        assert_eq!(drawn.matches("<circle").count(), 10);
        for part in [
            "class=\"model\"",
            "class=\"interval\"",
            "class=\"bound\"",
            "both axes logarithmic",
            "growth &lt;= n log n",
            "✗ fails",
            "rev=&lt;i&gt;",
            "do not extrapolate",
        ] {
            assert!(drawn.contains(part), "no {part}: {drawn}");
        }
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }

    #[test]
    fn values_of_which_one_is_0_are_drawn_on_linear_axes() {
        let mut chart = chart();
        chart.points[0].1 = 0.0;
        assert!(section(&[chart]).into_string().contains("both axes linear"));
    }

    #[test]
    fn a_metric_without_a_model_still_has_its_points() {
        let mut chart = chart();
        chart.models = None;
        chart.curve.clear();
        chart.band.clear();
        chart.bound = None;
        let drawn = section(&[chart]).into_string();
        assert_eq!(drawn.matches("<circle").count(), 10);
        assert!(drawn.contains("it needs three sizes") && !drawn.contains("<polyline"));
    }
}
