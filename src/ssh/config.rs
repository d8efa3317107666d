//! The part of ssh_config(5) that vcluster supports. Reads files; makes no connection.
//!
//! As in OpenSSH the first value counts, except that `IdentityFile` adds up. Of `Match` only
//! `Match all` is supported; other `Match` blocks are ignored with a note. `StrictHostKeyChecking no`
//! means `accept-new`: a changed key is never accepted.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::SshError;
use super::known_hosts::Strictness;
use super::pattern;

/// The deepest nesting of included files (as in OpenSSH).
const DEPTH: usize = 16;

/// The sources of the configuration.
#[derive(Clone, Debug)]
pub struct SshConfig {
    /// The config file; it need not exist unless `required`.
    pub path: PathBuf,
    /// Whether a missing file is an error.
    pub required: bool,
    /// Home directory.
    pub home: PathBuf,
    /// Name of the local user.
    pub user: String,
    /// Socket of the user's agent.
    pub agent: Option<PathBuf>,
}

/// The settings of one host; tokens and `~` are not expanded yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// `HostName`.
    pub host_name: Option<String>,
    /// `User`.
    pub user: Option<String>,
    /// `Port`.
    pub port: Option<u16>,
    /// `IdentityFile`, all of them.
    pub identity_files: Vec<String>,
    /// `IdentitiesOnly`.
    pub identities_only: Option<bool>,
    /// `IdentityAgent`.
    pub identity_agent: Option<String>,
    /// `UserKnownHostsFile`.
    pub known_hosts: Option<Vec<String>>,
    /// `GlobalKnownHostsFile`.
    pub global_known_hosts: Option<Vec<String>>,
    /// `StrictHostKeyChecking`.
    pub strictness: Option<Strictness>,
    /// `HostKeyAlias`.
    pub host_key_alias: Option<String>,
    /// `ProxyJump`, unless it is `none`.
    pub proxy_jump: Option<String>,
    /// `ProxyCommand`, unless it is `none`.
    pub proxy_command: Option<String>,
    /// What was ignored.
    pub notes: Vec<String>,
    /// Whether `ProxyJump` or `ProxyCommand` was seen: the first one counts.
    proxy_seen: bool,
}

impl SshConfig {
    /// `$VCLUSTER_SSH_CONFIG`, else `~/.ssh/config`, with the agent at `$SSH_AUTH_SOCK`.
    pub fn of_the_user() -> Self {
        let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("/"));
        let variable = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let named = variable("VCLUSTER_SSH_CONFIG");
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
        Self {
            required: named.is_some(),
            path: named.unwrap_or_else(|| home.join(".ssh/config")),
            agent: variable("SSH_AUTH_SOCK"),
            home,
            user: user.map_or_else(|| "root".to_owned(), |user| user.name),
        }
    }

    /// The settings of a host, by the name that the user wrote.
    pub fn settings(&self, host: &str) -> Result<HostSettings, SshError> {
        let mut settings = HostSettings::default();
        let mut reader = Reader {
            config: self,
            host,
            settings: &mut settings,
            active: true,
        };
        reader.file(&self.path, self.required, 0)?;
        Ok(settings)
    }
}

