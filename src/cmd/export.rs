//! For other tools: `vcluster ssh-config`, `inventory`, `hosts`, `targets`. Text about a cluster, from
//! what the controller knows of it; no host is asked.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::cluster::Cluster;
use super::common::{self, ClusterArg};
use super::{Context, Format};
use crate::exit::ExitCode;
use crate::name::HostName;
use crate::plan::NodePlan;
use crate::report;
use crate::ssh::{HostTarget, quote};

/// Arguments of the verbs that describe a cluster to other tools
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArg,
    /// Only these nodes (node set, `@group`)
    #[arg(short = 'w', long, value_name = "NODESET")]
    pub nodes: Option<String>,
}

/// Arguments of `targets`
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct TargetsArgs {
    #[command(flatten)]
    common: Args,
    /// Port of the exporter on every node
    #[arg(long, value_name = "PORT", default_value_t = 9100)]
    pub port: u16,
}

/// How stock ssh reaches one node.
struct Reach<'a> {
    node: &'a NodePlan,
    user: String,
    jump: Option<String>,
}

struct Export {
    cluster: Cluster,
    chosen: Vec<crate::name::NodeName>,
}

impl Export {
    fn open(args: &Args, context: &Context) -> anyhow::Result<Self> {
        let cluster = Cluster::open(args.cluster.cluster.as_deref(), context)?;
        let chosen = cluster.select(args.nodes.as_deref(), None)?;
        Ok(Self { cluster, chosen })
    }

    fn nodes(&self) -> impl Iterator<Item = &NodePlan> {
        self.cluster
            .plan
            .nodes
            .iter()
            .filter(|node| self.chosen.contains(&node.name))
    }

    /// The jump host of every host, as stock ssh names it: `[user@]host[:port]`.
    fn jumps(&self) -> anyhow::Result<BTreeMap<HostName, Option<HostTarget>>> {
        self.cluster
            .record
            .hosts
            .iter()
            .map(|host| {
                Ok((
                    host.name.clone(),
                    crate::host::ssh_target(&host.to_host()).map_err(anyhow::Error::msg)?,
                ))
            })
            .collect()
    }

    fn reaches(&self) -> anyhow::Result<Vec<Reach<'_>>> {
        let jumps = self.jumps()?;
        self.nodes()
            .map(|node| {
                let jump = jumps.get(&node.host).and_then(Option::as_ref).map(|target| {
                    let user = target
                        .user
                        .as_ref()
                        .map_or_else(String::new, |user| format!("{user}@"));
                    let port = target.port.map_or_else(String::new, |port| format!(":{port}"));
                    let host = if target.host.contains(':') {
                        format!("[{}]", target.host)
                    } else {
                        target.host.clone()
                    };
                    format!("{user}{host}{port}")
                });
                let user = self
                    .cluster
                    .record
                    .users
                    .get(&node.spec.image)
                    .cloned()
                    .unwrap_or_else(|| "root".into());
                Ok(Reach { node, user, jump })
            })
            .collect()
    }
}

/// A path as a word of ssh_config: `%` begins a token there, `${` a variable, and quotes cannot be escaped.
pub(crate) fn config_path(path: &Path) -> anyhow::Result<String> {
    let text = path.display().to_string();
    anyhow::ensure!(
        !text.contains(['"', '\\']) && !text.contains("${") && !text.chars().any(char::is_control),
        "the state directory {text:?} cannot be written in an ssh config: it holds a quote, a backslash, `${{` or a \
         control character"
    );
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}

/// `vcluster ssh-config`: a file to `Include` in `~/.ssh/config`.
pub fn ssh_config(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let export = Export::open(args, context)?;
    let dir = &export.cluster.dir;
    let (key, known_hosts) = (
        config_path(&dir.join("keys/client"))?,
        config_path(&dir.join("known_hosts"))?,
    );
    let mut text = format!(
        "# Cluster {}, made by `vcluster ssh-config`.\n",
        export.cluster.record.name
    );
    for reach in export.reaches()? {
        let _ = writeln!(
            text,
            "Host {name}\n  HostName {address}\n  HostKeyAlias {name}\n  User {user}\n  IdentityFile {key}\n  \
             IdentitiesOnly yes\n  UserKnownHostsFile {known_hosts}\n  StrictHostKeyChecking yes\n  \
             PasswordAuthentication no\n  ForwardAgent no\n  ForwardX11 no",
            name = reach.node.name,
            address = reach.node.spec.address,
            user = reach.user,
        );
        if let Some(jump) = reach.jump {
            let _ = writeln!(text, "  ProxyJump {jump}");
        }
    }
    report::data(&text);
    Ok(ExitCode::Ok)
}

