//! Workload results as JUnit XML, which every CI shows. Pure. The form is what Jenkins and GitLab read:
//! `testsuites` > `testsuite` (one per step) > `testcase` (one per node).

use std::io;
use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

/// The most characters kept of an output: its end, where the reason of a failure usually stands.
const TAIL: usize = 8 * 1024;

/// How a step went on one node.
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
    /// How it went.
    pub outcome: Outcome,
}

/// The document for the results of a cluster; steps in order of appearance.
pub fn document(cluster: &str, cases: &[Case]) -> io::Result<String> {
    let mut suites: indexmap::IndexMap<&str, Vec<&Case>> = indexmap::IndexMap::new();
    for case in cases {
        suites.entry(&case.step).or_default().push(case);
    }
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let all: Vec<&Case> = cases.iter().collect();
    let root = writer
        .create_element("testsuites")
        .with_attribute(("name", valid(cluster).as_str()));
    with_counts(root, &all).write_inner_content(|writer| {
        for (step, cases) in &suites {
            let suite = writer
                .create_element("testsuite")
                .with_attribute(("name", valid(step).as_str()));
            with_counts(suite, cases).write_inner_content(|writer| {
                cases
                    .iter()
                    .try_for_each(|case| write_case(writer, cluster, case))
            })?;
        }
        Ok(())
    })?;
    let mut bytes = writer.into_inner();
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(io::Error::other)
}

type Element<'a> = quick_xml::writer::ElementWriter<'a, Vec<u8>>;

fn with_counts<'a>(element: Element<'a>, cases: &[&Case]) -> Element<'a> {
    let count = |wanted: fn(&Outcome) -> bool| {
        cases
            .iter()
            .filter(|case| wanted(&case.outcome))
            .count()
            .to_string()
    };
    // Nodes run side by side: the longest is the nearest to the wall time of a step that can be told from here.
    let time = cases.iter().map(|case| case.took).max().unwrap_or_default();
    element
        .with_attribute(("tests", cases.len().to_string().as_str()))
        .with_attribute((
            "failures",
            count(|outcome| matches!(outcome, Outcome::Failed { .. })).as_str(),
        ))
        .with_attribute(("errors", "0"))
        .with_attribute((
            "skipped",
            count(|outcome| matches!(outcome, Outcome::Skipped { .. })).as_str(),
        ))
        .with_attribute(("time", seconds(time).as_str()))
}

fn write_case(writer: &mut Writer<Vec<u8>>, cluster: &str, case: &Case) -> io::Result<()> {
    let element = writer
        .create_element("testcase")
        .with_attribute((
            "classname",
            format!("{}.{}", valid(cluster), valid(&case.step)).as_str(),
        ))
        .with_attribute(("name", valid(&case.node).as_str()))
        .with_attribute(("time", seconds(case.took).as_str()));
    match &case.outcome {
        Outcome::Passed => element.write_empty()?,
        Outcome::Failed { message, output } => element.write_inner_content(|writer| {
            writer
                .create_element("failure")
                .with_attribute(("message", valid(message).as_str()))
                .write_text_content(BytesText::new(&valid(tail(output))))?;
            Ok(())
        })?,
        Outcome::Skipped { reason } => element.write_inner_content(|writer| {
            writer
                .create_element("skipped")
                .with_attribute(("message", valid(reason).as_str()))
                .write_empty()?;
            Ok(())
        })?,
    };
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64())
}

/// The last [`TAIL`] characters or so, from a whole character on.
fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(TAIL);
    let from = (from..=text.len())
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(text.len());
    &text[from..]
}

/// Text without what XML 1.0 cannot hold even escaped (section 2.2, Char): such characters become U+FFFD.
fn valid(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => c,
            _ => '\u{fffd}',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(step: &str, node: &str, outcome: Outcome) -> Case {
        Case {
            step: step.into(),
            node: node.into(),
            took: Duration::from_millis(1234),
            outcome,
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
        insta::assert_snapshot!(document("demo", &cases).unwrap(), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="demo" tests="3" failures="1" errors="0" skipped="1" time="1.234">
          <testsuite name="load" tests="2" failures="1" errors="0" skipped="0" time="1.234">
            <testcase classname="demo.load" name="n1" time="1.234"/>
            <testcase classname="demo.load" name="n2" time="1.234">
              <failure message="exit code 3">a &lt;b&gt; &amp; ]]&gt;�[2J�</failure>
            </testcase>
          </testsuite>
          <testsuite name="check &quot;x&quot;" tests="1" failures="0" errors="0" skipped="1" time="1.234">
            <testcase classname="demo.check &quot;x&quot;" name="n1" time="1.234">
              <skipped message="step load failed"/>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn a_long_output_keeps_its_end_and_stays_text() {
        let output = "é".repeat(TAIL) + "the reason";
        assert!(tail(&output).ends_with("the reason"));
        assert!(tail(&output).len() <= TAIL);
    }

    #[test]
    fn no_results_are_a_document_too() {
        assert!(
            document("demo", &[])
                .unwrap()
                .contains("<testsuites name=\"demo\" tests=\"0\"")
        );
    }
}