struct Reader<'a> {
    config: &'a SshConfig,
    host: &'a str,
    settings: &'a mut HostSettings,
    active: bool,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, required: bool, depth: usize) -> Result<(), SshError> {
        let at_fault = |line, message: String| SshError::Config {
            path: path.to_owned(),
            line,
            message,
        };
        if depth > DEPTH {
            return Err(at_fault(0, "files include each other too deeply".into()));
        }
        let text = match read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !required => return Ok(()),
            Err(error) => return Err(at_fault(0, error.to_string())),
        };
        for (index, line) in text.lines().enumerate() {
            let words = words(line).map_err(|message| at_fault(index + 1, message))?;
            let Some((keyword, arguments)) = words.split_first() else {
                continue;
            };
            if keyword == "include" {
                // A block that starts in an included file ends with it.
                let before = self.active;
                if before {
                    for file in self.included(arguments).map_err(|m| at_fault(index + 1, m))? {
                        self.file(&file, false, depth + 1)?;
                        self.active = before;
                    }
                }
            } else {
                self.keyword(keyword, arguments)
                    .map_err(|message| at_fault(index + 1, message))?;
            }
        }
        Ok(())
    }

    fn keyword(&mut self, keyword: &str, arguments: &[String]) -> Result<(), String> {
        let first = arguments
            .first()
            .cloned()
            .ok_or_else(|| format!("`{keyword}` has no value"))?;
        match keyword {
            "host" => {
                self.active = pattern::list_matches(arguments, self.host);
                return Ok(());
            }
            "match" => {
                self.active = arguments.len() == 1 && first.eq_ignore_ascii_case("all");
                if !self.active {
                    self.settings
                        .notes
                        .push(format!("`Match {}` was ignored", arguments.join(" ")));
                }
                return Ok(());
            }
            _ if !self.active => return Ok(()),
            _ => {}
        }
        let settings = &mut *self.settings;
        match keyword {
            "hostname" => set(&mut settings.host_name, first),
            "user" => set(&mut settings.user, first),
            "port" => {
                let port = first.parse().ok().filter(|&port| port != 0);
                set(
                    &mut settings.port,
                    port.ok_or_else(|| format!("bad port `{first}`"))?,
                );
            }
            "identityfile" if !settings.identity_files.contains(&first) => {
                settings.identity_files.push(first);
            }
            "identitiesonly" => set(&mut settings.identities_only, yes_no(&first)?),
            "identityagent" => set(&mut settings.identity_agent, first),
            "userknownhostsfile" => set(&mut settings.known_hosts, arguments.to_vec()),
            "globalknownhostsfile" => set(&mut settings.global_known_hosts, arguments.to_vec()),
            "hostkeyalias" => set(&mut settings.host_key_alias, first),
            "stricthostkeychecking" => {
                let strictness = match first.to_ascii_lowercase().as_str() {
                    "yes" | "ask" | "true" => Strictness::Strict,
                    "accept-new" | "no" | "off" | "false" => Strictness::AcceptNew,
                    other => return Err(format!("unknown value `StrictHostKeyChecking {other}`")),
                };
                set(&mut settings.strictness, strictness);
            }
            "proxyjump" | "proxycommand" if !settings.proxy_seen => {
                settings.proxy_seen = true;
                let value = arguments.join(" ");
                let named = (!value.eq_ignore_ascii_case("none")).then_some(value);
                if keyword == "proxyjump" {
                    settings.proxy_jump = named;
                } else {
                    settings.proxy_command = named;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn included(&self, arguments: &[String]) -> Result<Vec<PathBuf>, String> {
        let mut files = Vec::new();
        for argument in arguments {
            let path = match argument.strip_prefix("~/") {
                Some(rest) => self.config.home.join(rest),
                None => self.config.home.join(".ssh").join(argument),
            };
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            let folder = path.parent().unwrap_or(Path::new("/"));
            if folder.to_string_lossy().contains(['*', '?']) {
                return Err(format!(
                    "`Include {argument}`: a wildcard is supported in the last part only"
                ));
            }
            if !name.contains(['*', '?']) {
                files.push(path);
                continue;
            }
            let Ok(entries) = fs::read_dir(folder) else {
                continue;
            };
            let mut found: Vec<PathBuf> = entries
                .filter_map(Result::ok)
                .filter(|entry| {
                    let file = entry.file_name().to_string_lossy().into_owned();
                    pattern::matches(&name, &file) && (name.starts_with('.') || !file.starts_with('.'))
                })
                .map(|entry| entry.path())
                .collect();
            found.sort();
            files.append(&mut found);
        }
        Ok(files)
    }
}

fn set<T>(slot: &mut Option<T>, value: T) {
    // The first value counts.
    slot.get_or_insert(value);
}

fn yes_no(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        other => Err(format!("`{other}` is neither yes nor no")),
    }
}

fn read(path: &Path) -> io::Result<String> {
    let meta = fs::metadata(path)?;
    let own = nix::unistd::getuid().as_raw();
    if meta.is_file() && ((meta.uid() != 0 && meta.uid() != own) || meta.mode() & 0o022 != 0) {
        return Err(io::Error::other(
            "it is writable by others, so it is not trusted (as in ssh)",
        ));
    }
    fs::read_to_string(path)
}

/// The words of a line: the keyword in lower case, `=` allowed after it, quotes, comments.
fn words(line: &str) -> Result<Vec<String>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(Vec::new());
    }
    let end = line
        .find(|c: char| c.is_whitespace() || c == '=')
        .unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let mut words = vec![keyword.to_ascii_lowercase()];
    let mut characters = rest.chars().peekable();
    while let Some(&c) = characters.peek() {
        if c.is_whitespace() {
            characters.next();
            continue;
        }
        if c == '#' {
            break;
        }
        let (mut word, mut quoted) = (String::new(), None);
        while let Some(&c) = characters.peek() {
            match quoted {
                Some(quote) if c == quote => quoted = None,
                None if c == '"' || c == '\'' => quoted = Some(c),
                None if c.is_whitespace() => break,
                _ => word.push(c),
            }
            characters.next();
        }
        if quoted.is_some() {
            return Err("a quote is not closed".into());
        }
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
pub(super) mod tests;
