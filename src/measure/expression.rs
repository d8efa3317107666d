//! The language of criteria: `p99 < 2s`, `growth <= n log n`, and the forms of k6: `p(99)<2s`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::growth::{Growth, GrowthError};
use super::statistic::{Statistic, StatisticError};
use super::unit::{self, Unit, UnitError};

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// `<`
    #[serde(rename = "<")]
    Less,
    /// `<=`
    #[serde(rename = "<=")]
    AtMost,
    /// `>`
    #[serde(rename = ">")]
    Greater,
    /// `>=`
    #[serde(rename = ">=")]
    AtLeast,
    /// `==`
    #[serde(rename = "==")]
    Equal,
    /// `!=`
    #[serde(rename = "!=")]
    Different,
}

/// The operators as written; those that begin with another one come before it.
const OPERATORS: [(&str, Operator); 6] = [
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("==", Operator::Equal),
    ("!=", Operator::Different),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Operator {
    /// Whether it holds. Never for a value that is not a number.
    #[expect(clippy::float_cmp, reason = "the user asks for exactly this value")]
    pub fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Less => value < bound,
            Self::AtMost => value <= bound,
            Self::Greater => value > bound,
            Self::AtLeast => value >= bound,
            Self::Equal => value == bound,
            Self::Different => !value.is_nan() && value != bound,
        }
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        OPERATORS
            .iter()
            .find(|(_, operator)| *operator == self)
            .map_or("", |(text, _)| text)
    }
}

/// What must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expression {
    /// A bound of a statistic.
    Bound {
        /// The statistic.
        statistic: Statistic,
        /// The comparison.
        operator: Operator,
        /// The bound, in `unit`.
        bound: f64,
        /// The unit as written; `None`: that of the metric.
        unit: Option<Unit>,
    },
    /// A bound of the growth with the size of the cluster.
    Growth {
        /// `<` or `<=`.
        operator: Operator,
        /// The fastest growth.
        growth: Growth,
    },
}

/// Why an expression could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// No comparison in it.
    #[error("`{0}` compares nothing")]
    NoOperator(String),
    /// An unknown statistic.
    #[error(transparent)]
    Statistic(#[from] StatisticError),
    /// A bound that is no number.
    #[error(transparent)]
    Bound(#[from] UnitError),
    /// A growth that cannot be read.
    #[error(transparent)]
    Growth(#[from] GrowthError),
    /// A growth can only be bounded from above.
    #[error("a growth can only have an upper bound, `growth <= ...`")]
    GrowthOperator,
}

impl ExpressionError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::NoOperator(_) => {
                "write a statistic, a comparison and a bound, such as `p99 < 2s`".to_owned()
            }
            Self::Statistic(_) => format!("write {}, or `growth`", Statistic::NAMES),
            Self::Bound(_) => "write a number with an optional unit, such as 20, 2s or 64MiB".to_owned(),
            Self::Growth(_) => "write `1`, `log n`, `n`, `n log n`, `n^1.5` or the like".to_owned(),
            Self::GrowthOperator => "write `growth <= n log n` or the like".to_owned(),
        }
    }
}

