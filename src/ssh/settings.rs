//! The settings of one host, as `ssh -G` prints them: one `keyword value` on each line. Pure.
//!
//! `ssh` has already applied `Host`, `Match`, `Include`, the defaults and the canonical name. What it expands only while
//! it connects (`IdentityFile`, `CertificateFile`, `ProxyCommand`) is expanded by `tokens`. The format is
//! `dump_client_config` in readconf.c of OpenSSH.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::known_hosts::Strictness;

/// Which addresses of a name are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressFamily {
    /// All.
    #[default]
    Any,
    /// IPv4 only.
    Inet,
    /// IPv6 only.
    Inet6,
}

impl AddressFamily {
    /// Whether an address belongs to it.
    pub(super) fn has(self, address: &SocketAddr) -> bool {
        match (self, address.ip()) {
            (Self::Any, _) | (Self::Inet, IpAddr::V4(_)) | (Self::Inet6, IpAddr::V6(_)) => true,
            (Self::Inet | Self::Inet6, _) => false,
        }
    }
}

/// The settings of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSettings {
    /// `HostName`.
    pub host_name: String,
    /// `User`.
    pub user: String,
    /// `Port`.
    pub port: u16,
    /// `AddressFamily`.
    pub address_family: AddressFamily,
    /// `BindAddress`.
    pub bind_address: Option<String>,
    /// `BindInterface`.
    pub bind_interface: Option<String>,
    /// `ConnectTimeout`.
    pub connect_timeout: Option<Duration>,
    /// `PubkeyAuthentication`.
    pub public_keys: bool,
    /// `IdentityFile`, all of them, or the default ones; tokens and `~` are not expanded.
    pub identity_files: Vec<String>,
    /// `CertificateFile`, all of them; tokens and `~` are not expanded.
    pub certificate_files: Vec<String>,
    /// `IdentitiesOnly`.
    pub identities_only: bool,
    /// `IdentityAgent`: a path, `none`, `SSH_AUTH_SOCK` or `$VARIABLE`.
    pub identity_agent: Option<String>,
    /// `PKCS11Provider`.
    pub pkcs11_provider: Option<String>,
    /// `UserKnownHostsFile`.
    pub known_hosts: Vec<String>,
    /// `GlobalKnownHostsFile`.
    pub global_known_hosts: Vec<String>,
    /// `RevokedHostKeys`.
    pub revoked_host_keys: Vec<String>,
    /// `StrictHostKeyChecking`. `no` means `accept-new`: a changed key is never accepted.
    pub strictness: Strictness,
    /// `HostKeyAlias`.
    pub host_key_alias: Option<String>,
    /// `HostKeyAlgorithms`.
    pub host_key_algorithms: Vec<String>,
    /// `ProxyJump`, unless it is `none`.
    pub proxy_jump: Option<String>,
    /// `ProxyCommand`, unless it is `none`; tokens are not expanded.
    pub proxy_command: Option<String>,
    /// `ProxyUseFdpass`.
    pub proxy_use_fdpass: bool,
}

impl HostSettings {
    /// Reads the output of `ssh -G`. The error is a sentence fragment about it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut settings = Self {
            host_name: String::new(),
            user: String::new(),
            port: 0,
            address_family: AddressFamily::Any,
            bind_address: None,
            bind_interface: None,
            connect_timeout: None,
            public_keys: true,
            identity_files: Vec::new(),
            certificate_files: Vec::new(),
            identities_only: false,
            identity_agent: None,
            pkcs11_provider: None,
            known_hosts: Vec::new(),
            global_known_hosts: Vec::new(),
            revoked_host_keys: Vec::new(),
            strictness: Strictness::Strict,
            host_key_alias: None,
            host_key_algorithms: Vec::new(),
            proxy_jump: None,
            proxy_command: None,
            proxy_use_fdpass: false,
        };
        for line in text.lines() {
            let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
            settings.keyword(&keyword.to_ascii_lowercase(), value.trim_end());
        }
        let missing = [
            ("hostname", settings.host_name.is_empty()),
            ("user", settings.user.is_empty()),
            ("port", settings.port == 0),
        ];
        match missing.iter().find(|(_, is_missing)| *is_missing) {
            Some((keyword, _)) => Err(format!("`ssh -G` printed no `{keyword}`")),
            None => Ok(settings),
        }
    }

    fn keyword(&mut self, keyword: &str, value: &str) {
        let given = || (!value.eq_ignore_ascii_case("none")).then(|| value.to_owned());
        match keyword {
            "hostname" => value.clone_into(&mut self.host_name),
            "user" => value.clone_into(&mut self.user),
            "port" => self.port = value.parse().unwrap_or(0),
            "addressfamily" => {
                self.address_family = match value {
                    "inet" => AddressFamily::Inet,
                    "inet6" => AddressFamily::Inet6,
                    _ => AddressFamily::Any,
                }
            }
            "bindaddress" => self.bind_address = given(),
            "bindinterface" => self.bind_interface = given(),
            // `none`, or seconds.
            "connecttimeout" => {
                let seconds = value.parse::<u64>().ok().filter(|seconds| *seconds > 0);
                self.connect_timeout = seconds.map(Duration::from_secs);
            }
            "pubkeyauthentication" => self.public_keys = !is_off(value),
            "identityfile" => self.identity_files.extend(given()),
            "certificatefile" => self.certificate_files.extend(given()),
            "identitiesonly" => self.identities_only = is_on(value),
            "identityagent" => self.identity_agent = Some(value.to_owned()),
            "pkcs11provider" => self.pkcs11_provider = given(),
            "userknownhostsfile" => self.known_hosts = paths(value),
            "globalknownhostsfile" => self.global_known_hosts = paths(value),
            "revokedhostkeys" => self.revoked_host_keys = paths(value),
            "stricthostkeychecking" => {
                self.strictness = match value {
                    "accept-new" | "no" | "off" | "false" => Strictness::AcceptNew,
                    _ => Strictness::Strict,
                }
            }
            "hostkeyalias" => self.host_key_alias = given(),
            "hostkeyalgorithms" => {
                self.host_key_algorithms = value.split(',').map(str::to_owned).collect();
            }
            "proxyjump" => self.proxy_jump = given(),
            "proxycommand" => self.proxy_command = given(),
            "proxyusefdpass" => self.proxy_use_fdpass = is_on(value),
            _ => {}
        }
    }
}

