//! The assumptions of the runs, folded; and the commands that make them again.

use maud::{Markup, html};

use super::budget::Budget;
use super::model::Assumption;
use crate::base::text::{plural, shortened};

/// Bytes of the page that assumptions may take.
const ROOM: usize = 120_000;

/// Characters shown of a value.
const SHOWN: usize = 100;

/// Values shown of an assumption.
const VALUES: usize = 6;

/// The section of the assumptions.
pub(super) fn section(assumptions: &[Assumption]) -> Markup {
    let differ = assumptions
        .iter()
        .filter(|assumption| assumption.values.len() > 1)
        .count();
    // What differs comes first: it is what a reader looks for.
    let mut sorted: Vec<&Assumption> = assumptions.iter().collect();
    sorted.sort_by_key(|assumption| assumption.values.len() <= 1);
    let (drawn, left_out) = Budget::new(ROOM).fitting(&sorted, |assumption| row(assumption));
    html! {
        @if !assumptions.is_empty() {
            section {
                h2 { "Assumptions" }
                details {
                    summary {
                        (plural(assumptions.len(), "assumption"))
                        @if differ > 0 { ", of which " (differ) " differ between the runs" }
                    }
                    div.scroll {
                        table {
                            thead { tr { th scope="col" { "assumption" } th scope="col" { "value" } } }
                            tbody { @for row in &drawn { (row) } }
                        }
                    }
                    @if left_out > 0 { p.note { (plural(left_out, "further assumption")) " left out" } }
                }
            }
        }
    }
}

fn row(assumption: &Assumption) -> Markup {
    html! {
        tr {
            th scope="row" { code { (assumption.key) } }
            td { (words(assumption)) }
        }
    }
}

/// The value of an assumption; of several, each with its number of runs.
pub(super) fn words(assumption: &Assumption) -> String {
    if let [(value, _)] = &assumption.values[..] {
        return shortened(value, SHOWN).into_owned();
    }
    let first = assumption.values.iter().take(VALUES);
    let values = first.map(|(value, runs)| format!("{} ({})", shortened(value, SHOWN), plural(*runs, "run")));
    let mut text = values.collect::<Vec<_>>().join("; ");
    if assumption.values.len() > VALUES {
        text.push_str(&format!("; {} more values", assumption.values.len() - VALUES));
    }
    text
}

/// The section of the commands.
pub(super) fn commands(commands: &[String]) -> Markup {
    html! {
        @if !commands.is_empty() {
            section {
                h2 { "Again" }
                pre { @for command in commands { (command) "\n" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assumption(key: &str, values: &[(&str, usize)]) -> Assumption {
        let values = values
            .iter()
            .map(|(value, runs)| ((*value).to_owned(), *runs))
            .collect();
        Assumption {
            key: key.into(),
            values,
        }
    }

    #[test]
    fn what_differs_comes_first_with_the_number_of_runs() {
        let drawn = section(&[
            assumption("host.bm01.kernel", &[("6.1", 4)]),
            assumption("vars.rev", &[("<new>", 2), ("old", 2)]),
        ])
        .into_string();
        let (kernel, rev) = (drawn.find("host.bm01.kernel"), drawn.find("vars.rev"));
        assert!(rev < kernel, "{drawn}");
        assert!(drawn.contains("&lt;new&gt; (2 runs); old (2 runs)"), "{drawn}");
        assert!(drawn.contains("2 assumptions, of which 1 differ"), "{drawn}");
        assert!(!drawn.contains("<details open"));
    }

    #[test]
    fn commands_are_lines_and_escaped() {
        let drawn = commands(&["vcluster test 'a<b'.yaml".to_owned(), "vcluster runs".to_owned()]);
        let drawn = drawn.into_string();
        assert!(
            drawn.contains("<pre>vcluster test 'a&lt;b'.yaml\nvcluster runs\n</pre>"),
            "{drawn}"
        );
    }
}
