//! Claims and locks on all hosts of a command: the first command gets them, a second one fails. The plan determines
//! what to claim; nothing is chosen here.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::failure::EngineError;
use super::fleet::{Fleet, HOSTS_AT_ONCE, Member};
use super::pending::Pending;
use super::remove::Target;
use crate::base::event::Events;
use crate::base::exit::ExitCode;
use crate::base::failure::{Failure, UserFacing};
use crate::base::name::{ClusterName, HostName};
use crate::base::units::Moment;
use crate::host::{HostError, LockMode, LockRequest, LockState};
use crate::inventory::{CLAIM_VERSION, Claim, ClusterRef, ObservedHost};
use crate::plan::Plan;

/// What a host answered to a claim. The error is shared with the failure that is made of it.
type Answer = Result<LockState, Arc<HostError>>;

/// Why a cluster could not be claimed or locked. Its new claims are already withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another command works on the cluster.
    #[error("cluster `{cluster}` is held on {hosts} by {holder}")]
    Busy {
        /// The cluster.
        cluster: ClusterName,
        /// Where, folded.
        hosts: String,
        /// The holder, and since when.
        holder: String,
    },
    /// Another command claimed something between observing and claiming.
    #[error("the claims on `{host}` changed during planning{}", by.as_ref().map(|by| format!(": {by}")).unwrap_or_default())]
    Changed {
        /// The first host where that was seen.
        host: HostName,
        /// The last claimant there.
        by: Option<String>,
    },
    /// This process was suspended for so long that the hosts freed its locks.
    #[error(
        "vcluster was suspended for so long that its locks expired; another command may be using cluster `{cluster}`"
    )]
    LocksExpired {
        /// The cluster.
        cluster: ClusterName,
    },
    /// Hosts failed.
    #[error(transparent)]
    Failed(#[from] EngineError),
    /// Claims could not be withdrawn: the reason for withdrawing them, and their hosts.
    #[error(
        "{reason}; and the claims on {} could not be withdrawn",
        crate::nodeset::fold(hosts)
    )]
    Stuck {
        /// Why they had to be withdrawn.
        reason: Box<ClaimError>,
        /// The hosts.
        hosts: Vec<HostName>,
    },
}

impl ClaimError {
    /// Whether observing and planning again can succeed, sooner or later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Changed { .. })
    }

    /// Whether hosts failed. One retry is worthwhile: they may be back, or the plan may not need them.
    pub fn is_of_hosts(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Stuck { .. })
    }

    /// Whether nothing of it is on any host.
    pub fn left_nothing(&self) -> bool {
        !matches!(self, Self::Stuck { .. } | Self::LocksExpired { .. })
    }
}

impl UserFacing for ClaimError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Busy { .. } => Some("wait for it to end, or stop it; nothing was changed".into()),
            Self::Changed { .. } => {
                Some("other clusters are being created or removed on these hosts: try again".into())
            }
            Self::Failed(error) => error.hint(),
            Self::LocksExpired { cluster } => Some(format!(
                "see `vcluster status {cluster}`; `up` continues from what is there, `down` removes the cluster"
            )),
            Self::Stuck { .. } => Some("run `vcluster gc` when the hosts are reachable again".into()),
        }
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(error) => error.exit_code(),
            Self::LocksExpired { .. } => ExitCode::ApplyFailed,
            Self::Stuck { .. } => ExitCode::LeftBehind,
            // As for a cluster that is held by another command on this machine.
            Self::Busy { .. } | Self::Changed { .. } => ExitCode::Unexpected,
        }
    }
}

/// A claim on every host of a plan.
#[derive(Debug)]
pub struct ClaimAll<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The observed state that it is based on.
    pub observed: &'a [ObservedHost],
    /// The observed state before any claim that may have to be withdrawn.
    pub before: &'a [ObservedHost],
    /// End of the lease.
    pub expires: Option<Moment>,
}

