//! Leases: how they are described, read from the hosts, and extended.

use std::time::Duration;

use super::Cluster;
use crate::base::event::Events;
use crate::base::exit::ExitCode;
use crate::base::failure::{Failure, UserError};
use crate::base::text::plural;
use crate::base::units::Moment;
use crate::engine::{self, EngineError, Fleet, HOSTS_AT_ONCE, Pending, Target};
use crate::host::{Access, LockMode};
use crate::inventory::Claim;

/// `lease ends at 2026-01-31T12:00:00Z`.
pub fn lease_words(expires: Option<Moment>) -> String {
    match expires {
        Some(end) if end <= Moment::now() => format!("its lease ended at {end}"),
        Some(end) => format!("lease ends at {end}"),
        None => "its lease never ends".to_owned(),
    }
}

/// The claims of a cluster on all hosts of a fleet that respond.
pub async fn claims(cluster: &Cluster, fleet: &Fleet, events: &Events) -> Vec<Claim> {
    let reference = &cluster.record.cluster_ref();
    let found = Pending::each(
        events,
        "reading the lease on",
        HOSTS_AT_ONCE,
        fleet.members(),
        |member| &member.endpoint.name,
        |member| member.host.claim_of(reference),
    )
    .await;
    found
        .into_iter()
        .filter_map(|claim| claim.ok().flatten())
        .collect()
}

/// The new end of a lease.
#[derive(Clone, Copy, Debug)]
pub enum Extension {
    /// This much later than the current end.
    By(Duration),
    /// This moment.
    To(Moment),
    /// No end.
    Never,
}

/// Moves the end of a cluster's lease on all hosts that hold nodes of it; returns the new end. A failed host is
/// an error, after the others are done.
pub async fn extend(
    cluster: &Cluster,
    extension: Extension,
    options: &Access,
    events: &Events,
) -> anyhow::Result<Option<Moment>> {
    let name = &cluster.record.name;
    let endpoints: Vec<_> = cluster
        .record
        .hosts
        .iter()
        // Hosts without nodes have no claim, so an unreachable one is not a failure.
        .filter(|host| cluster.plan.hosts.iter().any(|planned| planned.name == host.name))
        .cloned()
        .collect();
    let (fleet, mut failures) = Fleet::connect(&endpoints, options, events).await;
    let (observed, unseen) = fleet.observe(events).await;
    failures.extend(unseen);
    let target = Target::of(cluster.record.cluster_ref());
    let held = engine::hold(&fleet, &observed, &target, "extend", LockMode::Shared, events).await?;
    let claims: Vec<_> = held
        .into_iter()
        .filter_map(|held| Some((held.host, held.claim?)))
        .collect();
    let end = new_end(
        extension,
        claims.iter().map(|(_, claim)| claim.expires),
        Moment::now(),
    );
    let pending = &Pending::new("writing the lease on", claims.iter().map(|(host, _)| host));
    let mut extended = 0;
    let rewriting = async {
        for (host, mut claim) in claims {
            claim.expires = end;
            let Some(member) = fleet.get(&host) else { continue };
            let written = member.host.rewrite_claim(&claim).await;
            pending.answered(&host);
            match written {
                Ok(()) => extended += 1,
                Err(error) => failures.push(Failure::of_host(host, error)),
            }
        }
    };
    pending.shown(events, rewriting).await;
    fleet.close().await;
    if extended == 0 && failures.is_empty() {
        let text = format!("no host has a claim of cluster `{name}`");
        return Err(UserError::new(ExitCode::ApplyFailed, text)
            .with_hint("`vcluster up` claims its hosts again")
            .into());
    }
    if extended > 0 {
        let mut record = cluster.record.clone();
        record.expires = end;
        record.store(&cluster.dir)?;
    }
    let what = format!(
        "failed to extend the lease of `{name}` on {} of {}",
        failures.len(),
        plural(endpoints.len(), "host")
    );
    EngineError::from_failures(&what, failures)?;
    Ok(end)
}

/// The new end, based on the latest one, so that hosts which an earlier extension did not reach catch up. A lease
/// without an end keeps none.
fn new_end(
    extension: Extension,
    ends: impl Iterator<Item = Option<Moment>> + Clone,
    now: Moment,
) -> Option<Moment> {
    match extension {
        Extension::To(to) => Some(to),
        Extension::By(by) if ends.clone().all(|end| end.is_some()) => {
            Some(ends.flatten().max().unwrap_or(now).max(now).after(by))
        }
        Extension::Never | Extension::By(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Moment {
        text.parse().unwrap()
    }

    #[test]
    fn a_lease_is_extended_from_its_latest_end_and_never_from_the_past() {
        let (noon, one, two) = (
            at("2026-01-31T12:00:00Z"),
            at("2026-01-31T13:00:00Z"),
            at("2026-01-31T14:00:00Z"),
        );
        let hour = Extension::By(Duration::from_hours(1));
        let end = |extension, ends: &[Option<Moment>]| new_end(extension, ends.iter().copied(), noon);
        assert_eq!(end(hour, &[Some(noon), Some(one)]), Some(two));
        assert_eq!(end(hour, &[Some(at("2026-01-31T11:00:00Z"))]), Some(one));
        assert_eq!(end(hour, &[Some(one), None]), None);
        assert_eq!(end(Extension::To(one), &[None]), Some(one));
        assert_eq!(end(Extension::Never, &[Some(one)]), None);
    }
}
