//! Connects to a bare-metal host: its settings in the ssh config, its address, a jump host, the login.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::config::{HostSettings, SshConfig};
use super::error::SshError;
use super::known_hosts::{self, KnownHosts};
use super::login::{self, Keys};
use super::reason::{LoginNote, UnsupportedSetting};
use super::request::{ByteStream, HostTarget};
use super::session::Session;
use super::transport::{self, KeyCheck, Peer};
use crate::base::backoff::Pauses;

/// Concurrent logins to one address: sshd starts to refuse at 10 (`MaxStartups 10:30:100`), and other
/// users log in there as well.
const LOGINS_AT_ONCE: usize = 6;

/// The most attempts at a login that is temporarily refused, within the time allowed.
const ATTEMPTS: u32 = 6;

/// How to reach a host.
struct Route {
    /// For messages: the name as written, with the port if it is not 22.
    label: String,
    address: String,
    port: u16,
    user: String,
    known: KnownHosts,
    keys: Keys,
    jump: Option<HostTarget>,
}

impl Session {
    /// Connects to a bare-metal host: ssh config, agent, identity files, known hosts.
    pub async fn connect_host(target: &HostTarget) -> Result<Self, SshError> {
        connect(target).await
    }

    /// Like [`Session::connect_host`], with another ssh config than the user's.
    pub async fn connect_host_with(target: &HostTarget, config: &SshConfig) -> Result<Self, SshError> {
        connect_with(target, config).await
    }
}

/// Connects and logs in.
async fn connect(target: &HostTarget) -> Result<Session, SshError> {
    connect_with(target, &SshConfig::of_the_user()).await
}

/// Like [`connect`], with another ssh config than the user's.
async fn connect_with(target: &HostTarget, config: &SshConfig) -> Result<Session, SshError> {
    let limited = tokio::time::timeout(target.timeout, with_config(target, config, true));
    limited.await.unwrap_or_else(|_| {
        Err(SshError::Timeout {
            target: target.host.clone(),
            after: target.timeout,
        })
    })
}

async fn with_config(target: &HostTarget, config: &SshConfig, may_jump: bool) -> Result<Session, SshError> {
    let route = route(target, config)?;
    let Some(jump) = &route.jump else {
        return connect_with_retry(&route, None).await;
    };
    if !may_jump {
        return Err(SshError::Unsupported {
            target: route.label,
            what: UnsupportedSetting::ProxyJump("for a host that is a jump host itself".into()),
        });
    }
    // The jump host's connection lives as long as the stream through it.
    let jump = Box::pin(with_config(jump, config, false)).await?;
    connect_with_retry(&route, Some(&jump)).await
}

/// Retries while the refusals look temporary.
async fn connect_with_retry(route: &Route, jump: Option<&Session>) -> Result<Session, SshError> {
    let slots = login_slots(&format!("{}:{}", route.address, route.port));
    let mut pauses = Pauses::new(Duration::from_millis(150), Duration::MAX, 200);
    let mut attempt = 1;
    loop {
        let error = {
            let _turn = slots
                .acquire()
                .await
                .map_err(|error| SshError::Other(error.to_string()))?;
            match once(route, jump).await {
                Ok(session) => return Ok(session),
                Err(error) => error,
            }
        };
        // A closed port does not open by itself; a refusal by MaxStartups is temporary.
        if attempt >= ATTEMPTS || !matches!(error, SshError::Handshake { transient: true, .. }) {
            return Err(error);
        }
        tracing::debug!("{}: {error}; retrying", route.label);
        tokio::time::sleep(pauses.next_with_jitter()).await;
        attempt += 1;
    }
}

async fn once(route: &Route, jump: Option<&Session>) -> Result<Session, SshError> {
    let begun = Instant::now();
    let check = KeyCheck::Known(route.known.clone());
    let mut asked = None;
    let (mut handle, shared) = match jump {
        None => {
            let found = tokio::net::lookup_host((route.address.as_str(), route.port)).await;
            let addresses: Vec<SocketAddr> = found
                .map_err(|source| SshError::Connect {
                    target: route.label.clone(),
                    source,
                })?
                .collect();
            let stream = transport::socket(&route.label, &addresses, Peer::Host).await?;
            asked = stream.peer_addr().ok();
            transport::handshake(stream, &route.label, Peer::Host, check).await?
        }
        Some(jump) => {
            let stream: ByteStream = jump.tcp_by_name(&route.address, route.port).await?;
            transport::handshake(stream, &route.label, Peer::Host, check).await?
        }
    };
    login::with_keys(&mut handle, &route.label, &route.user, route.keys.clone()).await?;
    tracing::debug!("{}: logged in after {:?}", route.label, begun.elapsed());
    Ok(Session::watched(handle, shared, route.label.clone(), asked))
}