impl ClaimAll<'_> {
    /// Claims the capacity of the plan on all hosts of the fleet and locks the cluster there, or withdraws everything.
    pub async fn run(&self, fleet: &Fleet, events: &Events) -> Result<(), ClaimError> {
        let cluster = self.plan.cluster_ref();
        let mut members: Vec<&Member> = fleet.members().iter().collect();
        members.sort_by(|a, b| a.endpoint.name.cmp(&b.endpoint.name));
        let what = format!("the claim of cluster `{}` on", cluster.name);
        let pending = Pending::new(what, members.iter().map(|member| &member.endpoint.name));
        let mut answers = Vec::new();
        // The first host alone: if several commands collide, one wins there, and the others hold nothing.
        let (first, rest) = members.split_at(members.len().min(1));
        for members in [first, rest] {
            let more = pending.each_of(
                events,
                HOSTS_AT_ONCE,
                members.iter().copied(),
                |member| &member.endpoint.name,
                |member| self.claim(member, &cluster),
            );
            answers.extend(more.await);
            if !answers.iter().all(|(_, answer)| is_held(answer)) {
                break;
            }
        }
        let claimed: Vec<(&Member, bool)> = answers
            .iter()
            .filter_map(|(member, answer)| match answer {
                Ok(LockState::Held { made, .. }) => Some((*member, *made)),
                _ => None,
            })
            .collect();
        let Err(reason) = check_answers(
            &self.plan.cluster,
            answers
                .iter()
                .map(|(member, answer)| (&member.endpoint.name, answer)),
        ) else {
            return Ok(());
        };
        // A host that failed during the claim may have stored it.
        let failed = answers.iter().filter(|(_, answer)| answer.is_err());
        let failed = failed.filter(|(member, _)| self.before(&member.endpoint.name).is_none());
        let claimed = claimed
            .into_iter()
            .chain(failed.map(|(member, _)| (*member, true)));
        let stuck = self.withdraw(claimed.collect(), &cluster, events).await;
        if stuck.is_empty() {
            Err(reason)
        } else {
            let (reason, hosts) = (Box::new(reason), stuck);
            Err(ClaimError::Stuck { reason, hosts })
        }
    }

    /// Withdraws claims, each with whether this command made it; returns the hosts where that failed.
    async fn withdraw(
        &self,
        claimed: Vec<(&Member, bool)>,
        cluster: &ClusterRef,
        events: &Events,
    ) -> Vec<HostName> {
        let stuck = Pending::each(
            events,
            "withdrawing the claims on",
            1,
            claimed,
            |(member, _)| &member.endpoint.name,
            |(member, made)| async move {
                let name = &member.endpoint.name;
                let before = self.before(name).filter(|_| !made);
                let failed = member.host.unclaim(cluster, before).await.is_err();
                failed.then(|| name.clone())
            },
        )
        .await;
        stuck.into_iter().flatten().collect()
    }

    async fn claim<'m>(&self, member: &'m Member, cluster: &ClusterRef) -> (&'m Member, Answer) {
        let name = &member.endpoint.name;
        let claimed = self.plan.claimed_capacity(name);
        let before = self.before(name);
        let claim = Claim {
            version: CLAIM_VERSION,
            cluster: self.plan.cluster.clone(),
            id: self.plan.cluster_id,
            controller: crate::host::controller(),
            made: before.map_or_else(Moment::now, |claim| claim.made),
            expires: self.expires,
            subnet: claimed.subnet,
            vni: claimed.vni,
            networks: claimed.networks,
            nodes: claimed.nodes,
            memory: claimed.memory,
            vcpus: claimed.vcpus,
            disk: claimed.disk,
        };
        let token = self.seen(name).map_or("", |seen| seen.token.as_str());
        let request = LockRequest {
            cluster,
            verb: "up",
            how: LockMode::Exclusive,
            // A host without nodes in this plan is only locked, not claimed.
            claim: (claimed.nodes > 0).then_some((&claim, token)),
        };
        (member, member.host.hold(&request).await.map_err(Arc::new))
    }

    fn seen(&self, host: &HostName) -> Option<&ObservedHost> {
        self.observed.iter().find(|seen| seen.name == *host)
    }

    fn before(&self, host: &HostName) -> Option<&Claim> {
        let claims = &self.before.iter().find(|seen| seen.name == *host)?.claims;
        let own = claims.iter().find(|seen| seen.claim.id == self.plan.cluster_id)?;
        Some(&own.claim)
    }
}

