//! The names that vcluster accepts and generates. A value of these types is safe in a
//! path, in XML, in a shell word and as a DNS label: it contains only lower-case
//! letters, digits and inner hyphens (host names also dots).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is empty.
    #[error("the {what} name is empty")]
    Empty {
        /// Kind of name.
        what: &'static str,
    },
    /// Longer than the kind of name allows.
    #[error("the {what} name `{name}` has {length} characters, at most {limit} are allowed", name = name.escape_debug())]
    TooLong {
        /// Kind of name.
        what: &'static str,
        /// The name, shortened.
        name: String,
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// A character that is not allowed in this place.
    #[error("the {what} name `{name}` contains `{character}`", name = name.escape_debug(), character = character.escape_debug())]
    Character {
        /// Kind of name.
        what: &'static str,
        /// The name.
        name: String,
        /// The first invalid character.
        character: char,
    },
}

impl NameError {
    /// The form of a valid name.
    pub fn hint(&self) -> &'static str {
        "use lower-case letters, digits and inner hyphens, beginning with a letter"
    }
}

fn check(
    what: &'static str,
    name: &str,
    limit: usize,
    dots: bool,
    digit_first: bool,
) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what });
    }
    if name.chars().count() > limit {
        return Err(NameError::TooLong {
            what,
            name: name.chars().take(40).collect(),
            length: name.chars().count(),
            limit,
        });
    }
    let at_fault = |character| NameError::Character {
        what,
        name: name.to_owned(),
        character,
    };
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if let Some(c) = name
        .chars()
        .find(|&c| !(allowed(c) || c == '-' || (dots && c == '.')))
    {
        return Err(at_fault(c));
    }
    // Each label of a host name must begin and end with a letter or digit (RFC 1123).
    for label in name.split('.') {
        let first = label.chars().next().ok_or_else(|| at_fault('.'))?;
        if first == '-' || (!digit_first && first.is_ascii_digit()) {
            return Err(at_fault(first));
        }
        if label.ends_with('-') {
            return Err(at_fault('-'));
        }
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $what:literal, $limit:literal, dots: $dots:literal, digit_first: $digit:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                check($what, name, $limit, $dots, $digit)?;
                Ok(Self(name.to_owned()))
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, Self::Error> {
                check($what, &name, $limit, $dots, $digit)?;
                Ok(Self(name))
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type!(
    /// Name of a cluster, at most 40 characters: it is part of domain, pool and file names.
    ClusterName, "cluster", 40, dots: false, digit_first: false
);

name_type!(
    /// Name of a network of a cluster; part of names in `/etc/hosts` (`NODE.NETWORK`).
    NetworkName, "network", 40, dots: false, digit_first: false
);

impl NetworkName {
    /// The network that every node joins, and over which vcluster logs in.
    pub const CLUSTER: &'static str = "cluster";

    /// The name of the network that every node joins.
    pub fn cluster() -> Self {
        Self(Self::CLUSTER.to_owned())
    }

    /// Whether it is the network that every node joins.
    pub fn is_cluster(&self) -> bool {
        self.0 == Self::CLUSTER
    }
}
name_type!(
    /// Name of a node: its host name, a DNS label of at most 63 characters.
    NodeName, "node", 63, dots: false, digit_first: false
);
name_type!(
    /// Name of a group of nodes, at most 50 characters to leave room for an index.
    GroupName, "group", 50, dots: false, digit_first: false
);
name_type!(
    /// Name of a bare-metal host in the topology; may be a DNS name.
    HostName, "host", 253, dots: true, digit_first: true
);
name_type!(
    /// Name of an image in the topology.
    ImageName, "image", 50, dots: false, digit_first: false
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_a_path_or_enter_xml_or_a_shell_are_refused() {
        for bad in [
            "../x", "a<b", "$(x)", "a b", "a\nb", "", "-a", "a-", "A", "1a", "a.b", "é",
        ] {
            assert!(bad.parse::<ClusterName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn usual_names_are_accepted() {
        assert!("redis-150".parse::<ClusterName>().is_ok());
        assert!("worker017".parse::<NodeName>().is_ok());
        assert!("bm01.rack1.example.org".parse::<HostName>().is_ok());
        assert!("..".parse::<HostName>().is_err());
        assert!("a..b".parse::<HostName>().is_err());
    }

    #[test]
    fn a_control_character_is_shown_escaped() {
        let error = "a\u{1b}[2J".parse::<NodeName>().unwrap_err();
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
}
