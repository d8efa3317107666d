//! The hosts of a verb: from the topology, a record, a journal, or the command line.

use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::inventory::HostEndpoint;
use crate::ssh::HostTarget;
use crate::state::{ClusterDir, ClusterRecord, Intent, read_intents};
use crate::topology::{self, Topology};

/// The hosts of the topology, and those that left it: they may still have nodes of the cluster.
pub(crate) fn current_and_former(topology: &Topology, record: Option<&ClusterRecord>) -> Vec<HostEndpoint> {
    let mut hosts: Vec<HostEndpoint> = topology.hosts.iter().map(topology::Host::endpoint).collect();
    for old in record.iter().flat_map(|record| &record.hosts) {
        if !hosts.iter().any(|host| host.name == old.name) {
            hosts.push(old.clone());
        }
    }
    hosts
}

/// The hosts in the record and in the journal.
pub fn known_hosts(record: Option<&ClusterRecord>, dir: &ClusterDir) -> anyhow::Result<Vec<HostEndpoint>> {
    let mut hosts: Vec<HostEndpoint> = record.map(|record| record.hosts.clone()).unwrap_or_default();
    for intent in read_intents(dir)? {
        if let Intent::Host { host } = intent
            && !hosts.iter().any(|known| known.name == host.name)
        {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

/// Adds hosts that are not known yet. A host is identified by its URI: one that only shares its name with a known host
/// gets a new name, because skipping it would leave its objects behind.
pub fn add_hosts(hosts: &mut Vec<HostEndpoint>, more: Vec<HostEndpoint>) -> anyhow::Result<()> {
    for mut host in more {
        if hosts.iter().any(|known| known.uri == host.uri) {
            continue;
        }
        let name = host.name.clone();
        for number in 2.. {
            if hosts.iter().all(|known| known.name != host.name) {
                break;
            }
            host.name = format!("{name}-{number}").parse()?;
        }
        hosts.push(host);
    }
    Ok(())
}

/// How SSH reaches a recorded host; `None` for this machine.
pub(crate) fn ssh_target(host: &HostEndpoint) -> Result<Option<HostTarget>, UserError> {
    crate::host::ssh_target(host).map_err(|error| {
        UserError::new(ExitCode::ApplyFailed, error).with_hint(format!(
            "correct the URI of `{}` in the topology and run `vcluster up TOPOLOGY`",
            host.name
        ))
    })
}

/// `bm[01-03]`, `root@bm01`, or libvirt URIs; separated by commas.
pub fn parse_hosts(text: &str) -> anyhow::Result<Vec<HostEndpoint>> {
    let wrong = |words: String| {
        UserError::new(ExitCode::Usage, format!("`--hosts`: {words}"))
            .with_hint("use `bm[01-15]`, `root@bm[01-15]` or `qemu+ssh://root@bm01/system`")
    };
    let record = |name: &str, uri: String| -> anyhow::Result<HostEndpoint> {
        let name = name.parse().map_err(|error| wrong(format!("{error}")))?;
        crate::host::check_uri(&uri).map_err(wrong)?;
        Ok(HostEndpoint {
            name,
            uri,
            identity: None,
            address: None,
        })
    };
    if text.contains("://") {
        return text
            .split(',')
            .enumerate()
            .map(|(index, uri)| record(&format!("host{}", index + 1), uri.to_owned()))
            .collect();
    }
    let (user, set) = text
        .split_once('@')
        .filter(|(user, _)| !user.is_empty())
        .unwrap_or(("root", text));
    let names = crate::nodeset::expand(set).map_err(|error| wrong(format!("`{text}`: {error}")))?;
    if names.is_empty() {
        return Err(wrong(format!("`{text}` contains no hosts")).into());
    }
    names
        .iter()
        .map(|name| record(name, format!("qemu+ssh://{user}@{name}/system")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_given_twice_is_one_and_hosts_that_share_a_name_are_all_kept() {
        let mut hosts = parse_hosts("qemu+ssh://root@a/system,qemu+ssh://root@b/system").unwrap();
        add_hosts(&mut hosts, parse_hosts("qemu+ssh://root@c/system").unwrap()).unwrap();
        add_hosts(&mut hosts, parse_hosts("root@b").unwrap()).unwrap();
        let shown: Vec<String> = hosts
            .iter()
            .map(|host| format!("{} {}", host.name, host.uri))
            .collect();
        assert_eq!(
            shown,
            [
                "host1 qemu+ssh://root@a/system",
                "host2 qemu+ssh://root@b/system",
                "host1-2 qemu+ssh://root@c/system",
            ]
        );
    }

    #[test]
    fn a_recorded_uri_that_cannot_be_used_has_a_hint() {
        let mut host = parse_hosts("root@bm01").unwrap().remove(0);
        host.uri = "bm01".to_owned();
        let error = ssh_target(&host).unwrap_err();
        assert_eq!(error.code, ExitCode::ApplyFailed);
        assert!(error.hint.unwrap().contains("`bm01`"));
    }

    #[test]
    fn invalid_hosts_are_a_usage_error() {
        for bad in [
            "../x",
            "a;b",
            "root@",
            "@a",
            "qemu:///session",
            "-oProxyCommand=x",
            "qemu+ssh://a/system,",
            "",
        ] {
            let error = parse_hosts(bad).unwrap_err();
            let error = error
                .downcast::<UserError>()
                .unwrap_or_else(|error| panic!("{bad}: {error:?}"));
            assert_eq!(error.code, ExitCode::Usage, "{bad}");
            assert!(error.hint.is_some(), "{bad}");
        }
    }
}