/// `vcluster inventory`: an Ansible inventory, YAML (JSON is YAML too, which is what `--format json` gives).
pub fn inventory(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let export = Export::open(args, context)?;
    let dir = &export.cluster.dir;
    let key = dir.join("keys/client").display().to_string();
    let known_hosts = dir.join("known_hosts").display().to_string();
    // Ansible takes values for templates; all others of ours are names and addresses.
    anyhow::ensure!(
        !key.contains("{{") && !key.contains("{%") && !key.contains("{#"),
        "the state directory {key:?} cannot be written in an inventory: Ansible would take it for a template"
    );
    let mut groups: serde_json::Map<String, serde_json::Value> = serde_json::Map::new();
    for reach in export.reaches()? {
        // The arguments are split as by a shell.
        let mut ssh_args = format!(
            "-o UserKnownHostsFile={} -o HostKeyAlias={} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
            quote(&known_hosts),
            reach.node.name
        );
        if let Some(jump) = &reach.jump {
            let _ = write!(ssh_args, " -o ProxyJump={}", quote(jump));
        }
        let variables = serde_json::json!({
            "ansible_host": reach.node.spec.address,
            "ansible_user": reach.user,
            "ansible_ssh_private_key_file": key,
            "ansible_ssh_common_args": ssh_args,
            "vcluster_host": reach.node.host,
        });
        // Group names of Ansible are identifiers.
        let group = reach.node.group.as_str().replace('-', "_");
        let group = groups
            .entry(group)
            .or_insert_with(|| serde_json::json!({ "hosts": {} }));
        if let Some(hosts) = group.get_mut("hosts").and_then(serde_json::Value::as_object_mut) {
            hosts.insert(reach.node.name.to_string(), variables);
        }
    }
    let inventory = serde_json::json!({ "all": { "children": groups } });
    report::data(&match context.format {
        Format::Json => format!("{inventory:#}\n"),
        Format::Human => serde_saphyr::to_string(&inventory)?,
    });
    Ok(ExitCode::Ok)
}

/// `vcluster hosts`: lines for `/etc/hosts`.
pub fn hosts(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let export = Export::open(args, context)?;
    if context.format == Format::Json {
        let hosts: BTreeMap<&str, String> = export
            .nodes()
            .map(|node| (node.name.as_str(), node.spec.address.to_string()))
            .collect();
        report::data(&format!("{}\n", serde_json::to_string_pretty(&hosts)?));
        return Ok(ExitCode::Ok);
    }
    if export.chosen.len() == export.cluster.plan.nodes.len() {
        report::data(&common::hosts_file(&export.cluster.plan));
        return Ok(ExitCode::Ok);
    }
    let lines: String = export
        .nodes()
        .map(|node| format!("{} {}\n", node.spec.address, node.name))
        .collect();
    report::data(&lines);
    Ok(ExitCode::Ok)
}

/// `vcluster targets`: Prometheus file_sd, one entry per group.
pub fn targets(args: &TargetsArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let export = Export::open(&args.common, context)?;
    let entries: Vec<serde_json::Value> = export
        .nodes()
        .map(|node| {
            serde_json::json!({
                "targets": [format!("{}:{}", node.spec.address, args.port)],
                "labels": {
                    "vcluster": export.cluster.record.name, "group": node.group,
                    "node": node.name, "host": node.host,
                },
            })
        })
        .collect();
    report::data(&format!("{}\n", serde_json::to_string_pretty(&entries)?));
    Ok(ExitCode::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_ssh_would_read_otherwise_is_escaped_or_refused() {
        assert_eq!(config_path(Path::new("/a b/%h")).unwrap(), "\"/a b/%%h\"");
        for bad in ["/a\"b", "/a\nProxyCommand x", "/a\\b", "/${HOME}", "/a\rb"] {
            assert!(config_path(Path::new(bad)).is_err(), "{bad:?}");
        }
    }
}
