//! Command lines of stock `ssh` that reach a host as vcluster does: to accept its key, and as the hop to its nodes.

use super::config::SshConfig;
use super::request::HostTarget;
use super::tokens::home;
use crate::base::shell::quote;

/// `ssh`, the config file and the known hosts of a URI.
fn beginning(target: &HostTarget, config: &SshConfig) -> Vec<String> {
    let mut words = vec!["ssh".to_owned()];
    if let Some(path) = &config.path {
        // Another program may run the command in another directory.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        words.extend(["-F".to_owned(), path.to_string_lossy().into_owned()]);
    }
    if let Some(file) = &target.known_hosts {
        let file = home(config, file);
        words.extend(["-o".to_owned(), format!("UserKnownHostsFile={}", file.display())]);
    }
    words
}

fn line(words: &[String]) -> String {
    words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

/// The command with which OpenSSH shows the fingerprint, asks, and stores the key in the file that we read.
pub(super) fn accept(target: &HostTarget, config: &SshConfig, user: &str, port: u16) -> String {
    let mut words = beginning(target, config);
    if port != 22 {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    words.extend([format!("{user}@{}", target.host), "true".to_owned()]);
    line(&words)
}

/// The value of a `ProxyCommand` that leads to a node through its host. It reads the user's own ssh config, even if the
/// one in which it stands is read with `ssh -F`, so the host and its key are checked as in any other login there.
pub fn hop(target: &HostTarget, config: &SshConfig) -> String {
    let mut words = beginning(target, config);
    if target.known_hosts.is_some() {
        words.extend(["-o", "GlobalKnownHostsFile=/dev/null"].map(str::to_owned));
    }
    if let Some(identity) = &target.identity {
        let identity = home(config, identity).to_string_lossy().into_owned();
        // An agent with many keys would use up the attempts that the host allows.
        words.extend([
            "-o".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "-i".to_owned(),
            identity,
        ]);
    }
    if let Some(port) = target.port {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    if let Some(user) = &target.user {
        words.extend(["-l".to_owned(), user.clone()]);
    }
    // `%` begins a token there.
    let words: Vec<String> = words.into_iter().map(|word| word.replace('%', "%%")).collect();
    // The addresses of nodes are IPv4.
    format!("{} -W %h:%p {}", line(&words), quote(&target.host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::config::tests::target;

    #[test]
    fn a_hop_has_what_the_uri_the_topology_and_the_environment_name() {
        let own = SshConfig::new(None, "/home/me".into(), "me");
        assert_eq!(hop(&target("bm1"), &own), "ssh -W %h:%p bm1");
        let named = SshConfig::new(Some("/etc/a b%".into()), "/home/me".into(), "me");
        let host = HostTarget {
            user: Some("root".into()),
            port: Some(2222),
            identity: Some("~/.ssh/lab".into()),
            known_hosts: Some("/known".into()),
            ..target("fd00::1")
        };
        assert_eq!(
            hop(&host, &named),
            "ssh -F '/etc/a b%%' -o UserKnownHostsFile=/known -o GlobalKnownHostsFile=/dev/null -o \
             IdentitiesOnly=yes -i /home/me/.ssh/lab -p 2222 -l root -W %h:%p fd00::1"
        );
    }

    #[test]
    fn a_key_is_accepted_in_the_file_that_is_read() {
        let own = SshConfig::new(None, "/home/me".into(), "me");
        assert_eq!(accept(&target("Bm01"), &own, "me", 22), "ssh me@Bm01 true");
        let host = HostTarget {
            known_hosts: Some("~/k".into()),
            ..target("bm01")
        };
        assert_eq!(
            accept(&host, &own, "root", 2222),
            "ssh -o UserKnownHostsFile=/home/me/k -p 2222 root@bm01 true"
        );
    }
}
