//! How a bare-metal host is reached: what the URI, the topology and the user's `ssh` say, put together.
//! Makes no connection.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::config::SshConfig;
use super::dial::Source;
use super::error::SshError;
use super::known_hosts::{self, KnownHosts};
use super::login::Keys;
use super::reason::{LoginNote, UnsupportedSetting};
use super::request::HostTarget;
use super::settings::{AddressFamily, HostSettings};
use super::stock;
use super::tokens::Tokens;

/// How to reach a host.
pub(super) struct Route {
    /// For messages: the name as written, with the port if it is not 22.
    pub(super) label: String,
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) family: AddressFamily,
    pub(super) source: Source,
    /// `ConnectTimeout`.
    pub(super) connect_timeout: Option<Duration>,
    pub(super) user: String,
    pub(super) known: KnownHosts,
    /// `HostKeyAlgorithms`.
    pub(super) host_key_algorithms: Vec<String>,
    pub(super) keys: Keys,
    pub(super) proxy: Proxy,
}

/// What leads to a host.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Proxy {
    /// The network.
    None,
    /// Other hosts, each through the one before it.
    Jump(Vec<Hop>),
    /// The standard input and output of a command.
    Command(String),
}

/// A host of `ProxyJump`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    host: String,
    user: Option<String>,
    port: Option<u16>,
}

impl Hop {
    /// The hop as a host to log in to, with its own settings in the ssh config.
    pub(super) fn target(&self, timeout: Duration) -> HostTarget {
        HostTarget {
            host: self.host.clone(),
            user: self.user.clone(),
            port: self.port,
            identity: None,
            known_hosts: None,
            timeout,
        }
    }
}

/// The route to a host.
pub(super) async fn route(target: &HostTarget, config: &SshConfig) -> Result<Route, SshError> {
    let settings = config.settings(target).await?;
    of_settings(target, config, &settings)
}

/// The route to a host with these settings.
pub(super) fn of_settings(
    target: &HostTarget,
    config: &SshConfig,
    settings: &HostSettings,
) -> Result<Route, SshError> {
    let tokens = Tokens {
        config,
        original: &target.host,
        settings,
    };
    let port = settings.port;
    let entry = match &settings.host_key_alias {
        Some(alias) => alias.to_lowercase(),
        None => known_hosts::entry_name(&settings.host_name, port),
    };
    Ok(Route {
        label: if port == 22 {
            target.host.clone()
        } else {
            format!("{}:{port}", target.host)
        },
        address: settings.host_name.clone(),
        port,
        family: settings.address_family,
        source: source(target, settings)?,
        connect_timeout: settings.connect_timeout,
        user: settings.user.clone(),
        known: KnownHosts {
            entry,
            files: known_files(target, settings, &tokens)?,
            revoked: expanded(&settings.revoked_host_keys, &tokens)?,
            strictness: settings.strictness,
            accept: stock::accept(target, config, &settings.user, port),
        },
        host_key_algorithms: settings.host_key_algorithms.clone(),
        keys: keys(target, settings, &tokens)?,
        proxy: proxy(target, settings, &tokens)?,
    })
}

fn expanded(paths: &[String], tokens: &Tokens<'_>) -> Result<Vec<PathBuf>, SshError> {
    paths.iter().map(|path| tokens.expanded_path(path)).collect()
}

