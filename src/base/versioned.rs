//! JSON documents that begin with their version.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};

/// Reads a document of one of these versions. The version is compared first: the fields of a later one are unknown.
pub(crate) fn read<T: DeserializeOwned>(
    bytes: &[u8],
    readable: &RangeInclusive<u32>,
) -> serde_json::Result<T> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = serde_json::from_slice(bytes)?;
    if readable.contains(&version) {
        return serde_json::from_slice(bytes);
    }
    let (first, last) = (readable.start(), readable.end());
    let reads = if first == last {
        format!("only version {last}")
    } else {
        format!("only the versions {first} to {last}")
    };
    Err(serde_json::Error::custom(format!(
        "it has version {version}, and this release reads {reads}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        #[serde(rename = "version")]
        _version: u32,
        value: u32,
    }

    #[test]
    fn a_later_version_is_named_whatever_its_fields_are() {
        let read = |text: &str| read::<Document>(text.as_bytes(), &(1..=2));
        assert_eq!(read(r#"{"version":2,"value":7}"#).unwrap().value, 7);
        let error = read(r#"{"version":3,"other":7}"#).unwrap_err();
        let expected = "it has version 3, and this release reads only the versions 1 to 2";
        assert_eq!(error.to_string(), expected);
        let error = read(r#"{"version":1,"value":7,"other":7}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `other`"), "{error}");
        let error = read(r#"{"value":7}"#).unwrap_err();
        assert!(error.to_string().contains("missing field `version`"), "{error}");
    }
}
