//! Workload results as JUnit XML, for CI systems. Pure. The form is what Jenkins and GitLab read:
//! `testsuites` > `testsuite` (one per step) > `testcase` (one per node); and a suite with the criteria.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::words::{explained, titled};
use crate::base::group::grouped;
use crate::base::text::sanitize;
use crate::measure::{Finding, Judgement};

/// The suite of the criteria.
const CRITERIA: &str = "criteria";

/// Bytes kept of an output: its end, which usually has the reason of a failure.
const TAIL: usize = 8 * 1024;

/// The result of a step on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Passed,
    /// It failed.
    Failed {
        /// Why, in one line: `exit code 3`.
        message: String,
        /// What the command wrote; its tail is kept.
        output: String,
    },
    /// It was not run.
    Skipped {
        /// Why: `step load failed`.
        reason: String,
    },
}

/// A step on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The step.
    pub step: String,
    /// The node.
    pub node: String,
    /// How long it took.
    pub took: Duration,
    /// Its result.
    pub outcome: Outcome,
    /// Files that could not be collected after it, and why. They do not change the result.
    pub uncollected: Vec<String>,
}

/// The document for the results of a cluster: steps in order of appearance, then the criteria if there are any.
pub fn document(cluster: &str, cases: &[Case], findings: &[Finding]) -> Result<String, SerializeError> {
    let suites = grouped(cases.iter().map(|case| (case.step.as_str(), case)));
    let mut report = Report::new(cluster);
    for (step, cases) in suites {
        let mut suite = TestSuite::new(step);
        // Nodes run in parallel: the longest time is the best estimate of the step's wall time.
        suite.set_time(longest(cases.iter().copied()));
        suite.add_test_cases(cases.into_iter().map(|case| test_case(cluster, case)));
        report.add_test_suite(suite);
    }
    if !findings.is_empty() {
        let mut suite = TestSuite::new(CRITERIA);
        suite.set_time(Duration::ZERO);
        suite.add_test_cases(findings.iter().map(|finding| criterion(cluster, finding)));
        report.add_test_suite(suite);
    }
    report.set_time(longest(cases.iter()));
    report.to_string()
}

/// A criterion as a test case. One that only warns passes; what it warns of is in its output, as is the note of one that
/// holds.
fn criterion(cluster: &str, finding: &Finding) -> TestCase {
    let why = sanitize(&explained(finding)).into_owned();
    let fails = finding.fails();
    let mut status = match finding.judgement {
        Judgement::NotApplicable => TestCaseStatus::skipped(),
        _ if fails => TestCaseStatus::non_success(NonSuccessKind::Failure),
        _ => TestCaseStatus::success(),
    };
    if fails || finding.judgement == Judgement::NotApplicable {
        status.set_message(why.as_str());
    }
    let mut test_case = TestCase::new(titled(&finding.criterion), status);
    test_case
        .set_classname(format!("{cluster}.{CRITERIA}"))
        .set_time(Duration::ZERO);
    let warns = matches!(finding.judgement, Judgement::Failed | Judgement::NoSamples) && !fails;
    if warns {
        test_case.set_system_out(format!("warning: {why}"));
    } else if let (Judgement::Passed, Some(note)) = (finding.judgement, &finding.note) {
        test_case.set_system_out(sanitize(note).into_owned());
    }
    test_case
}

fn longest<'a>(cases: impl Iterator<Item = &'a Case>) -> Duration {
    cases.map(|case| case.took).max().unwrap_or_default()
}

fn test_case(cluster: &str, case: &Case) -> TestCase {
    let mut status = match &case.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Failed { .. } => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::Skipped { .. } => TestCaseStatus::skipped(),
    };
    match &case.outcome {
        Outcome::Passed => {}
        Outcome::Failed { message, output } => {
            status
                .set_message(message.as_str())
                .set_description(shown(output));
        }
        Outcome::Skipped { reason } => {
            status.set_message(reason.as_str());
        }
    }
    let mut test_case = TestCase::new(case.node.as_str(), status);
    test_case
        .set_classname(format!("{cluster}.{}", case.step))
        .set_time(case.took);
    if !case.uncollected.is_empty() {
        let lines = case.uncollected.iter();
        let lines: Vec<String> = lines.map(|file| format!("not collected: {file}")).collect();
        test_case.set_system_err(shown(&lines.join("\n")));
    }
    test_case
}

/// The end of an output, and how much is left out before it.
fn shown(output: &str) -> String {
    let tail = tail(output);
    match output.len() - tail.len() {
        0 => tail.to_owned(),
        before => format!("[the first {before} bytes are left out]\n{tail}"),
    }
}