/// One semaphore for all connections of this process to an address.
fn login_slots(address: &str) -> Arc<Semaphore> {
    static SLOTS: Mutex<Option<HashMap<String, Arc<Semaphore>>>> = Mutex::new(None);
    let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
    let slots = slots.get_or_insert_with(HashMap::new);
    slots
        .entry(address.to_owned())
        .or_insert_with(|| Arc::new(Semaphore::new(LOGINS_AT_ONCE)))
        .clone()
}

fn route(target: &HostTarget, config: &SshConfig) -> Result<Route, SshError> {
    let settings = config.settings(&target.host)?;
    for note in &settings.notes {
        tracing::debug!("ssh config for {}: {note}", target.host);
    }
    if let Some(command) = &settings.proxy_command {
        return Err(SshError::Unsupported {
            target: target.host.clone(),
            what: UnsupportedSetting::ProxyCommand(command.clone()),
        });
    }
    let port = target.port.or(settings.port).unwrap_or(22);
    let user = target
        .user
        .clone()
        .or(settings.user.clone())
        .unwrap_or_else(|| config.user.clone());
    let address = match &settings.host_name {
        Some(name) => name.replace("%h", &target.host).replace("%%", "%"),
        None => target.host.clone(),
    };
    let tokens = Tokens {
        config,
        original: &target.host,
        host: &address,
        port,
        user: &user,
    };
    let keys = keys(target, &settings, &tokens)?;
    let entry = match &settings.host_key_alias {
        Some(alias) => alias.to_lowercase(),
        None => known_hosts::entry_name(&address, port),
    };
    let files = known_files(target, &settings, &tokens)?;
    let accept = accept(target, config, &user, port, &files);
    let jump = settings
        .proxy_jump
        .as_deref()
        .map(|jump| parse_jump(jump, target))
        .transpose()?;
    Ok(Route {
        label: if port == 22 {
            target.host.clone()
        } else {
            format!("{}:{port}", target.host)
        },
        known: KnownHosts {
            entry,
            files,
            strictness: settings.strictness.unwrap_or_default(),
            accept,
        },
        address,
        port,
        user,
        keys,
        jump,
    })
}

