//! The language of mocks: the types of a file of mocks, as YAML or JSON. It contains no behaviour; what the types
//! cannot express is in [`Mocks::problems`].

mod check;
mod distribution;
mod fault;
mod listen;
mod read;
mod value;

use std::num::NonZeroU32;
use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::Problem;
pub use distribution::{Empirical, Latency, Lognormal, Normal, Quantiles, Uniform};
pub use fault::{Fault, FaultKind, Faults};
pub use listen::{Listen, ListenError};
pub use read::{MAX_FILE_BYTES, parse, read};
pub use value::{Size, Time, ValueError};

/// A file of mocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mocks {
    /// The mocks by name.
    pub mocks: IndexMap<String, Mock>,
}

/// The protocol of a mock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1, and HTTP/2 without TLS (prior knowledge).
    Http,
    /// Bytes: what one read returns is a request.
    Tcp,
    /// RESP2 and RESP3 of Redis.
    Redis,
    /// Version 3 of the protocol of PostgreSQL.
    Postgres,
    /// Unary calls of gRPC, without TLS.
    Grpc,
}

impl Protocol {
    /// Its name in a file of mocks.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Grpc => "grpc",
        }
    }
}

/// A mock: one endpoint, or one for each port of a range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mock {
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it listens.
    pub listen: Listen,
    /// Seed of all its random draws [default: derived from its name].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How many requests it serves at a time [default: no limit].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Service time, without the wait for a worker [default: none].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Errors in place of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Faults>,
    /// What it answers [default: nothing].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// Behaviour of connections.
    #[serde(default, skip_serializing_if = "ConnectionLimits::is_default")]
    pub connection: ConnectionLimits,
    /// Sends the body in pieces. For HTTP and TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Chunks>,
    /// Columns of a result. For PostgreSQL [default: one column of text with the body].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<Column>>,
    /// Rows of a result. For PostgreSQL [default: 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u32>,
    /// Requests that are answered differently. The first that matches is used, with the values above for what it
    /// does not contain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

impl Mock {
    /// A mock without latency, errors and body.
    pub fn new(protocol: Protocol, listen: Listen) -> Self {
        Self {
            protocol,
            listen,
            seed: None,
            capacity: None,
            latency: None,
            errors: None,
            body: None,
            connection: ConnectionLimits::default(),
            chunks: None,
            columns: None,
            rows: None,
            routes: Vec::new(),
        }
    }
}

/// Requests that are answered in their own way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Which requests.
    #[serde(rename = "match")]
    pub matches: Match,
    /// Service time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Errors in place of the body; an empty list for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Faults>,
    /// What is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// Sends the body in pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Chunks>,
    /// Columns of a result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<Column>>,
    /// Rows of a result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u32>,
}

/// Which requests a route is for. All that is given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Method of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path of HTTP or `/package.Service/Method` of gRPC. `*` is one segment or a part of it, `**` is anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Command of Redis, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Query of PostgreSQL, as a pattern of LIKE (`%` and `_`), in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// How many requests are served at a time, and how many wait. Latency rises with load as in a real service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// Requests that are served at a time.
    pub workers: NonZeroU32,
    /// Requests that wait for a worker, first come, first served [default: no limit].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// What happens to a request that finds the queue full.
    #[serde(default)]
    pub when_full: WhenFull,
}

/// What happens to a request that finds the queue full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It gets the error that the protocol has for overload.
    #[default]
    Reject,
    /// It waits all the same.
    Wait,
    /// Its connection is closed.
    Close,
}

/// What is answered: a text, random letters of a size, or a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// A Handlebars template with `request.method`, `request.path`, `request.query`, `request.body` and `mock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// So many bytes of letters, always the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// The content of a file, unchanged. A relative path begins at the directory of the file of mocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Its media type [default: guessed from the text or from the name of the file].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// Behaviour of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionLimits {
    /// Time between the moment a connection is accepted and the moment it is served [default: none].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_delay: Option<Time>,
    /// Connections at a time; a further one is closed at once [default: no limit].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<NonZeroU32>,
}

impl ConnectionLimits {
    /// Whether nothing is limited.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Sends a body in pieces of about the same size, the first at once and the last after `duration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chunks {
    /// Number of pieces.
    pub count: NonZeroU32,
    /// Time between the first and the last piece.
    pub duration: Time,
}

/// A column of a result of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ColumnType,
}

/// A type of PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Truth value.
    Bool,
    /// 16-bit integer.
    Int2,
    /// 32-bit integer.
    Int4,
    /// 64-bit integer.
    Int8,
    /// 32-bit floating point number.
    Float4,
    /// 64-bit floating point number.
    Float8,
    /// Text.
    Text,
    /// Text with a limit, which is not used here.
    Varchar,
    /// JSON as text.
    Json,
}

/// The JSON Schema of a file of mocks.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Mocks)
}

#[cfg(test)]
mod tests;
