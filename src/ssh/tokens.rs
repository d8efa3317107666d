//! Expands what `ssh` expands only while it connects: `~`, the tokens of ssh_config(5) and `${VARIABLES}`.

use std::path::{Path, PathBuf};

use super::config::SshConfig;
use super::error::SshError;
use super::reason::UnsupportedSetting;
use super::settings::HostSettings;

/// The values of the tokens for one host.
pub(super) struct Tokens<'a> {
    pub(super) config: &'a SshConfig,
    /// The name as the user wrote it.
    pub(super) original: &'a str,
    pub(super) settings: &'a HostSettings,
}

impl Tokens<'_> {
    /// A path from a URI or a topology. Only `~/` is expanded: another person may have written it, and it must not
    /// read the environment.
    pub(super) fn home(&self, path: &Path) -> PathBuf {
        home(self.config, path)
    }

    /// A path of the config. A relative one is relative to the current directory, as in `ssh`.
    pub(super) fn path(&self, text: &str) -> Result<PathBuf, SshError> {
        let (start, rest) = self.tilde(text)?;
        Ok(PathBuf::from(start + &self.expand(text, rest, true)?))
    }

    /// A command of the config: tokens only.
    pub(super) fn command(&self, text: &str) -> Result<String, SshError> {
        self.expand(text, text, false)
    }

    /// A path whose tokens `ssh -G` has expanded already: `~` only, which old versions leave.
    pub(super) fn expanded_path(&self, text: &str) -> Result<PathBuf, SshError> {
        let (start, rest) = self.tilde(text)?;
        Ok(PathBuf::from(start + rest))
    }

    /// The home directory that a path begins with, and the rest.
    fn tilde<'t>(&self, text: &'t str) -> Result<(String, &'t str), SshError> {
        let Some(named) = text.strip_prefix('~') else {
            return Ok((String::new(), text));
        };
        let (user, rest) = named.split_at(named.find('/').unwrap_or(named.len()));
        if user.is_empty() {
            return Ok((self.config.home.to_string_lossy().into_owned(), rest));
        }
        let other = nix::unistd::User::from_name(user).ok().flatten();
        let other = other.ok_or_else(|| self.bad(text, &format!("~{user}, who is not a user here")))?;
        Ok((other.dir.to_string_lossy().into_owned(), rest))
    }

    fn expand(&self, whole: &str, text: &str, variables: bool) -> Result<String, SshError> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['%', '$']) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let variable = rest.strip_prefix("${").and_then(|rest| rest.split_once('}'));
            if let Some((name, after)) = variable.filter(|_| variables) {
                let value = std::env::var(name);
                out.push_str(&value.map_err(|_| self.bad(whole, &format!("${{{name}}}, which is not set")))?);
                rest = after;
            } else if rest.starts_with('$') {
                out.push('$');
                rest = &rest[1..];
            } else {
                let token = rest.chars().nth(1).unwrap_or(' ');
                let value = self.value(token);
                out.push_str(&value.ok_or_else(|| self.bad(whole, &format!("the token %{token}")))?);
                rest = rest.get(1 + token.len_utf8()..).unwrap_or_default();
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&self, token: char) -> Option<String> {
        let settings = self.settings;
        Some(match token {
            '%' => "%".to_owned(),
            'd' => self.config.home.to_string_lossy().into_owned(),
            'h' => settings.host_name.clone(),
            'i' => nix::unistd::getuid().to_string(),
            'j' => settings.proxy_jump.clone().unwrap_or_default(),
            'k' => settings
                .host_key_alias
                .clone()
                .unwrap_or_else(|| self.original.to_owned()),
            'l' => machine_name()?,
            'L' => machine_name()?.split('.').next()?.to_owned(),
            'n' => self.original.to_owned(),
            'p' => settings.port.to_string(),
            'r' => settings.user.clone(),
            'u' => self.config.user.clone(),
            _ => return None,
        })
    }

    fn bad(&self, text: &str, part: &str) -> SshError {
        SshError::Unsupported {
            target: self.original.to_owned(),
            what: UnsupportedSetting::Value {
                value: text.to_owned(),
                part: part.to_owned(),
            },
        }
    }
}

/// A path from a URI or a topology: `~/` is the home directory, nothing else is expanded.
pub(super) fn home(config: &SshConfig, path: &Path) -> PathBuf {
    match path.strip_prefix("~") {
        Ok(rest) => config.home.join(rest),
        Err(_) => path.to_owned(),
    }
}

/// The name of this machine.
fn machine_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str =
        "user root\nhostname bm01.example.org\nport 2200\nhostkeyalias alias\nproxyjump gate\n";

    fn with<T>(test: impl FnOnce(&Tokens<'_>) -> T) -> T {
        let config = SshConfig::new(None, "/home/me".into(), "me");
        let settings = HostSettings::parse(ANSWER).unwrap();
        test(&Tokens {
            config: &config,
            original: "bm01",
            settings: &settings,
        })
    }

    #[test]
    fn tokens_and_tildes_are_expanded_as_in_ssh() {
        with(|tokens| {
            for (text, expected) in [
                ("~/.ssh/id", "/home/me/.ssh/id"),
                (
                    "%d/keys/%r-%h-%n-%p%%",
                    "/home/me/keys/root-bm01.example.org-bm01-2200%",
                ),
                ("/k/%u/%k/%j", "/k/me/alias/gate"),
                ("/a/~/$b", "/a/~/$b"),
            ] {
                assert_eq!(tokens.path(text).unwrap(), Path::new(expected), "{text}");
            }
            let root = nix::unistd::User::from_name("root").unwrap().unwrap();
            assert_eq!(tokens.path("~root/k").unwrap(), root.dir.join("k"));
            assert_eq!(
                tokens.command("nc %h %p ${X} ~").unwrap(),
                "nc bm01.example.org 2200 ${X} ~"
            );
        });
    }

    #[test]
    fn what_cannot_be_expanded_is_named() {
        with(|tokens| {
            for text in [
                "/%",
                "/%C",
                "/%é",
                "/${VCLUSTER_NOT_SET}",
                "~nobody-of-this-name/x",
            ] {
                let error = tokens.path(text).unwrap_err().to_string();
                assert!(error.contains(text), "{error}");
            }
        });
    }

    #[test]
    fn a_path_of_a_topology_does_not_read_the_environment() {
        with(|tokens| {
            assert_eq!(
                tokens.home(Path::new("/k/${PATH}/%h")),
                Path::new("/k/${PATH}/%h")
            );
            assert_eq!(tokens.home(Path::new("~/known")), Path::new("/home/me/known"));
        });
    }
}
