//! The scripts on the host: take the lock, write the claim, and print the result on one line.

use super::request::{LOCK_TIMEOUT, LockMode, LockRequest, LockState};
use crate::base::shell::with_variables;
use crate::base::units::Moment;
use crate::host::error::{Cause, shown};
use crate::host::layout::{Owner, controller, directory, enter, token};
use crate::inventory::{Claim, ClusterRef};

pub(super) fn read_answer(request: &LockRequest<'_>, answer: &str) -> Result<LockState, Cause> {
    let mut parts = answer.trim_end_matches('\n').split('\t');
    let verb = parts.next().unwrap_or_default();
    let mut next = || parts.next().filter(|text| !text.is_empty());
    Ok(match verb {
        "held" => {
            let directory = request.cluster.directory_name();
            LockState::Held {
                made: next() == Some("made"),
                claim: next().and_then(|json| Claim::read(&directory, json)),
            }
        }
        "nothing" => LockState::Nothing,
        "busy" => LockState::Busy {
            holder: next().map_or_else(|| "another command".to_owned(), shown),
        },
        "changed" => LockState::Changed {
            by: next().map(|directory| {
                let cluster = shown(directory.rsplit_once('.').map_or(directory, |(name, _)| name));
                next().map_or_else(
                    || format!("cluster `{cluster}`"),
                    |holder| format!("cluster `{cluster}`, held by {}", shown(holder)),
                )
            }),
        },
        "foreign" => {
            return Err(Cause::Foreign(format!(
                "{} exists and does not belong to this cluster",
                directory(request.cluster)
            )));
        }
        "missing" => return Err(Cause::Missing(next().map(shown).unwrap_or_default())),
        "" => return Err(Cause::Nonsense("the script ended without a result".into())),
        other => return Err(Cause::Other(shown(other))),
    })
}

/// This command, as shown to the users of other commands.
pub(super) fn myself(verb: &str) -> String {
    format!(
        "`vcluster {verb}` on {} (pid {})",
        controller(),
        std::process::id()
    )
}

/// The line that identifies a lock.
pub(super) fn holder(verb: &str) -> String {
    format!("{} since {}", myself(verb), Moment::now())
}

/// Prints the result, and if it locked the cluster, keeps the lock until its input ends. With `again`, this same holder
/// already has the lock and keeps it.
pub(super) fn hold_script(request: &LockRequest<'_>, holder: &str, again: bool) -> String {
    let (claim, owner, token_wanted) = match request.claim {
        Some((claim, token)) => {
            let owner = Owner {
                cluster: claim.cluster.clone(),
                id: claim.id,
                controller: claim.controller.clone(),
            };
            let json = |text: serde_json::Result<String>| text.unwrap_or_default();
            (
                json(serde_json::to_string(claim)),
                json(serde_json::to_string(&owner)),
                token,
            )
        }
        None => (String::new(), String::new(), ""),
    };
    let how = match request.how {
        LockMode::Exclusive => "-x",
        LockMode::Shared => "-s",
    };
    let silence = LOCK_TIMEOUT.as_secs().to_string();
    let variables = [
        ("claim", claim.as_str()),
        ("owner", owner.as_str()),
        ("wanted", token_wanted),
        ("holder", holder),
        ("again", if again { "1" } else { "" }),
        ("how", how),
        ("silence", silence.as_str()),
    ];
    enter(request.cluster) + &token() + &with_variables(&variables, include_str!("hold.sh"))
}

/// Ends the process that keeps a lock after its connection was lost, which the host may not notice for a while.
pub(super) fn free_script(cluster: &ClusterRef, holder: &str) -> String {
    enter(cluster) + &with_variables(&[("holder", holder)], include_str!("free.sh"))
}

pub(super) fn rewrite_script(claim: &Claim) -> String {
    let json = serde_json::to_string(claim).unwrap_or_default();
    enter(&claim.cluster_ref()) + &with_variables(&[("claim", json.as_str())], include_str!("rewrite.sh"))
}

/// Removes a directory that holds nothing but a claim.
pub(super) fn unclaim_script(cluster: &ClusterRef) -> String {
    enter(cluster) + include_str!("unclaim.sh")
}
