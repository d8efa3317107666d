//! Objects with our mark whose cluster has no record on this controller.

use std::collections::BTreeMap;

use super::evidence::Evidence;
use super::finding::{Finding, Severity};
use crate::base::name::HostName;
use crate::base::text::plural;
use crate::base::units::MiB;
use crate::inventory::ShortId;
use crate::nodeset::fold;

/// What a cluster has on the hosts.
#[derive(Default)]
struct Traces<'a> {
    hosts: Vec<&'a HostName>,
    nodes: usize,
    memory: u64,
}

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut clusters: BTreeMap<(&str, ShortId), Traces<'_>> = BTreeMap::new();
    for host in &evidence.hosts {
        let Some(seen) = &host.seen else { continue };
        let objects = seen
            .objects
            .iter()
            .map(|object| (&object.cluster, object.short_id.clone(), 0, 0));
        let nodes = seen.nodes.iter().map(|node| {
            let mark = &node.mark;
            (&mark.cluster, ShortId::of(mark.cluster_id), 1, mark.spec.memory.0)
        });
        for (cluster, id, nodes, memory) in nodes.chain(objects) {
            if evidence.known.contains(&(cluster.clone(), id.clone())) {
                continue;
            }
            let traces = clusters.entry((cluster.as_str(), id)).or_default();
            if traces.hosts.last() != Some(&host.name()) {
                traces.hosts.push(host.name());
            }
            traces.nodes += nodes;
            traces.memory += memory;
        }
    }
    let found = clusters.into_iter().flat_map(|((cluster, id), traces)| {
        let hosts = fold(&traces.hosts);
        let what = format!("cluster `{cluster}` ({id}) exists there but has no record here");
        let why = format!(
            "its nodes use {} of memory on {hosts} ({}); it belongs to another controller, or to one that is \
             lost: remove it only if it is yours",
            MiB(traces.memory),
            plural(traces.nodes, "node")
        );
        let command = format!(
            "vcluster down {cluster} --hosts '{}'",
            argument(evidence, &traces.hosts)
        );
        traces.hosts.into_iter().map(move |host| {
            Finding::host(Severity::Warning, "stale", host, &what)
                .because(&why)
                .fixed_here(&command)
        })
    });
    let mut found: Vec<Finding> = found.collect();
    if found.is_empty() && evidence.hosts.iter().any(|host| host.seen.is_some()) {
        found.push(Finding::topology(
            Severity::Ok,
            "stale",
            "every cluster on the hosts has a record here",
        ));
    }
    found
}

/// The value for `--hosts`: names if all hosts are reached as `root@NAME`, else their URIs.
fn argument(evidence: &Evidence<'_>, names: &[&HostName]) -> String {
    let hosts = || evidence.hosts.iter().filter(|host| names.contains(&host.name()));
    if hosts().all(|host| host.config.uri == format!("qemu+ssh://root@{}/system", host.name())) {
        return fold(names);
    }
    let uris: Vec<&str> = hosts().map(|host| host.config.uri.as_str()).collect();
    uris.join(",")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::World;
    use super::*;
    use crate::inventory::ObservedObject;

    #[test]
    fn an_unknown_cluster_is_reported_with_the_command_that_removes_it() {
        let mut world = World::new(3, 3);
        for host in &mut world.hosts[..2] {
            host.seen.as_mut().unwrap().objects.push(ObservedObject {
                kind: "bridge".into(),
                name: "vcb0000000a".into(),
                cluster: "old".parse().unwrap(),
                short_id: ShortId::parse("0000000a").unwrap(),
            });
        }
        let findings = check(&world.evidence());
        assert_eq!(findings.len(), 2);
        let command = format!("{:?}", findings[0].remedy);
        assert!(
            command.contains("vcluster down old --hosts 'bm[1-2]'"),
            "{command}"
        );
        world.hosts[1].config.uri = "qemu+ssh://me@bm2:222/system".into();
        let command = format!("{:?}", check(&world.evidence())[0].remedy);
        assert!(
            command.contains("root@bm1/system,qemu+ssh://me@bm2:222/system"),
            "{command}"
        );
        world
            .known
            .insert(("old".parse().unwrap(), ShortId::parse("0000000a").unwrap()));
        assert_eq!(check(&world.evidence())[0].severity, Severity::Ok);
    }
}
