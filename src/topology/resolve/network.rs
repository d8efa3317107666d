//! One network: subnet, MTU, bridge, gateway, name servers.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use super::Scope;
use super::values::{self, Span};
use crate::base::name::NetworkName;
use crate::base::text::plural;
use crate::topology::model::Network;
use crate::topology::range::{AddressRange, usable};
use crate::topology::raw::RawNetwork;
use crate::topology::reader::At;
use crate::topology::tree::shorten;

/// Default subnet of the network `cluster`.
const SUBNET: Ipv4Net = match Ipv4Net::new(Ipv4Addr::new(10, 77, 0, 0), 16) {
    Ok(net) => net,
    Err(_) => panic!("16 is a prefix length"),
};

/// A network as it is written.
pub(super) struct Written<'a> {
    pub(super) name: NetworkName,
    /// Place of its name; `None` for the key `network`.
    pub(super) key: Option<Span>,
    /// Its keys; `None` if the topology does not have it.
    pub(super) raw: Option<&'a At<RawNetwork>>,
}

impl<'a> Written<'a> {
    pub(super) fn fields(&self) -> Option<&'a RawNetwork> {
        self.raw.and_then(At::get)
    }
}

/// A network, and whether its subnet is the one that is meant: in place of a wrong one it has another.
pub(super) struct Resolved {
    pub(super) network: Network,
    pub(super) has_subnet: bool,
}

pub(super) fn resolve(scope: &Scope<'_>, network: &Written<'_>, nodes: usize, hosts: usize) -> Resolved {
    let none = RawNetwork::default();
    let fields = network.fields().unwrap_or(&none);
    let written = fields.subnet.as_ref();
    let subnet = match written {
        Some(at) => at.get().and_then(|text| subnet(scope, &at.span, &text.0)),
        None if network.name.is_cluster() => Some(SUBNET),
        None => {
            without_subnet(scope, network);
            None
        }
    };
    let bridge = fields
        .bridge
        .as_ref()
        .and_then(|at| bridge(scope, &at.span, at.get()?));
    let gateway = fields.gateway.as_ref().and_then(|at| {
        let gateway: Ipv4Addr = values::address(scope, &at.span, at.get()?, "an IPv4 address")?;
        if let Some(subnet) = subnet
            && !subnet.contains(&gateway)
        {
            scope.sink.error_hint(
                &at.span,
                format!("the gateway {gateway} is not in the subnet {subnet}"),
                "give it an address of the subnet, or change `subnet`".to_owned(),
            );
        }
        Some(gateway)
    });
    let range = fields
        .range
        .as_ref()
        .and_then(|at| range(scope, &at.span, at.get()?, subnet?));
    if let Some(subnet) = subnet {
        // Our own bridge has an address on every host; an existing one has its own.
        let hosts = if bridge.is_some() { 0 } else { hosts };
        let place = match (range, &fields.range) {
            (Some(range), Some(at)) => (format!("the range {range}"), at.span.clone()),
            _ => (
                format!("the subnet {subnet}"),
                written
                    .map(|at| at.span.clone())
                    .or(network.key.clone())
                    .unwrap_or(0..0),
            ),
        };
        check_size(scope, subnet, range, gateway, (nodes, hosts), place);
    }
    let mtu = fields.mtu.as_ref().and_then(|at| {
        let mtu = *at.get()?;
        let good = (576..=65_535).contains(&mtu);
        if !good {
            scope.sink.error_hint(
                &at.span,
                format!("mtu: {mtu} is not a number from 576 to 65535"),
                "leave out `mtu` to use what the hosts' network allows".to_owned(),
            );
        }
        good.then_some(mtu)
    });
    let nat = fields
        .nat
        .as_ref()
        .and_then(|at| at.get().copied())
        .unwrap_or(false);
    if let (true, Some(_), Some(at)) = (nat, &fields.bridge, &fields.nat) {
        scope.sink.error_hint(
            &at.span,
            "`nat` is not possible with an existing `bridge`",
            "leave out `nat` and set the `gateway` of the existing bridge".to_owned(),
        );
    }
    let dns = fields
        .dns
        .as_ref()
        .and_then(At::get)
        .map_or_else(Vec::new, |list| {
            list.iter()
                .filter_map(|at| values::address::<IpAddr>(scope, &at.span, at.get()?, "an IP address"))
                .collect()
        });
    let place = written
        .map(|at| &at.span)
        .or(fields.range.as_ref().map(|at| &at.span))
        .or(network.key.as_ref());
    Resolved {
        network: Network {
            name: network.name.clone(),
            subnet: subnet.unwrap_or(SUBNET),
            range,
            mtu,
            nat,
            bridge,
            gateway,
            dns,
            at: place.map(|span| scope.sink.locate(span.start)),
        },
        has_subnet: subnet.is_some(),
    }
}

