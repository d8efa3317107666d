//! The network: subnet, MTU, bridge, gateway, name servers.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use super::Scope;
use super::values::{self, Span};
use crate::base::text::plural;
use crate::topology::model::Network;
use crate::topology::raw::RawNetwork;
use crate::topology::reader::At;
use crate::topology::tree::shorten;

/// Default subnet.
const SUBNET: Ipv4Net = match Ipv4Net::new(Ipv4Addr::new(10, 77, 0, 0), 16) {
    Ok(net) => net,
    Err(_) => panic!("16 is a prefix length"),
};

pub(super) fn resolve(
    scope: &Scope<'_>,
    raw: Option<&At<RawNetwork>>,
    nodes: usize,
    hosts: usize,
) -> Network {
    let none = RawNetwork::default();
    let fields = raw.and_then(At::get).unwrap_or(&none);
    let written = fields.subnet.as_ref();
    let subnet = match written {
        Some(at) => at.get().and_then(|text| subnet(scope, &at.span, &text.0)),
        None => Some(SUBNET),
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
    if let Some(subnet) = subnet {
        // Our own bridge has an address on every host; an existing one has its own.
        let hosts = if bridge.is_some() { 0 } else { hosts };
        let needed = nodes + hosts + usize::from(gateway.is_some());
        let usable = usable(subnet);
        if needed > usable {
            let span = written.or(None).map_or(0..0, |at| at.span.clone());
            scope.sink.error_hint(
                &span,
                format!(
                    "the subnet {subnet} is too small: {needed} addresses are needed ({}, {}), {usable} are usable",
                    plural(nodes, "node"),
                    plural(hosts, "host")
                ),
                larger(needed).map_or_else(
                    || "use fewer nodes".to_owned(),
                    |prefix| format!("a /{prefix} is large enough"),
                ),
            );
        }
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
    Network {
        subnet: subnet.unwrap_or(SUBNET),
        mtu,
        nat,
        bridge,
        gateway,
        dns,
        at: written.or(None).map(|at| scope.sink.locate(at.span.start)),
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

/// Number of addresses without the network and broadcast addresses.
fn usable(subnet: Ipv4Net) -> usize {
    (1_usize << (32 - u32::from(subnet.prefix_len()))).saturating_sub(2)
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
