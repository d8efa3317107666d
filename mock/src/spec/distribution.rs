//! The shapes of a service time, as they are written. [`crate::latency`] draws from them.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Time;

/// The distribution of a service time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// Always the same.
    Constant(Time),
    /// All times between two are equally likely.
    Uniform(Uniform),
    /// The normal distribution; what is below 0 becomes 0.
    Normal(Normal),
    /// Its logarithm has the normal distribution: the usual shape of a service with a long tail.
    Lognormal(Lognormal),
    /// As recorded.
    Empirical(Empirical),
}

/// All times between two are equally likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uniform {
    /// The shortest time.
    pub min: Time,
    /// The longest time.
    pub max: Time,
}

/// The normal distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normal {
    /// The mean.
    pub mean: Time,
    /// The standard deviation.
    pub stddev: Time,
}

/// The lognormal distribution, by its median and one of `p99` and `sigma`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lognormal {
    /// The median.
    pub median: Time,
    /// The time that 99 % of the requests do not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<Time>,
    /// The standard deviation of the natural logarithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma: Option<f64>,
}

/// A recorded distribution.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Empirical {
    /// A file. Its lines are `VALUE` or `QUANTILE VALUE` with values in milliseconds, or it is JSON:
    /// `{"quantiles": [[0.5, 0.003], [1, 0.02]]}` with values in seconds.
    File(PathBuf),
    /// The quantiles.
    Inline(Quantiles),
}

/// Quantiles of a distribution, with straight lines between them. Below the first one and above the last one, their
/// values hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    /// Pairs of a quantile, 0 to 1, and its value in seconds; both rise.
    pub quantiles: Vec<(f64, f64)>,
}

impl<'de> Deserialize<'de> for Empirical {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EmpiricalVisitor;

        impl<'de> Visitor<'de> for EmpiricalVisitor {
            type Value = Empirical;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a file, or a mapping with `quantiles`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Empirical, E> {
                Ok(Empirical::File(PathBuf::from(text)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Empirical, A::Error> {
                Quantiles::deserialize(MapAccessDeserializer::new(map)).map(Empirical::Inline)
            }
        }

        deserializer.deserialize_any(EmpiricalVisitor)
    }
}
