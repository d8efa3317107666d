//! Accepted regressions.

use std::path::Path;

use super::super::accepted::parse;
use super::super::{Accepted, AcceptedError, ChangeVerdict, Comparison, compare};
use super::fixture::{CALM, judged, options, side, times};
use crate::measure::fixture::criterion;
use crate::workload::Record;

fn read(text: &str) -> Result<Vec<Accepted>, AcceptedError> {
    parse(text, Path::new("accepted.yaml"))
}

/// 20 % worse in `t`, of the variant `rev=new`, on 2026-06-15.
fn compared(accepted: &str) -> Comparison {
    let of = |name: &str, values: &[f64]| {
        let rev = name.to_owned();
        side(
            name,
            &[("t", values), ("free", values)],
            move |record: &mut Record| {
                record.criteria = vec![criterion("t", "median < 1000")];
                record.variant.insert("rev".into(), rev.clone());
            },
        )
    };
    let (a, b) = (of("old", &CALM), of("new", &times(&CALM, 1.2)));
    compare(&a, &b, &options(), &read(accepted).unwrap()).unwrap()
}

#[test]
fn an_accepted_regression_is_shown_and_does_not_fail() {
    for entry in [
        "- { metric: t, reason: known, until: 2026-06-15 }",
        "- { metric: t, variant: rev=new, reason: known, until: 2026-12-31 }",
        "# one\n- metric: t\n  variant: \"rev=new\"\n  reason: known\n  until: 2026-12-31\n",
    ] {
        let comparison = compared(entry);
        let metric = judged(&comparison, "t");
        assert_eq!(metric.verdict, ChangeVerdict::Worse, "{entry}");
        assert_eq!(metric.accepted.as_ref().unwrap().reason, "known");
        assert_eq!(comparison.verdict, ChangeVerdict::Equal);
        assert!(comparison.warnings.is_empty() && !metric.fails());
    }
}

#[test]
fn an_expired_entry_fails_and_is_named() {
    let comparison = compared("- { metric: t, reason: known, until: 2026-06-14 }");
    let metric = judged(&comparison, "t");
    assert_eq!(comparison.verdict, ChangeVerdict::Worse);
    assert!(metric.accepted.is_none() && metric.fails());
    assert_eq!(metric.expired.as_ref().unwrap().until.to_string(), "2026-06-14");
    // One that is still valid has priority.
    let both =
        "- { metric: t, reason: old, until: 2026-06-14 }\n- { metric: t, reason: new, until: 2026-06-16 }";
    let comparison = compared(both);
    let metric = judged(&comparison, "t");
    assert_eq!(metric.accepted.as_ref().unwrap().reason, "new");
    assert!(metric.expired.is_none());
}

#[test]
fn an_entry_of_another_variant_accepts_nothing() {
    let comparison = compared("- { metric: t, variant: rev=newer, reason: known, until: 2026-12-31 }");
    assert_eq!(comparison.verdict, ChangeVerdict::Worse);
    assert!(judged(&comparison, "t").expired.is_none());
}

#[test]
fn an_entry_without_effect_is_a_warning() {
    let comparison = compared(
        "- { metric: tt, reason: known, until: 2026-12-31 }\n- { metric: free, reason: known, until: 2026-12-31 }",
    );
    assert_eq!(comparison.warnings.len(), 2);
    assert!(
        comparison.warnings[0].ends_with("no run has a metric `tt`"),
        "{:?}",
        comparison.warnings
    );
    assert!(
        comparison.warnings[1].contains("`free` is not judged"),
        "{:?}",
        comparison.warnings
    );
    assert_eq!(comparison.verdict, ChangeVerdict::Worse);
}

#[test]
fn a_file_without_entries_accepts_nothing() {
    for text in ["", "\n\n", "# nothing\n", "[]\n"] {
        assert!(read(text).unwrap().is_empty(), "{text:?}");
    }
}

#[test]
fn a_mistake_is_named_with_its_place() {
    let good = "- metric: t\n  reason: known\n  until: 2026-12-31\n";
    for (bad, said) in [
        ("- metric: t\n  reasn: typed\n  until: 2026-12-31\n", "reasn"),
        (
            "- metric: t\n  reason: known\n  until: soon\n",
            "`soon` is not a day",
        ),
        (
            "- metric: t\n  reason: known\n  until: 2026-13-01\n",
            "`2026-13-01` is not a day",
        ),
        (
            "- metric: t\n  reason: ' '\n  until: 2026-12-31\n",
            "`reason` is empty",
        ),
        (
            "- metric: 'a b'\n  reason: known\n  until: 2026-12-31\n",
            "`a b` is not a name",
        ),
        (
            "- metric: t\n  variant: rev\n  reason: known\n  until: 2026-12-31\n",
            "`rev` is not a variant",
        ),
        ("- metric: t\n  reason: known\n", "until"),
    ] {
        let error = read(&format!("{good}{bad}")).unwrap_err();
        let AcceptedError::Malformed {
            line, column, cause, ..
        } = &error
        else {
            panic!("{error}");
        };
        assert!(cause.contains(said), "{cause}");
        assert!((4..=8).contains(line) && *column >= 1, "{error}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("accepted.yaml:{line}:{column}: "))
        );
    }
    for hostile in [
        "{",
        "- [",
        "metric: t",
        "- 1",
        "\0",
        "- &a [*a]",
        "--- []\n--- []\n",
    ] {
        assert!(read(hostile).is_err(), "{hostile:?}");
    }
}