/// Restores the claims from before an undone `up`. Hosts that had none are already cleaned up.
pub async fn restore(
    fleet: &Fleet,
    plan: &Plan,
    before: &[ObservedHost],
    events: &Events,
) -> Result<(), EngineError> {
    let failures = Pending::each(
        events,
        "restoring the claims on",
        1,
        fleet.members(),
        |member| &member.endpoint.name,
        |member| async move {
            let name = &member.endpoint.name;
            let seen = before.iter().find(|seen| seen.name == *name);
            let mut claims = seen.iter().flat_map(|seen| &seen.claims).map(|seen| &seen.claim);
            let claim = claims.find(|claim| claim.id == plan.cluster_id)?;
            let error = member.host.rewrite_claim(claim).await.err()?;
            Some(Failure::of_host(name.clone(), error))
        },
    )
    .await;
    EngineError::from_failures(
        "failed to restore the old claims",
        failures.into_iter().flatten().collect(),
    )
}

/// A locked cluster on a host, with its claim there.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The host.
    pub host: HostName,
    /// The cluster.
    pub cluster: ClusterRef,
    /// Its current claim.
    pub claim: Option<Claim>,
}

/// Locks a cluster on every host that has objects of it, until the hosts are closed. Returns its claims there.
pub async fn hold(
    fleet: &Fleet,
    observed: &[ObservedHost],
    target: &Target,
    verb: &str,
    how: LockMode,
    events: &Events,
) -> Result<Vec<Claimed>, ClaimError> {
    let mut asked: Vec<(&Member, ClusterRef)> = Vec::new();
    for member in fleet.members() {
        let seen = observed.iter().find(|seen| seen.name == member.endpoint.name);
        asked.extend(
            seen.map(|seen| target.clusters(seen))
                .unwrap_or_default()
                .into_iter()
                .map(|cluster| (member, cluster)),
        );
    }
    asked.sort_by(|(a, one), (b, two)| (&a.endpoint.name, one).cmp(&(&b.endpoint.name, two)));
    let what = format!("the lock of cluster `{}` on", target.cluster);
    let pending = Pending::new(what, asked.iter().map(|(member, _)| &member.endpoint.name));
    let mut answers = Vec::new();
    let (first, rest) = asked.split_at(asked.len().min(1));
    for asked in [first, rest] {
        let more = pending.each_of(
            events,
            HOSTS_AT_ONCE,
            asked,
            |(member, _)| &member.endpoint.name,
            |(member, cluster)| async move {
                let request = LockRequest {
                    cluster,
                    verb,
                    how,
                    claim: None,
                };
                let name = &member.endpoint.name;
                let answer = member.host.hold(&request).await.map_err(Arc::new);
                (name, cluster, answer)
            },
        );
        answers.extend(more.await);
        check_answers(
            &target.cluster,
            answers.iter().map(|(host, _, answer)| (*host, answer)),
        )?;
    }
    Ok(answers
        .into_iter()
        .filter_map(|(host, cluster, answer)| match answer {
            Ok(LockState::Held { claim, .. }) => Some(Claimed {
                host: host.clone(),
                cluster: cluster.clone(),
                claim,
            }),
            _ => None,
        })
        .collect())
}

fn is_held(answer: &Answer) -> bool {
    matches!(answer, Ok(LockState::Held { .. } | LockState::Nothing))
}

/// The first reason to stop: another command holds the cluster, hosts failed, claims changed.
fn check_answers<'a>(
    cluster: &ClusterName,
    answers: impl Iterator<Item = (&'a HostName, &'a Answer)>,
) -> Result<(), ClaimError> {
    let mut busy: BTreeMap<&str, Vec<&HostName>> = BTreeMap::new();
    let (mut failures, mut changed) = (Vec::new(), None);
    for (host, answer) in answers {
        match answer {
            Ok(LockState::Held { .. } | LockState::Nothing) => {}
            Ok(LockState::Busy { holder }) => busy.entry(holder).or_default().push(host),
            Ok(LockState::Changed { by }) => {
                changed = changed.or_else(|| {
                    Some(ClaimError::Changed {
                        host: host.clone(),
                        by: by.clone(),
                    })
                });
            }
            Err(error) => failures.push(Failure {
                host: Some(host.clone()),
                ..Failure::new(error.clone())
            }),
        }
    }
    if let Some((holder, hosts)) = busy.into_iter().next() {
        return Err(ClaimError::Busy {
            cluster: cluster.clone(),
            hosts: crate::nodeset::fold(hosts),
            holder: holder.to_owned(),
        });
    }
    EngineError::from_failures("failed to claim the hosts", failures)?;
    changed.map_or(Ok(()), Err)
}
