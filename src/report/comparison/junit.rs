//! Comparisons as JUnit XML, for CI systems: a suite per comparison, a case per judged metric.

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::compare::{ChangeVerdict, Comparison, MetricComparison};
use crate::measure::figure::{percent, probability, value};

/// The document. What is inconclusive is skipped, or a failure if that is wanted.
pub fn junit(comparisons: &[Comparison], strict: bool) -> Result<String, SerializeError> {
    let mut report = Report::new("vcluster compare");
    for comparison in comparisons {
        let name = format!("{} to {}", comparison.a, comparison.b);
        let mut suite = TestSuite::new(name.as_str());
        let cases = comparison.judged.iter().map(|metric| case(metric, &name, strict));
        suite.add_test_cases(cases);
        report.add_test_suite(suite);
    }
    report.to_string()
}

fn case(metric: &MetricComparison, suite: &str, strict: bool) -> TestCase {
    let unit = metric.unit.as_ref();
    let text = format!(
        "{}: {} ({} to {}, adjusted p {})",
        metric.verdict.as_str(),
        percent(metric.change),
        value(metric.median_a, unit),
        value(metric.median_b, unit),
        probability(metric.adjusted),
    );
    let is_open = metric.verdict == ChangeVerdict::Inconclusive;
    let mut status = if metric.fails() || (is_open && strict) {
        TestCaseStatus::non_success(NonSuccessKind::Failure)
    } else if is_open {
        TestCaseStatus::skipped()
    } else {
        TestCaseStatus::success()
    };
    if metric.fails() || is_open {
        status.set_message(text.as_str());
    }
    let mut case = TestCase::new(metric.metric.as_str(), status);
    case.set_classname(suite);
    let mut lines = vec![text];
    lines.extend(metric.note.clone());
    if let Some(entry) = &metric.accepted {
        lines.push(format!("accepted until {}: {}", entry.until, entry.reason));
    }
    if let Some(entry) = &metric.expired {
        lines.push(format!("was accepted until {}: {}", entry.until, entry.reason));
    }
    case.set_system_out(lines.join("\n"));
    case
}
