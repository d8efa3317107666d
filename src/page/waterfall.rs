//! The timeline: a bar per host and stage or step, from the begin of the first node to the end of the last.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::axis::{Axis, Scale};
use super::budget::Budget;
use super::model::{Bar, Timeline};
use super::svg::{drawing, grid, labels, place, width};
use crate::base::text::plural;
use crate::measure::Unit;
use crate::measure::figure::value;
use crate::nodeset;

/// Bytes of the page that timelines may take.
const ROOM: usize = 200_000;

/// Rows of a timeline.
const ROWS: usize = 40;

/// Height of a row, in pixels.
const HEIGHT: u32 = 18;

/// Bars, reduced to as many as a timeline has rows: hosts become one, then the shortest are left out. The second value
/// says so.
pub(super) fn folded(bars: Vec<Bar>) -> (Vec<Bar>, Option<String>) {
    if bars.len() <= ROWS {
        return (bars, None);
    }
    let mut by_stage: BTreeMap<String, Vec<Bar>> = BTreeMap::new();
    for bar in bars {
        by_stage.entry(bar.stage.clone()).or_default().push(bar);
    }
    let mut bars: Vec<Bar> = by_stage.into_values().filter_map(merged).collect();
    let count = bars.len();
    bars.sort_by(|a, b| (b.end - b.begin).total_cmp(&(a.end - a.begin)));
    bars.truncate(ROWS);
    bars.sort_by(|a, b| a.begin.total_cmp(&b.begin));
    let mut note = "hosts are shown as one".to_owned();
    if count > ROWS {
        note.push_str(&format!("; the {} shortest are left out", count - ROWS));
    }
    (bars, Some(note))
}

/// The bars of one stage on several hosts as one.
fn merged(bars: Vec<Bar>) -> Option<Bar> {
    let hosts = nodeset::fold(
        bars.iter()
            .map(|bar| bar.host.as_str())
            .filter(|host| !host.is_empty()),
    );
    bars.into_iter()
        .reduce(|mut all, bar| {
            all.begin = all.begin.min(bar.begin);
            all.half = all.half.max(bar.half);
            all.end = all.end.max(bar.end);
            all.count += bar.count;
            all.failed += bar.failed;
            all.open += bar.open;
            all
        })
        .map(|bar| Bar { host: hosts, ..bar })
}

/// The section.
pub(super) fn section(timelines: &[Timeline]) -> Markup {
    let (drawn, left_out) = Budget::new(ROOM).fitting(timelines, figure);
    html! {
        @if !timelines.is_empty() {
            section {
                h2 { "Timeline" }
                p.explain {
                    "A bar begins with the first node and ends with the last; up to the darker part's end, half of the "
                    "nodes had ended. Where a command did more than the run, such as raising the cluster, it has its "
                    "stages too."
                }
                @for figure in &drawn { (figure) }
                @if left_out > 0 {
                    p.note { (plural(left_out, "further timeline")) " left out: the page would be larger than 2 MB" }
                }
            }
        }
    }
}

fn figure(timeline: &Timeline) -> Markup {
    let seconds = Unit::seconds();
    let Some(axis) = Axis::new(Scale::Linear, [0.0, timeline.end], Some(&seconds), 6) else {
        return Markup::default();
    };
    let unit = axis.unit.as_ref().map_or_else(String::new, Unit::to_string);
    html! {
        figure.waterfall {
            figcaption { b { (timeline.title) } ", " (unit) " from its begin" }
            @for bar in &timeline.bars { (lane(bar, &axis)) }
            div.lane {
                span {}
                svg aria-hidden="true" width="100%" height="16" { (labels(&axis, 0)) }
                span {}
            }
            @if let Some(note) = &timeline.note { p.note { (note) } }
            (table(timeline))
        }
    }
}

fn lane(bar: &Bar, axis: &Axis) -> Markup {
    let (begin, half, end) = (axis.at(bar.begin), axis.at(bar.half), axis.at(bar.end));
    let content = html! {
        (grid(axis, HEIGHT))
        rect.span.bad[bar.failed > 0] x=(place(begin)) y="3" width=(width(begin, end)) height="12" {}
        rect.half.bad[bar.failed > 0] x=(place(begin)) y="3" width=(width(begin, half)) height="12" {}
        // Also what took no time can be seen.
        rect.half x=(place(begin)) y="3" width="1" height="12" {}
    };
    html! {
        div.lane {
            span.label { (bar.host) " " b { (bar.stage) } }
            (drawing(&words(bar), HEIGHT, &content))
            span.value { (took(bar)) (troubles(bar)) }
        }
    }
}