fn is_on(value: &str) -> bool {
    matches!(value, "yes" | "true")
}

fn is_off(value: &str) -> bool {
    matches!(value, "no" | "false")
}

/// Paths on one line. `ssh` prints them without quotes, so a word that cannot begin a path belongs to the one before it.
fn paths(value: &str) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        match paths.last_mut() {
            Some(last) if !word.starts_with(['/', '~', '%', '$', '.']) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => paths.push(word.to_owned()),
        }
    }
    paths.retain(|path| !path.eq_ignore_ascii_case("none"));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What OpenSSH 9.2 prints, shortened.
    const ANSWER: &str = "host bm01\nuser admin\nhostname bm01.example.org\nport 2200\naddressfamily inet\n\
        identitiesonly yes\nproxyusefdpass no\npubkeyauthentication true\nstricthostkeychecking ask\n\
        hostkeyalgorithms ssh-ed25519,rsa-sha2-512\nhostkeyalias bm\nidentityagent SSH_AUTH_SOCK\n\
        identityfile %d/keys/%r\nidentityfile ~/x y/b\ncertificatefile ~/.ssh/c-cert.pub\n\
        globalknownhostsfile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2\n\
        userknownhostsfile /root/.ssh/kh /root/k h2\naddkeystoagent false\nconnecttimeout 7\n\
        bindaddress 10.0.0.5\nbindinterface eth1\ncanonicalizePermittedcnames none\nproxyjump u@gate:22,g2\n";

    #[test]
    fn the_answer_of_ssh_is_read_as_it_is() {
        let settings = HostSettings::parse(ANSWER).unwrap();
        assert_eq!(
            (settings.host_name.as_str(), settings.user.as_str(), settings.port),
            ("bm01.example.org", "admin", 2200)
        );
        assert_eq!(settings.identity_files, ["%d/keys/%r", "~/x y/b"]);
        assert_eq!(settings.certificate_files, ["~/.ssh/c-cert.pub"]);
        assert!(settings.identities_only && settings.public_keys);
        assert_eq!(settings.identity_agent.as_deref(), Some("SSH_AUTH_SOCK"));
        assert_eq!(settings.known_hosts, ["/root/.ssh/kh", "/root/k h2"]);
        assert_eq!(settings.global_known_hosts.len(), 2);
        assert_eq!(settings.strictness, Strictness::Strict);
        assert_eq!(settings.host_key_alias.as_deref(), Some("bm"));
        assert_eq!(settings.host_key_algorithms, ["ssh-ed25519", "rsa-sha2-512"]);
        assert_eq!(settings.proxy_jump.as_deref(), Some("u@gate:22,g2"));
        assert_eq!(settings.proxy_command, None);
        assert_eq!(settings.address_family, AddressFamily::Inet);
        assert_eq!(settings.connect_timeout, Some(Duration::from_secs(7)));
        assert_eq!(settings.bind_address.as_deref(), Some("10.0.0.5"));
        assert_eq!(settings.bind_interface.as_deref(), Some("eth1"));
    }

    #[test]
    fn none_means_nothing() {
        let text = "user a\nhostname b\nport 22\nidentityfile none\nuserknownhostsfile none\nproxycommand none\n\
                    connecttimeout none\nhostkeyalias none\n";
        let settings = HostSettings::parse(text).unwrap();
        assert!(settings.identity_files.is_empty() && settings.known_hosts.is_empty());
        assert_eq!((settings.proxy_command, settings.connect_timeout), (None, None));
    }

    #[test]
    fn turning_off_the_host_key_check_means_accept_new() {
        for (word, expected) in [
            ("false", Strictness::AcceptNew),
            ("no", Strictness::AcceptNew),
            ("accept-new", Strictness::AcceptNew),
            ("ask", Strictness::Strict),
            ("true", Strictness::Strict),
        ] {
            let text = format!("user a\nhostname b\nport 22\nstricthostkeychecking {word}\n");
            assert_eq!(HostSettings::parse(&text).unwrap().strictness, expected, "{word}");
        }
    }

    #[test]
    fn an_answer_without_the_essentials_is_an_error() {
        for text in ["", "user a\nhostname b\n", "user a\nhostname b\nport x\n"] {
            assert!(HostSettings::parse(text).is_err(), "{text:?}");
        }
    }
}
