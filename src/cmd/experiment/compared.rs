//! What the comparisons of an experiment mean for its exit code and its JUnit file.

use std::time::Duration;

use crate::base::exit::ExitCode;
use crate::cluster::experiment::{Compared, Outcome};
use crate::compare::{ChangeVerdict, Refusal};
use crate::report::{comparison, junit};

/// The exit code of an experiment that came to its end. What fails is stronger than what could not be compared.
pub(super) fn exit_code(outcome: &Outcome) -> ExitCode {
    if outcome.fails() {
        ExitCode::WorkloadFailed
    } else if outcome
        .compared
        .iter()
        .any(|compared| compared.refusal().is_some())
    {
        ExitCode::Usage
    } else {
        ExitCode::Ok
    }
}

/// A comparison as a test case. What the runs do not decide is skipped.
pub(super) fn comparison_case(compared: &Compared) -> junit::Case {
    junit::Case {
        step: "compare".to_owned(),
        node: format!(
            "{} against {}",
            compared.variant.words(),
            compared.baseline.words()
        ),
        took: Duration::ZERO,
        outcome: case_outcome(compared),
        uncollected: Vec::new(),
    }
}

fn case_outcome(compared: &Compared) -> junit::Outcome {
    let comparison = match &compared.result {
        Ok(comparison) => comparison,
        Err(refusal) => return refused(refusal, ""),
    };
    let headline = comparison::headline(comparison);
    if let Some(refusal) = &compared.not_confirmed {
        return refused(refusal, &format!("{headline}\n"));
    }
    if compared.fails() {
        junit::Outcome::Failed {
            message: headline,
            output: String::new(),
        }
    } else if compared.is_unconfirmed {
        junit::Outcome::Skipped {
            reason: format!("not confirmed: {headline}"),
        }
    } else if comparison.verdict == ChangeVerdict::Inconclusive {
        junit::Outcome::Skipped { reason: headline }
    } else {
        junit::Outcome::Passed
    }
}

/// Runs that could not be compared, after what is known without them.
fn refused(refusal: &Refusal, known: &str) -> junit::Outcome {
    let text = refusal.to_string();
    let first = text.lines().next().unwrap_or_default();
    junit::Outcome::Failed {
        message: format!("not compared: {}", first.trim_end_matches(':')),
        output: format!("{known}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::experiment::{Left, Variant};
    use crate::compare::fixture::decided;

    fn compared(verdict: ChangeVerdict) -> Compared {
        Compared {
            baseline: Variant::default(),
            variant: Variant::default(),
            result: Ok(decided(verdict)),
            is_unconfirmed: false,
            not_confirmed: None,
            left_out: 0,
        }
    }

    fn refusal() -> Refusal {
        Refusal {
            a: "rev=old".into(),
            b: "rev=new".into(),
            differences: Vec::new(),
            command: None,
        }
    }

    fn code(compared: Vec<Compared>) -> ExitCode {
        let experiment = json!({
            "version": 1, "name": "20260131T120000Z-test", "kind": "test", "cluster": "demo", "topology": "demo.yaml",
            "began": "2026-01-31T12:00:00Z", "order": "interleaved", "between": "keep", "repeat": 5, "runs": [],
            "command": [],
        });
        exit_code(&Outcome {
            experiment: serde_json::from_value(experiment).unwrap(),
            compared,
            growth: Vec::new(),
            found: Vec::new(),
            left: Left::Nothing,
            error: None,
            removal: None,
        })
    }

    #[test]
    fn what_could_not_be_compared_is_2_and_what_is_worse_is_6() {
        let mut refused = compared(ChangeVerdict::Equal);
        refused.result = Err(refusal());
        let mut not_confirmed = compared(ChangeVerdict::Worse);
        not_confirmed.is_unconfirmed = true;
        not_confirmed.not_confirmed = Some(refusal());
        let worse = || compared(ChangeVerdict::Worse);
        assert_eq!(code(vec![compared(ChangeVerdict::Equal)]), ExitCode::Ok);
        assert_eq!(code(vec![compared(ChangeVerdict::Inconclusive)]), ExitCode::Ok);
        assert_eq!(code(vec![refused.clone()]), ExitCode::Usage);
        assert_eq!(code(vec![not_confirmed]), ExitCode::Usage);
        assert_eq!(code(vec![refused, worse()]), ExitCode::WorkloadFailed);
    }

    #[test]
    fn a_case_passes_only_if_the_runs_have_decided() {
        let failed = |compared: &Compared| match case_outcome(compared) {
            junit::Outcome::Failed { message, output } => (message, output),
            other => panic!("{other:?}"),
        };
        let skipped = |compared: &Compared| match case_outcome(compared) {
            junit::Outcome::Skipped { reason } => reason,
            other => panic!("{other:?}"),
        };
        let equal = compared(ChangeVerdict::Equal);
        assert_eq!(case_outcome(&equal), junit::Outcome::Passed);
        assert!(skipped(&compared(ChangeVerdict::Inconclusive)).starts_with("inconclusive: "));
        let mut worse = compared(ChangeVerdict::Worse);
        assert_eq!(failed(&worse).1, "");
        worse.is_unconfirmed = true;
        assert!(skipped(&worse).starts_with("not confirmed: "));
        let text = "`rev=old` and `rev=new` differ in more than what was varied";
        worse.not_confirmed = Some(refusal());
        let (message, output) = failed(&worse);
        assert_eq!(message, format!("not compared: {text}"));
        assert!(output.ends_with(&format!("\n{text}:")), "{output}");
        worse.result = Err(refusal());
        assert_eq!(failed(&worse).1, format!("{text}:"));
    }
}