fn took(bar: &Bar) -> String {
    value(bar.end - bar.begin, Some(&Unit::seconds()))
}

fn troubles(bar: &Bar) -> String {
    let mut text = String::new();
    if bar.failed > 0 {
        text.push_str(&format!(", ✗ {} failed", bar.failed));
    }
    if bar.open > 0 {
        text.push_str(&format!(", {} without an end", bar.open));
    }
    text
}

/// The bar in words.
fn words(bar: &Bar) -> String {
    let seconds = Unit::seconds();
    let begin = value(bar.begin, Some(&seconds));
    let count = plural(bar.count, "time");
    format!(
        "{} {}: {count}, from {begin}, {}{}",
        bar.host,
        bar.stage,
        took(bar),
        troubles(bar)
    )
}

fn table(timeline: &Timeline) -> Markup {
    let seconds = Unit::seconds();
    let at = |time: f64| value(time, Some(&seconds));
    html! {
        details {
            summary { "Times" }
            div.scroll {
                table {
                    thead {
                        tr {
                            @for heading in ["host", "stage"] { th scope="col" { (heading) } }
                            @for heading in ["times", "begin", "half ended", "end", "failed", "without an end"] {
                                th.number scope="col" { (heading) }
                            }
                        }
                    }
                    tbody {
                        @for bar in &timeline.bars {
                            tr {
                                td { (bar.host) }
                                th scope="row" { (bar.stage) }
                                td.number { (bar.count) }
                                @for time in [bar.begin, bar.half, bar.end] { td.number { (at(time)) } }
                                td.number { (bar.failed) }
                                td.number { (bar.open) }
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

    fn bar(host: usize, stage: usize) -> Bar {
        Bar {
            host: format!("bm{host:02}"),
            stage: format!("stage{stage:02}"),
            begin: stage as f64,
            half: stage as f64 + 1.0,
            end: stage as f64 + 2.0 + host as f64,
            count: 10,
            failed: 0,
            open: 0,
        }
    }

    #[test]
    fn few_rows_stay_as_they_are_and_of_many_the_hosts_become_one() {
        let few: Vec<Bar> = (0..4)
            .flat_map(|host| (0..10).map(move |stage| bar(host, stage)))
            .collect();
        assert_eq!(folded(few.clone()), (few, None));
        let many = (0..6)
            .flat_map(|host| (0..10).map(move |stage| bar(host, stage)))
            .collect();
        let (bars, note) = folded(many);
        assert_eq!(bars.len(), 10);
        assert_eq!((bars[0].host.as_str(), bars[0].count), ("bm[00-05]", 60));
        assert_eq!((bars[0].begin, bars[0].end), (0.0, 7.0));
        assert_eq!(note.as_deref(), Some("hosts are shown as one"));
    }

    #[test]
    fn of_too_many_stages_the_longest_stay_in_the_order_of_their_begin() {
        let mut many: Vec<Bar> = (0..60).map(|stage| bar(1, stage)).collect();
        for bar in many.iter_mut().take(20) {
            bar.end = bar.begin;
        }
        let (bars, note) = folded(many);
        assert_eq!(bars.len(), 40);
        assert_eq!(bars[0].stage, "stage20");
        assert!(bars.is_sorted_by(|a, b| a.begin <= b.begin));
        assert!(note.unwrap().ends_with("the 20 shortest are left out"));
    }

    #[test]
    fn a_timeline_shows_each_bar_and_what_failed_in_words() {
        let mut failed = bar(1, 2);
        failed.failed = 3;
        let timeline = Timeline {
            title: "run <x>".into(),
            bars: vec![bar(1, 1), failed],
            end: 10.0,
            note: None,
        };
        let drawn = section(&[timeline]).into_string();
        assert_eq!(drawn.matches("role=\"img\"").count(), 2);
        assert!(
            drawn.contains("✗ 3 failed") && drawn.contains("run &lt;x&gt;"),
            "{drawn}"
        );
        assert!(drawn.contains("<td class=\"number\">10</td>"));
    }
}