fn keys(target: &HostTarget, settings: &HostSettings, tokens: &Tokens<'_>) -> Result<Keys, SshError> {
    if !settings.public_keys {
        return Ok(Keys {
            notes: vec![LoginNote::Config("`PubkeyAuthentication` is off".into())],
            ..Keys::default()
        });
    }
    let mut files = Vec::new();
    for name in &settings.identity_files {
        // The default ones need not exist.
        let is_named = !name.starts_with("~/.ssh/id_");
        files.push((tokens.path(name)?, is_named));
    }
    let agent = match settings.identity_agent.as_deref() {
        Some(none) if none.eq_ignore_ascii_case("none") => None,
        None | Some("SSH_AUTH_SOCK") => tokens.config.agent.clone(),
        Some(name) => match name.strip_prefix('$').filter(|rest| !rest.starts_with('{')) {
            Some(variable) => std::env::var_os(variable).map(PathBuf::from),
            None => Some(tokens.expanded_path(name)?),
        },
    };
    let certificates = settings.certificate_files.iter();
    let pkcs11 = settings.pkcs11_provider.as_ref();
    Ok(Keys {
        first: target.identity.as_ref().map(|path| tokens.home(path)),
        files,
        certificates: certificates
            .map(|path| tokens.path(path))
            .collect::<Result<_, _>>()?,
        agent,
        only: settings.identities_only,
        notes: pkcs11
            .map(|_| LoginNote::Config("`PKCS11Provider` is not used: add its keys to the agent".into()))
            .into_iter()
            .collect(),
    })
}

/// Where connections begin. `ssh` also takes a name as `BindAddress`; here it is refused, not ignored.
fn source(target: &HostTarget, settings: &HostSettings) -> Result<Source, SshError> {
    let address = settings.bind_address.as_ref().map(|text| {
        text.parse::<IpAddr>().map_err(|_| SshError::Unsupported {
            target: target.host.clone(),
            what: UnsupportedSetting::Value {
                value: format!("BindAddress {text}"),
                part: "a name in place of an IP address".to_owned(),
            },
        })
    });
    Ok(Source {
        address: address.transpose()?,
        interface: settings.bind_interface.clone(),
    })
}

fn known_files(
    target: &HostTarget,
    settings: &HostSettings,
    tokens: &Tokens<'_>,
) -> Result<Vec<PathBuf>, SshError> {
    if let Some(file) = &target.known_hosts {
        return Ok(vec![tokens.home(file)]);
    }
    let mut files = expanded(&settings.known_hosts, tokens)?;
    files.extend(expanded(&settings.global_known_hosts, tokens)?);
    Ok(files)
}

fn proxy(target: &HostTarget, settings: &HostSettings, tokens: &Tokens<'_>) -> Result<Proxy, SshError> {
    let unsupported = |what| SshError::Unsupported {
        target: target.host.clone(),
        what,
    };
    if let Some(jump) = &settings.proxy_jump {
        let hops: Option<Vec<Hop>> = jump.split(',').map(hop).collect();
        let bad = || unsupported(UnsupportedSetting::ProxyJump(format!("over `{jump}`")));
        return Ok(Proxy::Jump(hops.ok_or_else(bad)?));
    }
    match &settings.proxy_command {
        Some(_) if settings.proxy_use_fdpass => Err(unsupported(UnsupportedSetting::ProxyUseFdpass)),
        Some(command) => Ok(Proxy::Command(tokens.command(command)?)),
        None => Ok(Proxy::None),
    }
}

