//! IPv4 arithmetic.

use std::net::Ipv4Addr;

use handlebars::JsonRender;
use ipnet::Ipv4Net;
use serde_json::Value;

use super::number::integer;
use super::{Outcome, short};

fn address(value: &Value) -> Result<Ipv4Addr, String> {
    value
        .render()
        .parse()
        .map_err(|_| format!("`{}` is not an IPv4 address", short(value)))
}

fn subnet(value: &Value) -> Result<Ipv4Net, String> {
    value
        .render()
        .parse()
        .map_err(|_| format!("`{}` is not a network in CIDR notation", short(value)))
}

/// `ip_add ADDRESS NUMBER`
pub(super) fn add(values: &[&Value]) -> Outcome {
    let sum = i64::from(address(values[0])?.to_bits()).checked_add(integer(values[1])?);
    let bits = sum
        .and_then(|sum| u32::try_from(sum).ok())
        .ok_or("the result is not an IPv4 address")?;
    Ok(Ipv4Addr::from_bits(bits).to_string().into())
}

/// `ip_diff ADDRESS ADDRESS`: the first minus the second.
pub(super) fn diff(values: &[&Value]) -> Outcome {
    let (a, b) = (address(values[0])?, address(values[1])?);
    Ok((i64::from(a.to_bits()) - i64::from(b.to_bits())).into())
}

/// `ip_host SUBNET NUMBER`: that address of the subnet, counted from its network address.
pub(super) fn host(values: &[&Value]) -> Outcome {
    let subnet = subnet(values[0])?;
    let number = integer(values[1])?;
    let bits = i64::from(subnet.network().to_bits()).checked_add(number);
    bits.and_then(|bits| u32::try_from(bits).ok())
        .map(Ipv4Addr::from_bits)
        .filter(|address| subnet.contains(address))
        .map(|address| address.to_string().into())
        .ok_or_else(|| format!("{subnet} has no address {number}"))
}

pub(super) fn network(values: &[&Value]) -> Outcome {
    Ok(subnet(values[0])?.network().to_string().into())
}

pub(super) fn netmask(values: &[&Value]) -> Outcome {
    Ok(subnet(values[0])?.netmask().to_string().into())
}

pub(super) fn prefix(values: &[&Value]) -> Outcome {
    Ok(subnet(values[0])?.prefix_len().into())
}
