//! Parses the libvirt URI of a host; only a few forms are supported.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::inventory::{HostEndpoint, UriForms, uri_faults};
use crate::ssh::HostTarget;

/// What is accepted in the URI of a host that no topology describes.
const FORMS: UriForms = UriForms {
    transports: &["ssh", "libssh", "libssh2", "unix"],
    parameters: &[
        "socket",
        "keyfile",
        "known_hosts",
        "no_tty",
        "proxy",
        "mode",
        "command",
    ],
};

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// This machine.
    Local {
        /// libvirt's socket, if the URI names one.
        socket: Option<PathBuf>,
    },
    /// Another machine, over SSH.
    Ssh {
        /// User, if the URI has one.
        user: Option<String>,
        /// Host name or address.
        host: String,
        /// Port, if the URI has one.
        port: Option<u16>,
        /// Private key file (`keyfile=`).
        identity: Option<PathBuf>,
        /// Known hosts file (`known_hosts=`).
        known_hosts: Option<PathBuf>,
        /// libvirt's socket there (`socket=`).
        socket: Option<PathBuf>,
    },
}

/// Checks that vcluster supports a URI; the error is a sentence fragment about it.
pub fn check_uri(uri: &str) -> Result<(), String> {
    parse(uri).map(|_| ())
}

/// The SSH target of a host; `None` for this machine.
pub fn ssh_target(host: &HostEndpoint) -> Result<Option<HostTarget>, String> {
    let timeout = Duration::from_secs(20);
    Ok(parse(&host.uri)?.into_target(host, timeout))
}

impl Place {
    /// libvirt's socket there, if the URI names one.
    pub(crate) fn socket(&self) -> Option<&Path> {
        let (Self::Local { socket } | Self::Ssh { socket, .. }) = self;
        socket.as_deref()
    }

    /// The SSH target there; `None` for this machine. A key from the topology has precedence over one from the URI.
    pub(crate) fn into_target(self, host: &HostEndpoint, timeout: Duration) -> Option<HostTarget> {
        match self {
            Self::Local { .. } => None,
            Self::Ssh {
                user,
                host: address,
                port,
                identity,
                known_hosts,
                ..
            } => Some(HostTarget {
                host: address,
                user,
                port,
                identity: host.identity.clone().or(identity),
                known_hosts,
                timeout,
            }),
        }
    }
}

/// Parses a URI; the error is a sentence fragment about it.
pub(crate) fn parse(uri: &str) -> Result<Place, String> {
    let bad = |why: &str| format!("the URI `{}` {why}", uri.escape_debug());
    let odd = |c: char| c.is_control() || c.is_whitespace();
    if uri.chars().any(odd) {
        return Err(bad("contains a space or a control character"));
    }
    let faults = uri_faults(uri, FORMS);
    if !faults.is_empty() {
        let faults: Vec<String> = faults
            .iter()
            .map(|fault| format!("{} ({})", fault.part, fault.instead))
            .collect();
        return Err(bad(&format!("has what is not supported: {}", faults.join(", "))));
    }
    let (scheme, rest) = uri.split_once("://").ok_or_else(|| bad("has no `://`"))?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.strip_suffix("/system").unwrap_or(rest);
    let mut socket = None;
    let mut identity = None;
    let mut known_hosts = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode(value)
            .filter(|value| !value.chars().any(char::is_control))
            .ok_or_else(|| bad("has a bad `%` escape"))?;
        match key {
            "socket" => socket = Some(PathBuf::from(value)),
            "keyfile" => identity = Some(PathBuf::from(value)),
            "known_hosts" => known_hosts = Some(PathBuf::from(value)),
            // For libvirt's own transports; no effect here.
            _ => {}
        }
    }
    if socket.as_ref().is_some_and(|path: &PathBuf| !path.is_absolute()) {
        return Err(bad("names a socket by a relative path"));
    }
    match scheme {
        "qemu" | "qemu+unix" if authority.is_empty() => Ok(Place::Local { socket }),
        "qemu+ssh" | "qemu+libssh" | "qemu+libssh2" => {
            let (user, address) = match authority.rsplit_once('@') {
                Some((user, address)) => (Some(user.to_owned()), address),
                None => (None, authority),
            };
            let (host, port) = split_port(address).ok_or_else(|| bad("has a bad host or port"))?;
            // It is also written to ssh configs and inventories, where it must not be read as anything else.
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-+@".contains(c);
            if let Some(user) = &user
                && (user.is_empty() || user.starts_with('-') || !user.chars().all(plain))
            {
                return Err(bad("has a bad user"));
            }
            Ok(Place::Ssh {
                user,
                host,
                port,
                identity,
                known_hosts,
                socket,
            })
        }
        _ => Err(bad(
            "is none of `qemu:///system`, `qemu+unix:///system`, `qemu+ssh://HOST/system`",
        )),
    }
}

fn split_port(address: &str) -> Option<(String, Option<u16>)> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None if rest.is_empty() => None,
            None => return None,
        };
        return Some((host.to_owned(), port));
    }
    let (host, port) = match address.split_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (address, None),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let good = !host.is_empty() && !host.starts_with('-') && host.chars().all(plain);
    good.then(|| (host.to_owned(), port))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_reached_through_a_socket() {
        assert_eq!(parse("qemu:///system"), Ok(Place::Local { socket: None }));
        assert_eq!(
            parse("qemu+unix:///system?socket=/run/x%20y"),
            Ok(Place::Local {
                socket: Some("/run/x y".into())
            })
        );
    }

    #[test]
    fn user_host_port_and_keyfile_are_read() {
        let place = parse("qemu+ssh://root@bm01:2222/system?keyfile=/k&known_hosts=/h").unwrap();
        assert_eq!(
            place,
            Place::Ssh {
                user: Some("root".into()),
                host: "bm01".into(),
                port: Some(2222),
                identity: Some("/k".into()),
                known_hosts: Some("/h".into()),
                socket: None,
            }
        );
        let Ok(Place::Ssh { host, port, .. }) = parse("qemu+ssh://[fe80::1]:22/system") else {
            panic!("an IPv6 address is a host");
        };
        assert_eq!((host.as_str(), port), ("fe80::1", Some(22)));
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        for bad in [
            "bm01",
            "qemu+tcp://bm01/system",
            "qemu+ssh:///system",
            "qemu+ssh://bm01/session",
            "qemu+ssh://-oProxyCommand=x/system",
            "qemu+ssh://a b/system",
            "qemu+unix:///system?socket=/run/x\ny",
            "qemu+unix:///system?socket=/run/x%0ay",
            "qemu+ssh://@bm01/system",
            "qemu+ssh://-l@bm01/system",
            "qemu+ssh://x\n  ProxyCommand id@bm01/system",
            "qemu+ssh://{{x}}@bm01/system",
            "qemu+ssh://bm01:x/system",
            "qemu+ssh://bm01/system?socket=rel",
            "qemu+ssh://bm01/system?no_verify=1",
            "qemu+ssh://bm01/x/system",
            "xen:///system",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let error = parse("qemu+ssh://bm01/system?keyfile=/k&sshauth=privkey&no_verify=1").unwrap_err();
        assert!(
            error.contains("`sshauth`") && error.contains("`no_verify`") && !error.contains("`keyfile`"),
            "{error}"
        );
    }
}
