//! Errors of a mock, as they are written. [`crate::faults`] draws them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The errors of a mock or of a route: one, or a list. Their rates add up to 1 at most.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Faults(pub Vec<Fault>);

/// An error in place of the body. The service time passes first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The share of requests, 0 to 1.
    pub rate: f64,
    /// What happens.
    pub kind: FaultKind,
    /// The status of HTTP, 200 to 599, or of gRPC, 1 to 16 [default: 500, or 13 (INTERNAL)].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The prefix of an error of Redis [default: ERR], or the SQLSTATE of PostgreSQL [default: XX000].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The text of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What happens in place of an answer. The names are those of WireMock where it has the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A status of HTTP or gRPC.
    Status,
    /// An error of Redis or PostgreSQL.
    Error,
    /// The connection is closed without an answer.
    EmptyResponse,
    /// Bytes that are no answer, then the connection is closed.
    RandomDataThenClose,
    /// The connection is reset.
    ConnectionResetByPeer,
    /// There is no answer. The request holds no worker meanwhile.
    Timeout,
}

impl FaultKind {
    /// Its name in a file of mocks and in a report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Error => "error",
            Self::EmptyResponse => "empty_response",
            Self::RandomDataThenClose => "random_data_then_close",
            Self::ConnectionResetByPeer => "connection_reset_by_peer",
            Self::Timeout => "timeout",
        }
    }
}

impl<'de> Deserialize<'de> for Faults {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FaultsVisitor;

        impl<'de> Visitor<'de> for FaultsVisitor {
            type Value = Faults;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an error with `rate` and `kind`, or a list of them")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Faults, A::Error> {
                let fault = Fault::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Faults(vec![fault]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Faults, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Faults)
            }
        }

        deserializer.deserialize_any(FaultsVisitor)
    }
}

impl JsonSchema for Faults {
    fn schema_name() -> Cow<'static, str> {
        "Faults".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let fault = generator.subschema_for::<Fault>();
        json_schema!({
            "description": "An error, or a list of them. Their rates add up to 1 at most.",
            "anyOf": [fault, {"type": "array", "items": fault}],
        })
    }
}
