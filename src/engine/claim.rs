//! Claims and worker locks on all hosts of a command: who comes first works, who comes second is told so.
//! What is claimed comes from the plan; nothing is chosen here.

use std::collections::BTreeMap;

use futures::StreamExt;

use super::failure::{EngineError, Failure};
use super::fleet::{Fleet, Member};
use super::remove::Target;
use crate::exit::ExitCode;
use crate::host::{CLAIM_VERSION, Claim, Hold, HoldRequest, HostError, ObservedHost, Standing};
use crate::name::{ClusterName, HostName};
use crate::plan::Plan;
use crate::units::Moment;

/// Hosts that are asked at once.
const AT_ONCE: usize = 64;

/// Why a cluster could not be claimed or held. Whatever was claimed for it is taken back by then.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another command works on the cluster.
    #[error("cluster `{cluster}` is held on {hosts} by {holder}")]
    Busy {
        /// The cluster.
        cluster: ClusterName,
        /// Where, folded.
        hosts: String,
        /// Who, and since when.
        holder: String,
    },
    /// Somebody claimed something between our look and our claim.
    #[error("the claims on `{host}` change while this is planned{}", by.as_ref().map(|by| format!(": {by}")).unwrap_or_default())]
    Changed {
        /// The first host where that was seen.
        host: HostName,
        /// Who claimed last there.
        by: Option<String>,
    },
    /// This process stood still for so long that the hosts freed its locks.
    #[error(
        "vcluster stood still for so long that its locks on the hosts ended; others may be at work on `{cluster}`"
    )]
    Overslept {
        /// The cluster.
        cluster: ClusterName,
    },
    /// Hosts failed.
    #[error(transparent)]
    Failed(#[from] EngineError),
    /// Claims could not be taken back: what was the reason, and where they are.
    #[error(
        "{reason}; and the claims on {} could not be taken back",
        crate::nodeset::fold(hosts)
    )]
    Stuck {
        /// Why they were to be taken back.
        reason: Box<ClaimError>,
        /// The hosts.
        hosts: Vec<HostName>,
    },
}

impl ClaimError {
    /// Whether another look and another plan lead further, sooner or later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Changed { .. })
    }

    /// Whether hosts failed, which another look finds out: once, for they may be there again or be done without.
    pub fn is_of_hosts(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Stuck { .. })
    }

    /// Whether nothing of it is on any host.
    pub fn left_nothing(&self) -> bool {
        !matches!(self, Self::Stuck { .. } | Self::Overslept { .. })
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Busy { .. } => Some("wait for it to end, or end it; nothing was changed".into()),
            Self::Changed { .. } => Some("other clusters come and go on these hosts: try again".into()),
            Self::Failed(error) => error.hint(),
            Self::Overslept { cluster } => Some(format!(
                "see `vcluster status -c {cluster}`; `up` goes on from what is there, `down` removes it"
            )),
            Self::Stuck { .. } => Some("`vcluster gc` removes them when the hosts are back".into()),
        }
    }

    /// The exit code that fits.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(error) => error.exit_code(),
            Self::Overslept { .. } => ExitCode::ApplyFailed,
            Self::Stuck { .. } => ExitCode::LeftBehind,
            // As for a cluster that is held by another command on this machine.
            Self::Busy { .. } | Self::Changed { .. } => ExitCode::Unexpected,
        }
    }
}

/// A claim on every host of a plan.
#[derive(Debug)]
pub struct Reserve<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What was seen when it was made.
    pub observed: &'a [ObservedHost],
    /// What was seen before any claim that may have to be taken back.
    pub before: &'a [ObservedHost],
    /// End of the lease.
    pub expires: Option<Moment>,
}

