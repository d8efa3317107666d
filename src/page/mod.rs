//! Reports of runs, experiments and comparisons: one page of HTML without scripts and without anything from the network,
//! and the same as text. Pure, but for [`data`], which reads the store of runs. Contacts no host, prints nothing.
//!
//! Everything that comes from nodes is hostile: `maud` escapes it, and characters that could hide or reverse text are
//! made visible.

mod assumptions;
mod axis;
mod budget;
mod costs;
mod criteria;
pub mod data;
mod growth;
mod json;
mod model;
mod outliers;
mod strips;
mod svg;
mod text;
mod verdict;
mod waterfall;

use maud::{DOCTYPE, PreEscaped, html};

use crate::base::text::sanitize;

pub use json::json;
pub use model::{
    Assumption, Bar, CriterionRow, Failure, GrowthChart, Kind, Mark, Outlier, Page, RunRow, Strip, StripRow,
    Timeline,
};
pub use text::text;

const STYLE: &str = include_str!("style.css");

/// Browsers load nothing for a page with this policy, and run nothing in it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page as one HTML document, of at most 2 MB.
pub fn html(page: &Page) -> String {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (page.name) ": " (page.mark.symbol()) " vcluster report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (verdict::section(page))
                    (criteria::comparisons(&page.comparisons))
                    (criteria::section(&page.criteria))
                    (strips::section(&page.strips))
                    (growth::section(&page.growth))
                    (costs::section(&page.reports))
                    (costs::found(&page.found))
                    (waterfall::section(&page.timelines))
                    (outliers::section(&page.outliers, page.runs.len()))
                    (assumptions::section(&page.assumptions))
                    (assumptions::commands(&page.commands))
                }
            }
        }
    };
    sanitize(&document.into_string()).into_owned()
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
