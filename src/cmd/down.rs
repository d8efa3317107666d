//! `vcluster down`: removes a cluster and proves that nothing is left.

use super::Context;
use super::common::{self, HostArgs};
use super::talk::Talk;
use crate::engine::{self, EngineError, Events, Failure, Fleet, Target};
use crate::exit::ExitCode;
use crate::host::Hold;
use crate::name::ClusterName;
use crate::plan::Plan;
use crate::report;
use crate::report::error::Failure as Misuse;
use crate::state::{ClusterDir, ClusterRecord, HostRecord, Intent, Journal, Lock, StateRoot, read_intents};

/// Remove a cluster from all its hosts, and look again that nothing is left
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The cluster: its name or its topology file [default: the only one there is]
    #[arg(value_name = "NAME|FILE", env = "VCLUSTER_NAME")]
    pub cluster: Option<String>,
    /// Hosts to look at when nothing is known of the cluster here: node set of names, or libvirt URIs; comma-separated
    #[arg(long, value_name = "HOSTS", value_delimiter = ' ')]
    pub hosts: Vec<String>,
    /// Do not ask
    #[arg(short = 'y', long, env = "VCLUSTER_YES")]
    pub yes: bool,
    /// Show what would be removed and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    connect: HostArgs,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let root = StateRoot::from_env()?;
    let name = common::cluster_name(args.cluster.as_deref(), &root, context)?;
    let dir = root.cluster(&name);
    if !dir.exists() && args.hosts.is_empty() {
        clear(&dir, &name)?;
        return Err(root.unknown(&name)?.into());
    }
    let lock = Lock::take(&dir, &name, "down")?;
    let result = remove(&args, context, &name, &dir).await;
    if !dir.exists() {
        // What the removal said matters more than a directory that would not go.
        let _ = dir.remove();
        dir.remove_if_empty();
    }
    drop(lock);
    result
}

/// Removes what an `up` left here that was killed before it had a record, and so before it had made anything.
fn clear(dir: &ClusterDir, name: &ClusterName) -> anyhow::Result<()> {
    if !dir.path().is_dir() {
        return Ok(());
    }
    let lock = Lock::take(dir, name, "down")?;
    dir.clear()?;
    drop(lock);
    Ok(())
}

async fn remove(
    args: &Args,
    context: &Context,
    name: &ClusterName,
    dir: &ClusterDir,
) -> anyhow::Result<ExitCode> {
    let record = ClusterRecord::load(dir)?;
    let hosts = hosts(args, record.as_ref(), dir)?;
    let short_id = record.as_ref().map(|record| Plan::short_id(record.id));
    let target = Target {
        cluster: name.clone(),
        short_id,
    };
    let asks = !args.yes && !args.dry_run;
    let talk = Talk::with(context, |options| options.summary = !asks && !args.dry_run);
    let started = engine::Event::Started {
        verb: "down",
        cluster: name.clone(),
        hosts: hosts.len(),
        nodes: None,
    };
    talk.events.emit(started.clone());
    let members: Vec<_> = hosts.iter().map(HostRecord::to_host).collect();
    let look = async {
        let (fleet, mut failures) = Fleet::connect(&members, &args.connect.options(), &talk.events).await;
        let (observed, unseen) = fleet.observe(&talk.events).await;
        failures.extend(unseen);
        (fleet, observed, failures)
    };
    // Until now nothing is changed.
    let (fleet, observed, failures) = tokio::select! {
        seen = look => seen,
        () = context.cancel.cancelled() => return talk.finish(Err(EngineError::Interrupted.into())).await,
    };
    let (nodes, objects) = engine::found(&target, &observed);
    if nodes + objects == 0 && record.is_none() && failures.is_empty() {
        talk.events
            .note(format!("no host shows anything of cluster `{name}`"));
    }
    let summary = format!(
        "{nodes} nodes and {objects} other objects of cluster `{name}` on {} hosts",
        fleet.members().len()
    );
    if args.dry_run {
        fleet.close().await;
        return talk.finish(Ok(Some(format!("would remove {summary}")))).await;
    }
    if asks {
        // The bars must be off the screen before the question is asked.
        talk.finish(Ok(None)).await?;
        if !report::confirm::confirm(&format!("Remove {summary}?"), &context.cancel).await? {
            fleet.close().await;
            report::talk("nothing was changed");
            return Ok(ExitCode::Interrupted);
        }
        let talk = Talk::begin(context, None);
        talk.events.emit(started);
        let result = carry_out(&fleet, &observed, &target, dir, failures, &talk.events).await;
        fleet.close().await;
        return talk
            .finish(result.map(|()| Some(format!("cluster `{name}` is gone; nothing is left"))))
            .await;
    }
    let result = carry_out(&fleet, &observed, &target, dir, failures, &talk.events).await;
    fleet.close().await;
    talk.finish(result.map(|()| Some(format!("cluster `{name}` is gone; nothing is left"))))
        .await
}