impl Reserve<'_> {
    /// Claims what the plan promises on all hosts of the fleet and holds the cluster there, or takes all of it back.
    pub async fn run(&self, fleet: &Fleet) -> Result<(), ClaimError> {
        let short_id = Plan::short_id(self.plan.cluster_id);
        let mut members: Vec<&Member> = fleet.members().iter().collect();
        members.sort_by(|a, b| a.config.name.cmp(&b.config.name));
        let mut answers = Vec::new();
        // The first host alone: of those who claim on the same hosts at once, one gets on, whatever the others do.
        let (first, rest) = members.split_at(members.len().min(1));
        for members in [first, rest] {
            let some: Vec<_> = futures::stream::iter(members)
                .map(|member| self.claim(member, &short_id))
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            answers.extend(some);
            if !answers.iter().all(|(_, answer)| is_held(answer)) {
                break;
            }
        }
        let claimed: Vec<(&Member, bool)> = answers
            .iter()
            .filter_map(|(member, answer)| match answer {
                Ok(Standing::Held { made, .. }) => Some((*member, *made)),
                _ => None,
            })
            .collect();
        let Err(reason) = judge(
            &self.plan.cluster,
            answers
                .iter()
                .map(|(member, answer)| (&member.config.name, answer)),
        ) else {
            return Ok(());
        };
        let mut stuck = Vec::new();
        for (member, made) in claimed {
            let before = self.before(&member.config.name).filter(|_| !made);
            let back = member.host.unclaim(&self.plan.cluster, &short_id, before).await;
            if back.is_err() {
                stuck.push(member.config.name.clone());
            }
        }
        // A host that failed in the middle may have taken the claim.
        let failed = answers.iter().filter(|(_, answer)| answer.is_err());
        for (member, _) in failed.filter(|(member, _)| self.before(&member.config.name).is_none()) {
            let back = member.host.unclaim(&self.plan.cluster, &short_id, None).await;
            if back.is_err() {
                stuck.push(member.config.name.clone());
            }
        }
        if stuck.is_empty() {
            Err(reason)
        } else {
            let (reason, hosts) = (Box::new(reason), stuck);
            Err(ClaimError::Stuck { reason, hosts })
        }
    }

    async fn claim<'m>(
        &self,
        member: &'m Member,
        short_id: &str,
    ) -> (&'m Member, Result<Standing, HostError>) {
        let name = &member.config.name;
        let promise = self.plan.promise(name);
        let before = self.before(name);
        let claim = Claim {
            version: CLAIM_VERSION,
            cluster: self.plan.cluster.clone(),
            id: self.plan.cluster_id,
            controller: crate::host::controller(),
            made: before.map_or_else(Moment::now, |claim| claim.made),
            expires: self.expires,
            subnet: promise.subnet,
            vni: promise.vni,
            nodes: promise.nodes,
            memory: promise.memory,
            vcpus: promise.vcpus,
            disk: promise.disk,
        };
        let token = self.seen(name).map_or("", |seen| seen.token.as_str());
        let request = HoldRequest {
            cluster: &self.plan.cluster,
            short_id,
            verb: "up",
            how: Hold::Alone,
            // A host that is left, or that only had a part in an earlier plan: what it has of us is held, no more.
            claim: (promise.nodes > 0).then_some((&claim, token)),
        };
        (member, member.host.hold(&request).await)
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

/// Writes the claims again that were there before an `up` which was undone; the hosts that had none are left
/// altogether by then.
pub async fn restore(fleet: &Fleet, plan: &Plan, before: &[ObservedHost]) -> Result<(), EngineError> {
    let mut failures = Vec::new();
    for member in fleet.members() {
        let seen = before.iter().find(|seen| seen.name == member.config.name);
        let mut claims = seen.iter().flat_map(|seen| &seen.claims).map(|seen| &seen.claim);
        if let Some(claim) = claims.find(|claim| claim.id == plan.cluster_id)
            && let Err(error) = member.host.rewrite_claim(claim).await
        {
            failures.push(Failure::of_host(member.config.name.clone(), error));
        }
    }
    EngineError::from_failures("failed to write the old claims again", failures)
}

/// A cluster that is held on a host, with its claim there.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The host.
    pub host: HostName,
    /// Short id of the cluster.
    pub short_id: String,
    /// Its claim as it is now.
    pub claim: Option<Claim>,
}

/// Holds a cluster on every host that has anything of it, until the hosts are closed. Says what it claims there.
pub async fn hold(
    fleet: &Fleet,
    observed: &[ObservedHost],
    target: &Target,
    verb: &str,
    how: Hold,
) -> Result<Vec<Claimed>, ClaimError> {
    let mut asked: Vec<(&Member, String)> = Vec::new();
    for member in fleet.members() {
        let seen = observed.iter().find(|seen| seen.name == member.config.name);
        asked.extend(
            seen.map(|seen| target.ids(seen))
                .unwrap_or_default()
                .into_iter()
                .map(|id| (member, id)),
        );
    }
    asked.sort_by(|(a, one), (b, two)| (&a.config.name, one).cmp(&(&b.config.name, two)));
    let mut answers = Vec::new();
    let (first, rest) = asked.split_at(asked.len().min(1));
    for asked in [first, rest] {
        let some: Vec<_> = futures::stream::iter(asked)
            .map(|(member, short_id)| async move {
                let request = HoldRequest {
                    cluster: &target.cluster,
                    short_id,
                    verb,
                    how,
                    claim: None,
                };
                (&member.config.name, short_id, member.host.hold(&request).await)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        answers.extend(some);
        judge(
            &target.cluster,
            answers.iter().map(|(host, _, answer)| (*host, answer)),
        )?;
    }
    Ok(answers
        .into_iter()
        .filter_map(|(host, short_id, answer)| match answer {
            Ok(Standing::Held { claim, .. }) => Some(Claimed {
                host: host.clone(),
                short_id: short_id.clone(),
                claim,
            }),
            _ => None,
        })
        .collect())
}

fn is_held(answer: &Result<Standing, HostError>) -> bool {
    matches!(answer, Ok(Standing::Held { .. } | Standing::Nothing))
}

/// The first reason not to go on: somebody holds the cluster, hosts failed, claims changed.
fn judge<'a>(
    cluster: &ClusterName,
    answers: impl Iterator<Item = (&'a HostName, &'a Result<Standing, HostError>)>,
) -> Result<(), ClaimError> {
    let mut busy: BTreeMap<&str, Vec<&HostName>> = BTreeMap::new();
    let (mut failures, mut changed) = (Vec::new(), None);
    for (host, answer) in answers {
        match answer {
            Ok(Standing::Held { .. } | Standing::Nothing) => {}
            Ok(Standing::Busy { holder }) => busy.entry(holder).or_default().push(host),
            Ok(Standing::Changed { by }) => {
                changed = changed.or_else(|| {
                    Some(ClaimError::Changed {
                        host: host.clone(),
                        by: by.clone(),
                    })
                });
            }
            Err(error) => failures.push(Failure {
                host: Some(host.clone()),
                node: None,
                error: super::failure::explain(error),
                hint: error.hint(),
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