/// `[user@]host[:port]`, `[user@][address]:port`, or the same as a URI.
fn hop(text: &str) -> Option<Hop> {
    let text = text.trim();
    let rest = text.strip_prefix("ssh://").unwrap_or(text);
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, rest),
    };
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
        None => match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let port = match port {
        Some(port) => Some(port.parse::<u16>().ok().filter(|port| *port != 0)?),
        None => None,
    };
    let is_name = !host.is_empty() && !host.starts_with('-');
    is_name.then(|| Hop {
        host: host.to_owned(),
        user,
        port,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::ssh::config::tests::target;
    use crate::ssh::known_hosts::Strictness;

    /// The route to `bm01` with these lines of `ssh -G`.
    fn with(lines: &str, change: impl FnOnce(&mut HostTarget)) -> Result<Route, SshError> {
        let config = SshConfig::new(None, "/home/me".into(), "me");
        let text = format!("user root\nhostname 10.0.0.7\nport 2200\n{lines}");
        let mut target = target("bm01");
        change(&mut target);
        of_settings(&target, &config, &HostSettings::parse(&text).unwrap())
    }

    #[test]
    fn files_tokens_and_names_come_from_the_answer_of_ssh() {
        let lines = "identityfile %d/keys/%r\nidentityfile ~/.ssh/id_rsa\ncertificatefile ~/c-cert.pub\n\
                     userknownhostsfile /k1 ~/k2\nglobalknownhostsfile /g\n";
        let route = with(lines, |_| ()).unwrap();
        assert_eq!(
            (route.address.as_str(), route.label.as_str()),
            ("10.0.0.7", "bm01:2200")
        );
        assert_eq!(
            route.keys.files,
            [
                (PathBuf::from("/home/me/keys/root"), true),
                (PathBuf::from("/home/me/.ssh/id_rsa"), false)
            ]
        );
        assert_eq!(route.keys.certificates, [Path::new("/home/me/c-cert.pub")]);
        assert_eq!(route.known.entry, "[10.0.0.7]:2200");
        let files = ["/k1", "/home/me/k2", "/g"].map(PathBuf::from);
        assert_eq!(route.known.files, files);
        assert_eq!(route.known.strictness, Strictness::Strict);
        assert_eq!(with("hostkeyalias Bm\n", |_| ()).unwrap().known.entry, "bm");
    }

    #[test]
    fn the_key_and_the_known_hosts_of_the_topology_come_first() {
        let route = with("identityfile ~/.ssh/id_rsa\nuserknownhostsfile /k\n", |target| {
            target.identity = Some("/keys/${PATH}/%h".into());
            target.known_hosts = Some("~/known".into());
        })
        .unwrap();
        assert_eq!(route.keys.first.as_deref(), Some(Path::new("/keys/${PATH}/%h")));
        assert_eq!(route.keys.files.len(), 1);
        assert_eq!(route.known.files, [Path::new("/home/me/known")]);
    }

    #[test]
    fn connections_begin_where_the_config_says() {
        let source = |lines: &str| with(lines, |_| ()).map(|route| route.source);
        assert_eq!(source("").unwrap(), Source::default());
        let bound = source("bindaddress 10.0.0.5\nbindinterface eth1\n").unwrap();
        assert_eq!(bound.address, Some([10, 0, 0, 5].into()));
        assert_eq!(bound.interface.as_deref(), Some("eth1"));
        let error = source("bindaddress me.example.org\n").unwrap_err().to_string();
        assert!(error.contains("me.example.org"), "{error}");
    }

    #[test]
    fn jump_hosts_are_read_as_ssh_prints_them() {
        let hops = |text: &str| match with(&format!("proxyjump {text}\n"), |_| ()).map(|route| route.proxy) {
            Ok(Proxy::Jump(hops)) => hops,
            _ => Vec::new(),
        };
        let of = |host: &str, user: Option<&str>, port| Hop {
            host: host.into(),
            user: user.map(Into::into),
            port,
        };
        assert_eq!(hops("gate"), [of("gate", None, None)]);
        assert_eq!(
            hops("a,me@[::1]:2222,ssh://b:7"),
            [
                of("a", None, None),
                of("::1", Some("me"), Some(2222)),
                of("b", None, Some(7))
            ]
        );
        for bad in ["a:x", "a:0", "-oProxyCommand=x", "a,,b"] {
            assert!(with(&format!("proxyjump {bad}\n"), |_| ()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_proxy_command_is_expanded_and_a_passed_descriptor_is_refused() {
        let command = with("proxycommand nc %h %p\n", |_| ()).unwrap().proxy;
        assert_eq!(command, Proxy::Command("nc 10.0.0.7 2200".into()));
        let error = with("proxycommand x\nproxyusefdpass yes\n", |_| ())
            .err()
            .unwrap();
        assert!(error.to_string().contains("ProxyUseFdpass"), "{error}");
    }
}