/// A further network has no default, because each needs a subnet of its own.
fn without_subnet(scope: &Scope<'_>, network: &Written<'_>) {
    // If its keys cannot be read, that is recorded.
    if let (Some(key), Some(_)) = (&network.key, network.fields()) {
        scope.sink.error_hint(
            key,
            format!("the network `{}` has no `subnet`", network.name),
            "add a private IPv4 network, such as `subnet: 10.78.0.0/16`".to_owned(),
        );
    }
}

fn subnet(scope: &Scope<'_>, span: &Span, text: &str) -> Option<Ipv4Net> {
    let hint = "write a private IPv4 network such as 10.77.0.0/16".to_owned();
    let text = text.trim();
    if text.contains(':') {
        scope.sink.error_hint(
            span,
            format!(
                "`{}` is an IPv6 network; nodes have IPv4 addresses",
                shorten(text)
            ),
            hint,
        );
        return None;
    }
    let Ok(net) = text.parse::<Ipv4Net>() else {
        scope.sink.error_hint(
            span,
            format!("`{}` is not a network in CIDR notation", shorten(text)),
            hint,
        );
        return None;
    };
    if net.addr() != net.network() {
        scope.sink.error_hint(
            span,
            format!("`{}` has bits set beyond its prefix", shorten(text)),
            format!("write {}", net.trunc()),
        );
        return None;
    }
    let first = net.network();
    if first.is_loopback()
        || first.is_multicast()
        || first.is_unspecified()
        || first.is_link_local()
        || net.prefix_len() < 8
    {
        scope
            .sink
            .error_hint(span, format!("{net} cannot be the network of nodes"), hint);
        return None;
    }
    Some(net)
}

/// A part of the subnet that has usable addresses.
fn range(scope: &Scope<'_>, span: &Span, text: &str, subnet: Ipv4Net) -> Option<AddressRange> {
    let hint =
        "write the first and the last address, such as 10.77.0.100-10.77.0.199, or a network".to_owned();
    let range: AddressRange = match text.parse() {
        Ok(range) => range,
        Err(error) => {
            let message = format!("range: `{}`: {error}", shorten(text));
            scope.sink.error_hint(span, message, hint);
            return None;
        }
    };
    if !subnet.contains(&range.first) || !subnet.contains(&range.last) {
        scope.sink.error_hint(
            span,
            format!("the range {range} is not in the subnet {subnet}"),
            "both ends must be in the subnet: change one of the two".to_owned(),
        );
        return None;
    }
    Some(range)
}

/// Nodes and hosts need as many addresses as there are. `place` is what is too small otherwise, and where it is written.
fn check_size(
    scope: &Scope<'_>,
    subnet: Ipv4Net,
    range: Option<AddressRange>,
    gateway: Option<Ipv4Addr>,
    (nodes, hosts): (usize, usize),
    (place, span): (String, Span),
) {
    let (first, last) = usable(subnet, range);
    let taken = gateway.is_some_and(|gateway| (first..=last).contains(&u32::from(gateway)));
    let needed = nodes + hosts + usize::from(taken);
    let usable = (u64::from(last) + 1).saturating_sub(u64::from(first)) as usize;
    if needed <= usable {
        return;
    }
    let larger = match range {
        Some(_) => Some("widen `range`, or use fewer nodes".to_owned()),
        None => larger(needed).map(|prefix| format!("a /{prefix} is large enough")),
    };
    scope.sink.error_hint(
        &span,
        format!(
            "{place} is too small: {needed} addresses are needed ({}, {}), {usable} are usable",
            plural(nodes, "node"),
            plural(hosts, "host")
        ),
        larger.unwrap_or_else(|| "use fewer nodes".to_owned()),
    );
}

/// The longest prefix with enough usable addresses.
fn larger(needed: usize) -> Option<u8> {
    (8..=30)
        .rev()
        .find(|&prefix| (1_usize << (32 - u32::from(prefix))) >= needed + 2)
}

/// A device name as the kernel accepts it: 15 bytes, no slash, no white space; fewer characters here.
fn bridge(scope: &Scope<'_>, span: &Span, text: &str) -> Option<String> {
    let good = (1..=15).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !good {
        scope.sink.error_hint(
            span,
            format!("`{}` is not a valid bridge name", shorten(text)),
            "use 1 to 15 letters, digits, `.`, `_` and `-`".to_owned(),
        );
    }
    good.then(|| text.to_owned())
}
