//! The values of a topology as they are written: texts with a pattern, numbers, cloud-configs, variables. Editors show
//! their doc comments.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

/// Text with a pattern for editors; checked when the topology is resolved.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $title:literal, $pattern:literal, [$($example:literal),*]) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(title = $title, extend("pattern" = $pattern, "examples" = [$($example),*]))]
        pub(super) struct $name(pub(super) String);
    };
}

text!(
    /// A name: lower-case letters, digits and inner hyphens, beginning with a letter.
    Name, "name", "^[a-z]([a-z0-9-]*[a-z0-9])?$", ["redis-150"]
);
text!(
    /// A size with its unit, whole MiB: `96MiB`, `4GiB`. The template language may be used.
    Size, "size", r"^\s*[0-9]+(\.[0-9]+)?\s*[A-Za-z]+\s*$|\{\{", ["96MiB", "4GiB"]
);
text!(
    /// A length of time with its unit: `30s`, `5m`, `1h 30m`.
    Time, "time", r"^\s*([0-9]+\s*[a-z]+\s*)+$", ["30s", "5m", "1h"]
);
text!(
    /// How long a cluster is leased: `4h`, `2days`, or `never` for no end.
    Lease, "lease", r"^\s*(never|([0-9]+\s*[a-z]+\s*)+)\s*$", ["4h", "2days", "never"]
);
text!(
    /// A node set as in ClusterShell: names with ranges, `,` union, `!` difference, `&` intersection,
    /// `^` symmetric difference.
    NodeSet, "node set", r"^[^\s].*$", ["bm[01-15]", "web[1-5],db1"]
);
text!(
    /// Nodes by node set; `@GROUP` is a group, `@all` every node.
    Nodes, "nodes", r"^[^\s].*$", ["@all", "@redis", "redis[001-010]!redis003"]
);
text!(
    /// Permission bits in octal, as text in quotes.
    Mode, "mode", "^0?[0-7]{3,4}$", ["0644", "0755"]
);
text!(
    /// Owner of a file: `user` or `user:group`.
    Owner, "owner", "^[a-z_][a-z0-9_-]*(:[a-z_][a-z0-9_-]*)?$", ["redis:redis"]
);
text!(
    /// An IPv4 network in CIDR form.
    Cidr, "subnet", r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/[0-9]+$", ["10.77.0.0/16"]
);
text!(
    /// An absolute path on the node. The template language may be used.
    RemotePath, "path on the node", r"^(/|\{\{)", ["/etc/redis/redis.conf"]
);
text!(
    /// Text in which the template language may be used.
    Template, "template", "", []
);

/// The error of a value of another type.
fn not<E: serde::de::Error>(wanted: &str) -> E {
    E::invalid_type(serde::de::Unexpected::Other("another type"), &wanted)
}

/// A number, or text in the template language that renders to one.
#[derive(Clone, Debug)]
pub(super) struct Number(pub(super) String);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            _ => Err(not("a number")),
        }
    }
}

impl JsonSchema for Number {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "string", "pattern": r"^[0-9]+$|\{\{" }
            ]
        })
    }
}

/// A count of nodes, or a share of them; checked when the topology is resolved.
#[derive(Clone, Debug)]
pub(super) struct MinReady(pub(super) String);

impl<'de> Deserialize<'de> for MinReady {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            _ => Err(not("a number of nodes or a percentage")),
        }
    }
}

impl JsonSchema for MinReady {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "MinReady".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,2})? ?%?$" }
            ],
            "examples": ["95%", 140]
        })
    }
}

/// A number, or a number with its unit or with `%`; checked when the topology is resolved.
#[derive(Clone, Debug)]
pub(super) struct Amount(pub(super) String);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            _ => Err(not("a number with or without its unit")),
        }
    }
}

impl JsonSchema for Amount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "number", "minimum": 0 },
                { "type": "string", "pattern": r"^\s*[0-9.]+([eE][+-]?[0-9]+)?\s*\S*\s*$" }
            ]
        })
    }
}

/// The user's own cloud-config: the path of a file, or the mapping itself.
#[derive(Clone, Debug)]
pub(super) enum UserData {
    File(String),
    Inline(serde_json::Map<String, Value>),
}

impl<'de> Deserialize<'de> for UserData {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A version `1.10` in it must not become `1.1`, nor permissions `0644` become 644.
        match super::reader::as_written::<Value, D>(deserializer)? {
            Value::String(path) => Ok(Self::File(path)),
            Value::Object(map) => Ok(Self::Inline(map)),
            _ => Err(not("the path of a file, or a mapping")),
        }
    }
}

impl JsonSchema for UserData {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "UserData".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "anyOf": [{ "type": "string" }, { "type": "object" }],
            "examples": ["cloud-config.yaml", { "packages": ["htop"] }]
        })
    }
}

/// Free-form variables of the user. A number keeps its text where that is not the usual form of its value.
#[derive(Clone, Debug, Default)]
pub(super) struct Vars(pub(super) serde_json::Map<String, Value>);

impl<'de> Deserialize<'de> for Vars {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::reader::as_written(deserializer).map(Self)
    }
}

impl JsonSchema for Vars {
    fn inline_schema() -> bool {
        serde_json::Map::<String, Value>::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        serde_json::Map::<String, Value>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        serde_json::Map::<String, Value>::json_schema(generator)
    }
}