fn keys(target: &HostTarget, settings: &HostSettings, tokens: &Tokens<'_>) -> Result<Keys, SshError> {
    let mut files: Vec<(PathBuf, bool)> = Vec::new();
    if let Some(identity) = &target.identity {
        files.push((tokens.home(identity), true));
    }
    for name in &settings.identity_files {
        if !name.eq_ignore_ascii_case("none") {
            files.push((tokens.path(name)?, true));
        }
    }
    if settings.identity_files.is_empty() && target.identity.is_none() {
        let folder = tokens.config.home.join(".ssh");
        files.extend(["id_ed25519", "id_ecdsa", "id_rsa"].map(|name| (folder.join(name), false)));
    }
    let agent = match settings.identity_agent.as_deref() {
        Some(none) if none.eq_ignore_ascii_case("none") => None,
        None | Some("SSH_AUTH_SOCK") => tokens.config.agent.clone(),
        Some(name) => match name.strip_prefix('$').filter(|rest| !rest.starts_with('{')) {
            Some(variable) => std::env::var_os(variable).map(PathBuf::from),
            None => Some(tokens.path(name)?),
        },
    };
    let notes = settings.notes.iter().cloned().map(LoginNote::Config).collect();
    Ok(Keys {
        files,
        agent,
        only: settings.identities_only.unwrap_or(false),
        notes,
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
    let default = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let user = settings.known_hosts.clone();
    let user = user.unwrap_or_else(|| default(&["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]));
    let global = settings.global_known_hosts.clone();
    let global =
        global.unwrap_or_else(|| default(&["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]));
    let named = user
        .iter()
        .chain(&global)
        .filter(|name| !name.eq_ignore_ascii_case("none"));
    named.map(|name| tokens.path(name)).collect()
}

/// The command with which OpenSSH shows the fingerprint, asks, and stores the key in the file that we read.
fn accept(target: &HostTarget, config: &SshConfig, user: &str, port: u16, files: &[PathBuf]) -> String {
    let mut command = String::from("ssh");
    if config.required {
        let _ = write!(
            command,
            " -F {}",
            crate::base::shell::quote(&config.path.to_string_lossy())
        );
    }
    if let (Some(_), Some(file)) = (&target.known_hosts, files.first()) {
        let option = format!("UserKnownHostsFile={}", file.display());
        let _ = write!(command, " -o {}", crate::base::shell::quote(&option));
    }
    if port != 22 {
        let _ = write!(command, " -p {port}");
    }
    format!(
        "{command} {} true",
        crate::base::shell::quote(&format!("{user}@{}", target.host))
    )
}

fn parse_jump(text: &str, target: &HostTarget) -> Result<HostTarget, SshError> {
    let unsupported = |what: String| SshError::Unsupported {
        target: target.host.clone(),
        what: UnsupportedSetting::ProxyJump(what),
    };
    if text.contains(',') {
        return Err(unsupported(format!("over several hosts ({text})")));
    }
    let rest = text.strip_prefix("ssh://").unwrap_or(text);
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, rest),
    };
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let port = port
        .map(|port| port.parse().map_err(|_| unsupported(text.to_owned())))
        .transpose()?;
    let (host, timeout) = (host.to_owned(), target.timeout);
    Ok(HostTarget {
        host,
        user,
        port,
        identity: None,
        known_hosts: None,
        timeout,
    })
}

/// The values of `%h` and the other tokens.
struct Tokens<'a> {
    config: &'a SshConfig,
    original: &'a str,
    host: &'a str,
    port: u16,
    user: &'a str,
}

impl Tokens<'_> {
    /// A path from a URI or a topology. Only `~/` is expanded: another person may have written it, and it must not
    /// read the environment.
    fn home(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("~") {
            Ok(rest) => self.config.home.join(rest),
            Err(_) => path.to_owned(),
        }
    }

    /// Expands `~`, `%` tokens and `${VARIABLES}`.
    fn path(&self, text: &str) -> Result<PathBuf, SshError> {
        let home = self.config.home.to_string_lossy();
        let mut out = String::new();
        let mut rest = text;
        if text == "~" || text.starts_with("~/") {
            out.push_str(&home);
            rest = &text[1..];
        }
        while let Some(at) = rest.find(['%', '$']) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some((name, after)) = rest.strip_prefix("${").and_then(|r| r.split_once('}')) {
                let value = std::env::var(name);
                out.push_str(&value.map_err(|_| self.bad(text, &format!("${{{name}}}, which is not set")))?);
                rest = after;
            } else if rest.starts_with('$') {
                out.push('$');
                rest = &rest[1..];
            } else {
                let token = rest.chars().nth(1).unwrap_or(' ');
                match token {
                    '%' => out.push('%'),
                    'd' => out.push_str(&home),
                    'h' => out.push_str(self.host),
                    'n' => out.push_str(self.original),
                    'p' => out.push_str(&self.port.to_string()),
                    'r' => out.push_str(self.user),
                    'u' => out.push_str(&self.config.user),
                    'i' => out.push_str(&nix::unistd::getuid().to_string()),
                    _ => return Err(self.bad(text, &format!("the token %{token}"))),
                }
                rest = &rest[1 + token.len_utf8()..];
            }
        }
        out.push_str(rest);
        let path = Path::new(&out);
        // A relative path is relative to the current directory, as in `ssh`.
        Ok(path.to_owned())
    }

    fn bad(&self, text: &str, part: &str) -> SshError {
        SshError::Unsupported {
            target: self.original.to_owned(),
            what: UnsupportedSetting::Path {
                path: text.to_owned(),
                part: part.to_owned(),
            },
        }
    }
}

/// Parses the settings of a host, for the fuzzer; makes no connection.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz_route(host: &str, config: &SshConfig) {
    let target = HostTarget {
        host: host.to_owned(),
        user: None,
        port: None,
        identity: None,
        known_hosts: None,
        timeout: Duration::from_secs(1),
    };
    let _ = route(&target, config);
}

#[cfg(test)]
mod tests;