async fn carry_out(
    fleet: &Fleet,
    observed: &[crate::host::ObservedHost],
    target: &Target,
    dir: &ClusterDir,
    unreached: Vec<Failure>,
    events: &Events,
) -> anyhow::Result<()> {
    engine::hold(fleet, observed, target, "down", Hold::Alone).await?;
    if dir.exists() {
        Journal::open(dir)?.write(&[Intent::Down])?;
    }
    let mut left = match engine::remove(fleet, observed, target, events).await {
        Ok(()) => Vec::new(),
        Err(EngineError::LeftBehind { left }) => left,
        Err(error) => return Err(error.into()),
    };
    left.extend(engine::unknown(&unreached));
    engine::nothing_left(left)?;
    Ok(dir.remove()?)
}

/// Every host that may hold something: named on the command line, in the record, in the journal.
fn hosts(args: &Args, record: Option<&ClusterRecord>, dir: &ClusterDir) -> anyhow::Result<Vec<HostRecord>> {
    let mut hosts = known_hosts(record, dir)?;
    for text in &args.hosts {
        add_hosts(&mut hosts, parse_hosts(text)?)?;
    }
    Ok(hosts)
}

/// The hosts in the record and in the journal.
pub(super) fn known_hosts(
    record: Option<&ClusterRecord>,
    dir: &ClusterDir,
) -> anyhow::Result<Vec<HostRecord>> {
    let mut hosts: Vec<HostRecord> = record.map(|record| record.hosts.clone()).unwrap_or_default();
    for intent in read_intents(dir)? {
        if let Intent::Host { host } = intent
            && !hosts.iter().any(|known| known.name == host.name)
        {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

/// Adds hosts that are not known yet. A host is its URI: another one that only has the name of a known one
/// gets a name of its own, because passing over it would leave there what it holds.
pub(super) fn add_hosts(hosts: &mut Vec<HostRecord>, more: Vec<HostRecord>) -> anyhow::Result<()> {
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

/// `bm[01-03]`, `root@bm01`, or libvirt URIs; several with commas.
pub(super) fn parse_hosts(text: &str) -> anyhow::Result<Vec<HostRecord>> {
    let wrong = |words: String| {
        Misuse::new(ExitCode::Usage, format!("`--hosts`: {words}"))
            .with_hint("name them as in `bm[01-15]`, `root@bm[01-15]` or `qemu+ssh://root@bm01/system`")
    };
    let record = |name: &str, uri: String| -> anyhow::Result<HostRecord> {
        let name = name.parse().map_err(|error| wrong(format!("{error}")))?;
        crate::host::check_uri(&uri).map_err(wrong)?;
        Ok(HostRecord {
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
    let names = crate::nodeset::expand(set)?;
    if names.is_empty() {
        return Err(wrong(format!("`{text}` names no host")).into());
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
    fn hosts_named_twice_are_one_and_namesakes_are_all_looked_at() {
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
    fn hosts_that_are_none_are_wrong_usage() {
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
            let usage = error
                .downcast_ref::<Misuse>()
                .is_some_and(|error| error.code == ExitCode::Usage);
            assert!(
                usage || error.is::<crate::nodeset::NodeSetError>(),
                "{bad}: {error:?}"
            );
        }
    }
}
