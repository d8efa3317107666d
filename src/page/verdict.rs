//! The head of the page: the verdict, what failed, what is missing, and the runs.

use maud::{Markup, html};

use super::budget::Budget;
use super::model::{Failure, Mark, Page, RunRow};
use crate::base::text::plural;

/// Bytes of the page that failures and runs may take.
const FAILURES: usize = 100_000;
const RUNS: usize = 100_000;

/// More runs than this are folded.
const OPEN: usize = 12;

/// The section.
pub(super) fn section(page: &Page) -> Markup {
    html! {
        header {
            p.kind { "vcluster report of " (article(page)) }
            h1 { (page.name) }
            p class={ "verdict " (page.mark.as_str()) } {
                span.mark { (page.mark.symbol()) }
                " " (page.verdict)
            }
            dl {
                @for (name, value) in &page.facts {
                    div { dt { (name) } dd { (value) } }
                }
            }
        }
        (failures(&page.failures))
        @if !page.notes.is_empty() {
            section.notes {
                h2 { "Note" }
                ul { @for note in &page.notes { li { (note) } } }
            }
        }
        (runs(&page.runs))
    }
}

fn article(page: &Page) -> String {
    let kind = page.kind.as_str();
    let article = if kind.starts_with('e') { "an" } else { "a" };
    format!("{article} {kind}")
}

fn failures(failures: &[Failure]) -> Markup {
    let (drawn, left_out) = Budget::new(FAILURES).fitting(failures, failure);
    html! {
        @if !failures.is_empty() {
            section {
                h2 { "What failed" }
                ul.failures { @for failure in &drawn { (failure) } }
                @if left_out > 0 { p.note { (plural(left_out, "further failure")) " left out" } }
            }
        }
    }
}

fn failure(failure: &Failure) -> Markup {
    html! {
        li {
            span.mark.bad { (Mark::Bad.symbol()) } " " (failure.text)
            @if let Some((name, text)) = &failure.output {
                details {
                    summary { "the end of " (name) }
                    pre { (text) }
                }
            }
        }
    }
}

fn runs(runs: &[RunRow]) -> Markup {
    let (drawn, left_out) = Budget::new(RUNS).fitting(runs, run);
    html! {
        @if runs.len() > 1 {
            section {
                h2 { "Runs" }
                details open[runs.len() <= OPEN] {
                    summary { (plural(runs.len(), "run")) ", in their order" }
                    div.scroll {
                        table {
                            thead {
                                tr {
                                    @for heading in ["run", "variant", "verdict", "began (UTC)"] {
                                        th scope="col" { (heading) }
                                    }
                                    th.number scope="col" { "took" }
                                    th.number scope="col" { "nodes" }
                                }
                            }
                            tbody { @for run in &drawn { (run) } }
                        }
                    }
                    @if left_out > 0 { p.note { (plural(left_out, "further run")) " left out" } }
                }
            }
        }
    }
}

fn run(run: &RunRow) -> Markup {
    html! {
        tr {
            th scope="row" { code { (run.name) } }
            td { (run.variant) }
            td { span class={ "mark " (run.mark.as_str()) } { (run.mark.symbol()) } " " (run.verdict) }
            td { (run.began) }
            td.number { (run.took) }
            td.number { (run.nodes) }
        }
    }
}
