//! Runs in the formats of other programs. Returns text, prints nothing.

mod extrap;
mod jsonl;
mod openmetrics;
mod otava;
mod rows;
mod table;

use super::error::StoreError;
use super::stored::StoredRun;

/// A format for other programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// CSV, a row for each run and metric.
    #[default]
    Csv,
    /// JSON lines, one for each sample.
    Jsonl,
    /// OpenMetrics text, a gauge for each metric.
    Openmetrics,
    /// CSV for Apache Otava, a row for each run.
    Otava,
    /// JSON lines for Extra-P.
    Extrap,
}

/// Writes runs in a format, in pieces: `each` returns whether it takes more. Runs without samples add nothing. The formats
/// of programs that compare or model runs have only those whose steps passed on all nodes.
pub fn export(
    format: ExportFormat,
    runs: &[StoredRun],
    each: &mut dyn FnMut(&str) -> bool,
) -> Result<(), StoreError> {
    let text: fn(&[rows::Row<'_>]) -> String = match format {
        ExportFormat::Jsonl => return jsonl::lines(runs, each),
        ExportFormat::Csv => table::text,
        ExportFormat::Openmetrics => openmetrics::text,
        ExportFormat::Otava => otava::text,
        ExportFormat::Extrap => extrap::text,
    };
    each(&text(&rows::rows(runs)?));
    Ok(())
}
