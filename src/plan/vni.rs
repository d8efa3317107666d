//! The VXLAN identifier of a network.

use std::collections::HashSet;

use super::claims;
use super::given::Given;
use super::site::Site;
use crate::base::digest::sha256;
use crate::base::name::NetworkName;
use crate::inventory::Claim;

/// All bits of an identifier (RFC 7348).
const ALL: u32 = 0x00ff_ffff;

/// The VXLAN identifier of a network with this device: derived from the cluster's id and the network's name, or
/// the next one that no other VXLAN on the hosts uses. A network whose device exists keeps its identifier. `chosen` are
/// those of the other networks of this plan.
pub(super) fn vni(given: &Given<'_>, network: &NetworkName, device: &str, chosen: &HashSet<u32>) -> u32 {
    let (sites, cluster_id) = (&given.sites, given.input.cluster_id);
    let wanted = ((cluster_id.as_u128() as u32 ^ salt(network)) & ALL).max(1);
    let candidates = || (0..ALL).map(|step| (wanted - 1 + step) % ALL + 1);
    let has_device = |site: &&Site<'_>| site.observed.objects.iter().any(|object| object.name == device);
    let (ours, others): (Vec<&Site<'_>>, Vec<&Site<'_>>) = sites.iter().partition(has_device);
    let of_ours: HashSet<u32> = ours.iter().flat_map(|site| site.vnis()).collect();
    let mut of_others: HashSet<u32> = others.iter().flat_map(|site| site.vnis()).collect();
    for site in sites {
        of_others.extend(claims::of_others(site.observed, cluster_id).flat_map(Claim::vnis));
        // What is promised to another network of this cluster stays with it, even if its device does not exist yet.
        if let Some(own) = claims::own(site.observed, cluster_id) {
            let promised = own.vni_of(network);
            of_others.extend(own.vnis().filter(|&vni| promised != Some(vni)));
        }
    }
    of_others.extend(chosen);
    let promised = sites
        .iter()
        .find_map(|site| claims::own(site.observed, cluster_id)?.vni_of(network));
    if let Some(promised) = promised.filter(|vni| !of_others.contains(vni) && (1..=ALL).contains(vni)) {
        return promised;
    }
    if let Some((one, rest)) = ours.split_first() {
        // Which of a host's identifiers belongs to our device is not observed: take, of those that
        // all hosts with the device share, the first that we would have chosen.
        let shared = |vni: &u32| rest.iter().all(|site| site.observed.facts.vnis.contains(vni));
        let kept = one
            .vnis()
            .filter(|vni| !of_others.contains(vni) && shared(vni))
            .min_by_key(|vni| (vni + ALL - wanted) % ALL);
        if let Some(kept) = kept {
            return kept;
        }
    }
    candidates()
        .find(|vni| !of_others.contains(vni) && !of_ours.contains(vni))
        .unwrap_or(wanted)
}

/// Distinguishes the identifiers that the networks of a cluster ask for; 0 for `cluster`.
fn salt(network: &NetworkName) -> u32 {
    if network.is_cluster() {
        return 0;
    }
    u32::from_str_radix(&sha256(network.as_str())[..6], 16).unwrap_or_default()
}