/// The last [`TAIL`] bytes at most, beginning with a whole character.
fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(TAIL);
    let from = (from..=text.len())
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(text.len());
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Severity;
    use crate::measure::fixture::finding;

    fn case(step: &str, node: &str, outcome: Outcome) -> Case {
        Case {
            step: step.into(),
            node: node.into(),
            took: Duration::from_millis(1234),
            outcome,
            uncollected: Vec::new(),
        }
    }

    #[test]
    fn a_suite_per_step_and_a_case_per_node() {
        let cases = [
            case("load", "n1", Outcome::Passed),
            case(
                "load",
                "n2",
                Outcome::Failed {
                    message: "exit code 3".into(),
                    output: "a <b> & ]]>\u{1b}[2J\0".into(),
                },
            ),
            case(
                "check \"x\"",
                "n1",
                Outcome::Skipped {
                    reason: "step load failed".into(),
                },
            ),
        ];
        insta::assert_snapshot!(document("demo", &cases, &[]).unwrap(), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="demo" tests="3" skipped="1" failures="1" errors="0" time="1.234">
            <testsuite name="load" tests="2" skipped="0" errors="0" failures="1" time="1.234">
                <testcase name="n1" classname="demo.load" time="1.234"/>
                <testcase name="n2" classname="demo.load" time="1.234">
                    <failure message="exit code 3">a &lt;b&gt; &amp; ]]&gt;</failure>
                </testcase>
            </testsuite>
            <testsuite name="check &quot;x&quot;" tests="1" skipped="1" errors="0" failures="0" time="1.234">
                <testcase name="n1" classname="demo.check &quot;x&quot;" time="1.234">
                    <skipped message="step load failed"/>
                </testcase>
            </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn files_that_were_not_collected_are_in_system_err_of_a_case_that_passed() {
        let mut case = case("load", "n1", Outcome::Passed);
        case.uncollected = vec!["nothing matches /<*>".into(), "p (a named pipe)".into()];
        let xml = document("demo", &[case], &[]).unwrap();
        let wanted = "<system-err>not collected: nothing matches /&lt;*&gt;\n\
            not collected: p (a named pipe)</system-err>";
        assert!(xml.contains(wanted) && xml.contains("failures=\"0\""), "{xml}");
    }

    #[test]
    fn a_long_output_keeps_its_end_and_stays_text() {
        let output = "é".repeat(TAIL) + "the reason";
        assert!(tail(&output).ends_with("the reason"));
        assert!(tail(&output).len() <= TAIL);
        let before = output.len() - tail(&output).len();
        assert!(shown(&output).starts_with(&format!("[the first {before} bytes are left out]\n")));
    }

    #[test]
    fn criteria_are_a_suite_that_names_values_bounds_and_nodes() {
        let mut broken = finding("p99 < 2s", Judgement::Failed);
        broken.nodes = ["n2", "n1"].map(|node| node.parse().unwrap()).into();
        broken.note = Some("no samples from n3".into());
        let mut warns = finding("max < 2s", Judgement::Failed);
        warns.criterion.severity = Severity::Warn;
        let mut growth = finding("growth <= n log n", Judgement::NotApplicable);
        growth.value = None;
        growth.bound = None;
        growth.note = Some("needs several sizes".into());
        let mut passed = finding("count > 2", Judgement::Passed);
        passed.note = Some("no samples from n[002-150]".into());
        let xml = document("demo", &[], &[broken, warns, growth, passed]).unwrap();
        insta::assert_snapshot!(xml, @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="demo" tests="4" skipped="1" failures="1" errors="0" time="0.000">
            <testsuite name="criteria" tests="4" skipped="1" errors="0" failures="1" time="0.000">
                <testcase name="join_seconds p99 &lt; 2s" classname="demo.criteria" time="0.000">
                    <failure message="the value is 3.25 s, the bound is 2 s; 2 nodes: n[1-2]; no samples from n3"/>
                </testcase>
                <testcase name="join_seconds max &lt; 2s" classname="demo.criteria" time="0.000">
                    <system-out>warning: the value is 3.25 s, the bound is 2 s</system-out>
                </testcase>
                <testcase name="join_seconds growth &lt;= n log n" classname="demo.criteria" time="0.000">
                    <skipped message="needs several sizes"/>
                </testcase>
                <testcase name="join_seconds count &gt; 2" classname="demo.criteria" time="0.000">
                    <system-out>no samples from n[002-150]</system-out>
                </testcase>
            </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn no_results_are_a_document_too() {
        assert!(
            document("demo", &[], &[])
                .unwrap()
                .contains("<testsuites name=\"demo\" tests=\"0\"")
        );
    }
}
