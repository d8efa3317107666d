//! The networks of a cluster: which there are, which of them a group names, and what they may not share.

use super::Scope;
use super::network::{self, Resolved, Written};
use super::values;
use crate::base::name::NetworkName;
use crate::base::suggest::suggest;
use crate::inventory::network_suffix;
use crate::topology::limits::MAX_NETWORKS;
use crate::topology::model::{Network, Node};
use crate::topology::raw::RawTopology;
use crate::topology::reader::At;
use crate::topology::tree::shorten;

/// The networks as they are written.
pub(super) struct Networks<'a> {
    cluster: Written<'a>,
    further: Vec<Written<'a>>,
    /// Names of all networks, valid or not, so that a mistake in one is reported once.
    named: Vec<&'a str>,
}

impl<'a> Networks<'a> {
    /// `network` and the entry `cluster` of `networks` are the same.
    pub(super) fn read(scope: &Scope<'_>, raw: &'a RawTopology) -> Self {
        let mut networks = Self {
            cluster: Written {
                name: NetworkName::cluster(),
                key: None,
                raw: raw.network.as_ref(),
            },
            further: Vec::new(),
            named: vec![NetworkName::CLUSTER],
        };
        let entries = raw.networks.as_ref().and_then(At::get);
        for (key, entry) in entries.into_iter().flat_map(|entries| &entries.0) {
            let Some(text) = key.get() else { continue };
            if text != NetworkName::CLUSTER {
                networks.named.push(text);
                if networks.named.len() == MAX_NETWORKS + 1 {
                    scope.sink.error_hint(
                        &key.span,
                        format!("the topology has more than {MAX_NETWORKS} networks, `cluster` included"),
                        "use fewer networks".to_owned(),
                    );
                }
                networks
                    .further
                    .extend(values::name(scope, &key.span, text).map(|name| Written {
                        name,
                        key: Some(key.span.clone()),
                        raw: Some(entry),
                    }));
            } else if raw.network.is_some() {
                scope.sink.error_hint(
                    &key.span,
                    "the network `cluster` is given twice: `network` is the same one",
                    "keep one of the two".to_owned(),
                );
            } else {
                networks.cluster.key = Some(key.span.clone());
                networks.cluster.raw = Some(entry);
            }
        }
        networks
    }

    /// The networks besides `cluster` that a list names, in its order; `None` if it has a mistake.
    pub(super) fn joined(
        &self,
        scope: &Scope<'_>,
        list: Option<&At<Vec<At<String>>>>,
    ) -> Option<Vec<NetworkName>> {
        let Some(at) = list else {
            return Some(Vec::new());
        };
        let mut seen: Vec<&str> = Vec::new();
        let mut further = Vec::new();
        let mut good = true;
        for item in at.get()? {
            let Some(text) = item.get() else {
                good = false;
                continue;
            };
            let (message, hint) = if !self.named.contains(&text.as_str()) {
                (
                    format!("unknown network `{}`", shorten(text)),
                    suggest(text, self.named.iter().copied()),
                )
            } else if seen.contains(&text.as_str()) {
                (
                    format!("the network `{}` is given twice", shorten(text)),
                    Some("a node joins a network once: keep one of the two".to_owned()),
                )
            } else {
                seen.push(text);
                if text != NetworkName::CLUSTER {
                    // A wrong name is reported where the network is defined.
                    let name = text.parse::<NetworkName>().ok();
                    good &= name.is_some();
                    further.extend(name);
                }
                continue;
            };
            good = false;
            scope.sink.error_hint(&item.span, message, hint);
        }
        if good && !seen.contains(&NetworkName::CLUSTER) {
            good = false;
            scope.sink.error_hint(
                &at.span,
                "`networks` does not contain `cluster`",
                "add `cluster`: vcluster logs in to the nodes through it".to_owned(),
            );
        }
        good.then_some(further)
    }

    /// `cluster` and the further networks. `complete`: whether all groups and nodes could be read.
    pub(super) fn resolve(
        &self,
        scope: &Scope<'_>,
        nodes: &[Node],
        complete: bool,
        hosts: usize,
    ) -> (Network, Vec<Network>) {
        let cluster = network::resolve(scope, &self.cluster, nodes.len(), hosts);
        let mut further: Vec<Resolved> = Vec::new();
        for written in &self.further {
            let joined = nodes.iter().filter(|node| node.networks.contains(&written.name));
            let joined = joined.count();
            if joined == 0 && complete && !nodes.is_empty() {
                unused(scope, written);
            }
            // Each host may get such nodes later, so the planner keeps an address for each.
            let network = network::resolve(scope, written, joined, hosts);
            let others = std::iter::once((&self.cluster, &cluster)).chain(self.further.iter().zip(&further));
            for other in others {
                check_shared(scope, (written, &network), other);
            }
            further.push(network);
        }
        let further = further.into_iter().map(|resolved| resolved.network);
        (cluster.network, further.collect())
    }
}

fn unused(scope: &Scope<'_>, written: &Written<'_>) {
    let name = &written.name;
    if let Some(key) = &written.key {
        scope.sink.error_hint(
            key,
            format!("no group joins the network `{name}`"),
            format!("add `networks: [cluster, {name}]` to a group, or remove the network"),
        );
    }
}

/// Networks of one cluster share no addresses, no bridge and no names of devices. Reports that of the later one.
fn check_shared(
    scope: &Scope<'_>,
    (written, resolved): (&Written<'_>, &Resolved),
    (other, known): (&Written<'_>, &Resolved),
) {
    let (name, other_name) = (&written.name, &other.name);
    let fields = written.fields();
    let (subnet, taken) = (resolved.network.subnet, known.network.subnet);
    if resolved.has_subnet
        && known.has_subnet
        && (subnet.contains(&taken) || taken.contains(&subnet))
        && let Some(at) = fields.and_then(|fields| fields.subnet.as_ref())
    {
        scope.sink.error_hint(
            &at.span,
            format!("the subnet {subnet} of `{name}` overlaps {taken} of `{other_name}`"),
            "give each network addresses of its own: change one of the two".to_owned(),
        );
    }
    if let Some(bridge) = &resolved.network.bridge
        && known.network.bridge.as_ref() == Some(bridge)
        && let Some(at) = fields.and_then(|fields| fields.bridge.as_ref())
    {
        scope.sink.error_hint(
            &at.span,
            format!("the networks `{other_name}` and `{name}` use the same bridge `{bridge}`"),
            "give each network a bridge of its own, or leave out `bridge` to have one created".to_owned(),
        );
    }
    if !other_name.is_cluster()
        && network_suffix(name) == network_suffix(other_name)
        && let Some(key) = &written.key
    {
        scope.sink.error_hint(
            key,
            format!("the bridges of `{other_name}` and `{name}` would have the same name on hosts"),
            "rename one of the two networks: the names of bridges are made from theirs".to_owned(),
        );
    }
}