impl Expression {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let shown = || {
            text.chars()
                .take(60)
                .collect::<String>()
                .escape_debug()
                .to_string()
        };
        let found = text.char_indices().find_map(|(at, _)| {
            let rest = &text[at..];
            OPERATORS
                .iter()
                .find(|(written, _)| rest.starts_with(written))
                .map(|(written, operator)| (at, *written, *operator))
        });
        let (at, written, operator) = found.ok_or_else(|| ExpressionError::NoOperator(shown()))?;
        let left = text[..at].trim();
        let right = text[at + written.len()..].trim();
        if left == "growth" {
            if !matches!(operator, Operator::Less | Operator::AtMost) {
                return Err(ExpressionError::GrowthOperator);
            }
            return Ok(Self::Growth {
                operator,
                growth: right.parse()?,
            });
        }
        let statistic = left.parse()?;
        let (bound, unit) = unit::split(right)?;
        Ok(Self::Bound {
            statistic,
            operator,
            bound,
            unit,
        })
    }

    /// Whether it may fail only because samples are still to come: a number, a sum and a largest value only grow, and a
    /// smallest one only falls. What other statistics show can change in both directions at any time.
    pub fn waits_for_samples(&self) -> bool {
        let Self::Bound {
            statistic, operator, ..
        } = self
        else {
            return true;
        };
        let is_upper = matches!(operator, Operator::Less | Operator::AtMost);
        let is_lower = matches!(operator, Operator::Greater | Operator::AtLeast);
        match statistic {
            Statistic::Count | Statistic::Sum | Statistic::Max => !is_upper,
            Statistic::Min => !is_lower,
            _ => false,
        }
    }

    /// The bound in the unit of its statistic, for a metric with this unit; `None` for a growth.
    pub fn bound_in(&self, metric: Option<&Unit>) -> Result<Option<f64>, UnitError> {
        match self {
            Self::Growth { .. } => Ok(None),
            Self::Bound {
                statistic,
                bound,
                unit: own,
                ..
            } => {
                let wanted = metric.filter(|_| statistic.has_unit());
                unit::convert(*bound, own.as_ref(), wanted).map(Some)
            }
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound {
                statistic,
                operator,
                bound,
                unit,
            } => {
                write!(f, "{statistic} {} {bound}", operator.as_str())?;
                match unit {
                    Some(unit) => write!(f, "{unit}"),
                    None => Ok(()),
                }
            }
            Self::Growth { operator, growth } => write!(f, "growth {} {growth}", operator.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(text: &str) -> (Statistic, Operator, f64, Option<String>) {
        match Expression::parse(text).unwrap() {
            Expression::Bound {
                statistic,
                operator,
                bound,
                unit,
            } => (statistic, operator, bound, unit.map(|unit| unit.to_string())),
            Expression::Growth { .. } => panic!("{text} is a growth"),
        }
    }

    #[test]
    fn an_expression_is_a_statistic_a_comparison_and_a_bound_with_an_optional_unit() {
        for (text, wanted) in [
            (
                "p99 < 2s",
                (Statistic::Percentile(99.0), Operator::Less, 2.0, Some("s")),
            ),
            (" median<=20 ", (Statistic::Median, Operator::AtMost, 20.0, None)),
            (
                "sum >= 64 MiB",
                (Statistic::Sum, Operator::AtLeast, 64.0, Some("MiB")),
            ),
            ("max > -1.5e3", (Statistic::Max, Operator::Greater, -1500.0, None)),
            ("count == 0", (Statistic::Count, Operator::Equal, 0.0, None)),
            (
                "stddev != 1ms",
                (Statistic::Stddev, Operator::Different, 1.0, Some("ms")),
            ),
        ] {
            let (statistic, operator, value, unit) = bound(text);
            assert_eq!((statistic, operator, value, unit.as_deref()), wanted, "{text}");
        }
    }

    #[test]
    fn a_bound_that_further_samples_can_reach_waits_for_them() {
        for (text, waits) in [
            ("count >= 150", true),
            ("count == 150", true),
            ("count != 150", true),
            ("count <= 150", false),
            ("sum > 1", true),
            ("sum < 1", false),
            ("max >= 5", true),
            ("max == 0", true),
            ("max <= 0", false),
            ("min < 5", true),
            ("min > 5", false),
            ("p99 < 2", false),
            ("mean > 2", false),
            ("rate == 1", false),
            ("growth <= n", true),
        ] {
            let expression = Expression::parse(text).unwrap();
            assert_eq!(expression.waits_for_samples(), waits, "{text}");
        }
    }

    #[test]
    fn the_forms_of_k6_are_accepted() {
        assert_eq!(bound("p(95)<500").0, Statistic::Percentile(95.0));
        assert_eq!(bound("p(99.9) < 500").0, Statistic::Percentile(99.9));
        assert_eq!(bound("avg<200").0, Statistic::Mean);
        assert_eq!(bound("med<200").0, Statistic::Median);
        assert_eq!(bound("rate<0.01"), (Statistic::Rate, Operator::Less, 0.01, None));
    }

    #[test]
    fn a_growth_has_an_upper_bound() {
        let growth = Expression::parse("growth <= n log n").unwrap();
        let wanted = Growth {
            exponent: 1.0,
            logs: 1.0,
        };
        assert_eq!(
            growth,
            Expression::Growth {
                operator: Operator::AtMost,
                growth: wanted
            }
        );
        assert_eq!(growth.bound_in(Some(&Unit::seconds())), Ok(None));
        assert!(Expression::parse("growth < 1").is_ok());
        for text in ["growth >= n", "growth == n", "growth > 1"] {
            assert_eq!(
                Expression::parse(text),
                Err(ExpressionError::GrowthOperator),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_wrong_with_an_expression_is_named_with_what_to_write() {
        for (text, message, hint) in [
            ("", "`` compares nothing", "such as `p99 < 2s`"),
            ("p99", "`p99` compares nothing", "such as `p99 < 2s`"),
            ("p99 = 2", "`p99 = 2` compares nothing", "such as `p99 < 2s`"),
            ("< 2", "`` is not a statistic", "min, max, mean"),
            ("p0 < 2", "`p0` is not a statistic", "such as p99, or `growth`"),
            ("p101 < 2", "`p101` is not a statistic", "such as p99"),
            ("p99 =< 2", "`p99 =` is not a statistic", "min, max, mean"),
            ("percentile < 2", "`percentile` is not a statistic", "such as p99"),
            ("p99 <", "`` is not a number", "such as 20, 2s or 64MiB"),
            ("p99 < two", "`two` is not a number", "such as 20"),
            ("p99 < 1e400", "`1e400` is not a number", "such as 20"),
            ("p99 < NaN", "`NaN` is not a number", "such as 20"),
            (
                "avg<200 && p(95)<400",
                "`200 && p(95)<400` is not a number",
                "such as 20",
            ),
            ("growth <= 2^n", "`2^n` is not a growth", "`n log n`"),
            (
                "growth >= n",
                "can only have an upper bound",
                "`growth <= n log n`",
            ),
        ] {
            let error = Expression::parse(text).unwrap_err();
            assert!(error.to_string().contains(message), "{text}: {error}");
            assert!(error.hint().contains(hint), "{text}: {}", error.hint());
        }
        let escaped = Expression::parse("\u{1b}[2J").unwrap_err().to_string();
        assert_eq!(escaped, "`\\u{1b}[2J` compares nothing");
    }

    #[test]
    fn a_bound_is_converted_to_the_unit_of_its_metric() {
        let of = |text: &str, unit: Option<&str>| {
            let unit = unit.and_then(Unit::new);
            Expression::parse(text).unwrap().bound_in(unit.as_ref())
        };
        assert_eq!(of("p99 < 2s", Some("ms")), Ok(Some(2000.0)));
        assert_eq!(of("p99 < 2", Some("ms")), Ok(Some(2.0)));
        assert_eq!(of("max < 1KiB", Some("B")), Ok(Some(1024.0)));
        assert!(of("p99 < 2s", Some("B")).is_err());
        assert!(of("p99 < 2s", None).is_err());
        // A number of samples and a share of them have no unit, whatever that of the metric is.
        assert_eq!(of("count < 5", Some("ms")), Ok(Some(5.0)));
        assert_eq!(of("rate < 1%", Some("ms")), Ok(Some(0.01)));
        assert!(of("count < 5s", Some("s")).is_err());
    }

    #[test]
    fn an_expression_is_displayed_in_one_form_that_reads_the_same() {
        for (text, shown) in [
            ("p(99)<2s", "p99 < 2s"),
            ("avg>=0.5", "mean >= 0.5"),
            ("growth <= O(n^2)", "growth <= n^2"),
        ] {
            let expression = Expression::parse(text).unwrap();
            assert_eq!(expression.to_string(), shown);
            assert_eq!(Expression::parse(shown).unwrap(), expression);
            let json = serde_json::to_string(&expression).unwrap();
            assert_eq!(serde_json::from_str::<Expression>(&json).unwrap(), expression);
        }
    }

    #[test]
    fn nothing_holds_for_a_value_that_is_not_a_number() {
        for (_, operator) in OPERATORS {
            assert!(!operator.holds(f64::NAN, 1.0), "{operator:?}");
        }
        let holding = |value: f64| {
            let holds = OPERATORS
                .iter()
                .filter(|(_, operator)| operator.holds(value, 2.0));
            holds.map(|(text, _)| *text).collect::<Vec<_>>()
        };
        assert_eq!(holding(1.0), ["<=", "!=", "<"]);
        assert_eq!(holding(2.0), ["<=", ">=", "=="]);
        assert_eq!(holding(3.0), [">=", "!=", ">"]);
    }
}
