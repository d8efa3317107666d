//! Where a mock listens: an address, a port, or a range of ports.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address with one port or a range of ports: `127.0.0.1:8080`, `8080`, `9000-9999`, `[::1]:9000-9999`. Without an
/// address it is 0.0.0.0. Port 0 is a free port that the system chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listen {
    address: IpAddr,
    first: u16,
    last: u16,
}

/// Why it could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// Neither of the forms.
    #[error("`{0}` is no address to listen on: write 127.0.0.1:8080, 8080 or 9000-9999")]
    Malformed(String),
    /// The range ends before it begins.
    #[error("the range of ports {first}-{last} is empty")]
    Empty {
        /// Its first port.
        first: u16,
        /// Its last port.
        last: u16,
    },
}

impl Listen {
    /// One port of an address.
    pub fn one(address: SocketAddr) -> Self {
        Self {
            address: address.ip(),
            first: address.port(),
            last: address.port(),
        }
    }

    /// All its addresses, at least one.
    pub fn addresses(self) -> impl Iterator<Item = SocketAddr> {
        (self.first..=self.last).map(move |port| SocketAddr::new(self.address, port))
    }

    /// The number of its addresses.
    pub fn count(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// Whether both contain the same address. Port 0 is never the same.
    pub fn overlaps(self, other: Self) -> bool {
        let same_address = self.address == other.address || self.covers(other) || other.covers(self);
        let first = self.first.max(other.first).max(1);
        same_address && first <= self.last.min(other.last)
    }

    /// Whether it listens on all addresses, that of the other one included. `[::]` is also all those of IPv4
    /// (`net.ipv6.bindv6only`), and 0.0.0.0 is none of IPv6.
    fn covers(self, other: Self) -> bool {
        self.address.is_unspecified() && (self.address.is_ipv6() || other.address.is_ipv4())
    }
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let malformed =
            || ListenError::Malformed(text.chars().take(60).flat_map(char::escape_debug).collect());
        let (address, ports) = match text.rsplit_once(':') {
            Some((address, ports)) => {
                let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                let parsed: IpAddr = match bare {
                    Some(bare) => IpAddr::V6(bare.parse().map_err(|_| malformed())?),
                    None => IpAddr::V4(address.parse().map_err(|_| malformed())?),
                };
                (parsed, ports)
            }
            None => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), text),
        };
        let port = |text: &str| {
            // `parse` alone accepts `+1`.
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| digits).ok_or_else(malformed)
        };
        let (first, last) = match ports.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(ports)?, port(ports)?),
        };
        if last < first {
            return Err(ListenError::Empty { first, last });
        }
        if first == 0 && last > 0 {
            return Err(malformed());
        }
        Ok(Self { address, first, last })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", SocketAddr::new(self.address, self.first))?;
        if self.last > self.first {
            write!(f, "-{}", self.last)?;
        }
        Ok(())
    }
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListenVisitor;

        impl Visitor<'_> for ListenVisitor {
            type Value = Listen;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, a port or a range of ports")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Listen, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Listen, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Listen, E> {
                number.to_string().parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(ListenVisitor)
    }
}

impl JsonSchema for Listen {
    fn schema_name() -> Cow<'static, str> {
        "Listen".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`127.0.0.1:8080`, a port (of 0.0.0.0), or a range of ports: `9000-9999`.",
            "type": ["string", "integer"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> Listen {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_a_port_and_a_range_are_read_and_written_back() {
        for (text, written, count) in [
            ("127.0.0.1:8080", "127.0.0.1:8080", 1),
            ("8080", "0.0.0.0:8080", 1),
            ("9000-9999", "0.0.0.0:9000-9999", 1000),
            ("[::1]:80-81", "[::1]:80-81", 2),
            ("127.0.0.1:0", "127.0.0.1:0", 1),
            ("1-65535", "0.0.0.0:1-65535", 65535),
        ] {
            let read = listen(text);
            assert_eq!(read.to_string(), written);
            assert_eq!(read.count(), count);
            assert_eq!(read.addresses().count(), count);
            assert_eq!(listen(written), read);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            ":80",
            "localhost:80",
            "70000",
            "+80",
            "-1",
            "0-10",
            "::1:80",
            "80-",
            "a-b",
        ] {
            let error = bad.parse::<Listen>().unwrap_err();
            assert_eq!(error, ListenError::Malformed(bad.to_owned()), "{bad}");
        }
        let empty = "90-80".parse::<Listen>().unwrap_err();
        assert_eq!(empty, ListenError::Empty { first: 90, last: 80 });
    }

    #[test]
    fn two_mocks_overlap_if_they_share_a_port_of_an_address() {
        assert!(listen("9000-9010").overlaps(listen("127.0.0.1:9005")));
        assert!(listen("127.0.0.1:80").overlaps(listen("127.0.0.1:80")));
        assert!(!listen("127.0.0.1:80").overlaps(listen("127.0.0.2:80")));
        assert!(!listen("80-89").overlaps(listen("90-99")));
        assert!(listen("[::]:80").overlaps(listen("127.0.0.1:80")));
        assert!(listen("127.0.0.1:80").overlaps(listen("[::]:80")));
        assert!(!listen("80").overlaps(listen("[::1]:80")));
        assert!(!listen("[::1]:80").overlaps(listen("80")));
        assert!(!listen("127.0.0.1:0").overlaps(listen("127.0.0.1:0")));
    }
}
