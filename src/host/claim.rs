//! What a cluster is promised on a host, and who works on it: the file `claim.json` beside `owner.json`, and a lock
//! that lives exactly as long as its holder's connection. Chooses nothing: what is claimed comes from the plan.
//!
//! Whoever claims does so under a lock on the whole host, held for a moment, and only if the claims there are still
//! those that he planned with. So two controllers may plan at once, and one of them plans again.

use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::connect::{ConnectOptions, Host};
use super::error::{Cause, HostError, Leftovers, shown};
use super::link::HostLink;
use super::pool::{BASE, Owner, ROOT, controller};
use super::remove::enter;
use crate::name::{ClusterName, HostName};
use crate::network::is_short_id;
use crate::plan::Plan;
use crate::ssh::{Session, quote};
use crate::units::{MiB, Moment};

/// Version of the claim's JSON form.
pub const CLAIM_VERSION: u32 = 1;
/// How often the holder of a lock says that he is alive.
const BEAT: Duration = Duration::from_secs(20);
/// After so long without a word the lock is free: the controller's machine or network died without a farewell.
const SILENCE: Duration = Duration::from_mins(2);
/// The most of a claim or of a holder's name that is read.
const LIMIT: usize = 4096;

/// What a cluster is promised on one host, and until when. The order of the fields is part of the file's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// [`CLAIM_VERSION`].
    pub version: u32,
    /// The cluster.
    pub cluster: ClusterName,
    /// Its id.
    pub id: Uuid,
    /// The machine that it was raised from, for people.
    pub controller: String,
    /// When it was first claimed.
    pub made: Moment,
    /// End of the lease; `None` is never.
    pub expires: Option<Moment>,
    /// Its subnet; `None` where it joins an existing bridge.
    pub subnet: Option<Ipv4Net>,
    /// Its VXLAN identifier.
    pub vni: Option<u32>,
    /// Nodes on this host.
    pub nodes: u32,
    /// Their memory.
    pub memory: MiB,
    /// Their vCPUs.
    pub vcpus: u32,
    /// Their disk.
    pub disk: MiB,
}

impl Claim {
    /// Whether the lease has ended.
    pub fn expired(&self, now: Moment) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// Short id of the cluster.
    pub fn short_id(&self) -> String {
        Plan::short_id(self.id)
    }

    /// Reads what is in a directory of this name; `None` if that is not a claim of ours.
    pub(super) fn read(directory: &str, json: &str) -> Option<Self> {
        let claim: Self = serde_json::from_str(json).ok().filter(|_| json.len() <= LIMIT)?;
        (directory == super::pool::directory_name(&claim.cluster, &claim.short_id())).then_some(claim)
    }
}

/// A claim that was seen on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedClaim {
    /// The claim.
    pub claim: Claim,
    /// Who works on the cluster right now, in his own words.
    pub holder: Option<String>,
}

/// How a cluster is held on a host while a command works on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// By one command that changes it.
    Alone,
    /// By commands that need it to stay.
    Shared,
}

/// What is asked of a host.
#[derive(Clone, Debug)]
pub struct HoldRequest<'a> {
    /// The cluster.
    pub cluster: &'a ClusterName,
    /// Its short id.
    pub short_id: &'a str,
    /// The verb that works on it.
    pub verb: &'a str,
    /// How it is held.
    pub how: Hold,
    /// A claim to make or to rewrite, and the host's [token](super::ObservedHost::token) that it was planned with.
    pub claim: Option<(&'a Claim, &'a str)>,
}

/// What a host answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The cluster is held.
    Held {
        /// Whether its directory was made for that.
        made: bool,
        /// Its claim as it is now.
        claim: Option<Claim>,
    },
    /// There is nothing of it to hold.
    Nothing,
    /// Somebody else holds it.
    Busy {
        /// Who, and since when, in his own words.
        holder: String,
    },
    /// The claims on the host are not those that were planned with.
    Changed {
        /// Who claimed last, for people.
        by: Option<String>,
    },
}

/// A lock on a host: free again when this is dropped, or when this process ends, however it ends.
#[derive(Debug)]
pub struct Held {
    short_id: String,
    pieces: mpsc::Receiver<Vec<u8>>,
    stop: DropGuard,
}

impl Held {
    /// Frees the lock and waits until it is free.
    pub async fn release(mut self) {
        drop(self.stop);
        let end = async { while self.pieces.recv().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(5), end).await;
    }
}

impl Host {
    /// Holds a cluster until this host is closed, claiming for it where that is asked for.
    pub async fn hold(&self, request: &HoldRequest<'_>) -> Result<Standing, HostError> {
        let doing = format!("hold `{}`", request.cluster);
        let allowed = self.inner.options.call_timeout;
        let mut holds = self.inner.holds.lock().await;
        // A further claim of the same command: whoever comes between changes what was planned with, and that shows.
        for held in holds.extract_if(.., |held| held.short_id == request.short_id) {
            held.release().await;
        }
        let began = std::time::Instant::now();
        let (standing, held) = loop {
            let answer = take(&self.inner.link, request, allowed).await;
            match answer {
                // A connection of this very command that was lost: once it is silent for long enough, it is free.
                Ok((Standing::Busy { holder }, _))
                    if holder.starts_with(&myself(request.verb)) && began.elapsed() < SILENCE + BEAT =>
                {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                answer => break answer.map_err(self.failed(doing))?,
            }
        };
        holds.extend(held);
        Ok(standing)
    }

    /// Takes a claim back that was just made: with `before` the old one is written again, without it the directory
    /// goes if nothing else is in it. Only for who holds the cluster here.
    pub async fn unclaim(
        &self,
        cluster: &ClusterName,
        short_id: &str,
        before: Option<&Claim>,
    ) -> Result<(), HostError> {
        let doing = format!("take back the claim of `{cluster}`");
        let script = match before {
            Some(claim) => rewrite_script(claim),
            None => unclaim_script(cluster, short_id),
        };
        self.script(&script).await.map_err(self.failed(doing))?;
        Ok(())
    }

    /// Writes a claim anew where there is one. Only for who holds the cluster here.
    pub async fn rewrite_claim(&self, claim: &Claim) -> Result<(), HostError> {
        let doing = format!("write the claim of `{}`", claim.cluster);
        self.script(&rewrite_script(claim))
            .await
            .map_err(self.failed(doing))?;
        Ok(())
    }

    /// The claim of a cluster, if the host has one.
    pub async fn claim_of(&self, cluster: &ClusterName, short_id: &str) -> Result<Option<Claim>, HostError> {
        let directory = super::pool::directory(cluster, short_id);
        let said = self
            .script(&format!(
                "head -c {LIMIT} {directory}/claim.json 2>/dev/null || :"
            ))
            .await
            .map_err(self.failed(format!("read the claim of `{cluster}`")))?;
        Ok(Claim::read(
            &super::pool::directory_name(cluster, short_id),
            said.trim(),
        ))
    }
}

/// As [`Host::hold`] over a session alone, or on this machine: for verbs that do not need libvirt.
pub async fn hold_by_session(
    host: &HostName,
    session: Option<Arc<Session>>,
    options: &ConnectOptions,
    request: &HoldRequest<'_>,
) -> Result<(Standing, Option<Held>), HostError> {
    let link = session.map_or_else(HostLink::local, HostLink::ssh);
    take(&link, request, options.call_timeout)
        .await
        .map_err(|cause| HostError {
            host: host.clone(),
            doing: format!("hold `{}`", request.cluster),
            cause,
            leaves: Leftovers::Nothing,
        })
}

async fn take(
    link: &HostLink,
    request: &HoldRequest<'_>,
    allowed: Duration,
) -> Result<(Standing, Option<Held>), Cause> {
    if !is_short_id(request.short_id) {
        return Err(Cause::Other(format!(
            "`{}` is not the short id of a cluster",
            request.short_id.escape_debug()
        )));
    }
    attend(link, request, &hold_script(request), allowed).await
}

async fn attend(
    link: &HostLink,
    request: &HoldRequest<'_>,
    script: &str,
    allowed: Duration,
) -> Result<(Standing, Option<Held>), Cause> {
    let (input, mut pieces) = link.attend(script, allowed).await?;
    let first = async {
        let mut said = Vec::new();
        while !said.contains(&b'\n') && said.len() < 2 * LIMIT {
            match pieces.recv().await {
                Some(piece) => said.extend(piece),
                None => break,
            }
        }
        said
    };
    let said = tokio::time::timeout(allowed, first)
        .await
        .map_err(|_| Cause::Timeout(allowed))?;
    let standing = read_answer(request, &String::from_utf8_lossy(&said))?;
    if !matches!(standing, Standing::Held { .. }) {
        return Ok((standing, None));
    }
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stopped.cancelled() => break,
                () = tokio::time::sleep(BEAT) => {}
            }
            if input.send(b".".to_vec()).await.is_err() {
                break;
            }
        }
    });
    let stop = stop.drop_guard();
    let short_id = request.short_id.to_owned();
    let held = Held {
        short_id,
        pieces,
        stop,
    };
    Ok((standing, Some(held)))
}

fn read_answer(request: &HoldRequest<'_>, said: &str) -> Result<Standing, Cause> {
    let mut parts = said.trim_end_matches('\n').split('\t');
    let verb = parts.next().unwrap_or_default();
    let mut next = || parts.next().filter(|text| !text.is_empty());
    Ok(match verb {
        "held" => {
            let directory = super::pool::directory_name(request.cluster, request.short_id);
            Standing::Held {
                made: next() == Some("made"),
                claim: next().and_then(|json| Claim::read(&directory, json)),
            }
        }
        "nothing" => Standing::Nothing,
        "busy" => Standing::Busy {
            holder: next().map_or_else(|| "another command".to_owned(), shown),
        },
        "changed" => Standing::Changed {
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
                "{} exists and is not this cluster's",
                super::pool::directory(request.cluster, request.short_id)
            )));
        }
        "missing" => return Err(Cause::Missing(next().map(shown).unwrap_or_default())),
        "" => return Err(Cause::Nonsense("it ended without an answer".into())),
        other => return Err(Cause::Other(shown(other))),
    })
}

/// Defines `token`: the digest of all claims. Behind it `$root` is our root.
pub(super) fn token() -> String {
    format!(
        r#"root={ROOT}
token() {{
  for c in "$root"/*/claim.json; do
    if [ -f "$c" ] && [ ! -L "$c" ]; then printf '%s\n' "$c"; cat "$c"; fi
  done | sha256sum | cut -c1-64
}}
"#
    )
}

/// Who works here, as others are told.
fn myself(verb: &str) -> String {
    format!(
        "`vcluster {verb}` on {} (pid {})",
        controller(),
        std::process::id()
    )
}

/// Says on one line how it stands, and where the cluster is held stays until its input ends.
fn hold_script(request: &HoldRequest<'_>) -> String {
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
        Hold::Alone => "-x",
        Hold::Shared => "-s",
    };
    let holder = format!("{} since {}", myself(request.verb), Moment::now());
    format!(
        r#"{enter}{token}claim={claim} owner={owner} wanted={wanted} holder={holder}
say() {{ printf '%s\t%s\t%s\n' "$1" "$2" "$3"; }}
line() {{ head -c 1024 "$1" 2>/dev/null | tr '\n\t' '  '; }}
last() {{
  c=$(ls -t "$root"/*/claim.json 2>/dev/null | grep -vxF "$d/claim.json" | head -n 1); c=${{c%/claim.json}}
  [ -z "$c" ] || printf '%s\t%s' "${{c##*/}}" "$(line "$c/lock")"
}}
command -v flock >/dev/null || {{ say missing flock; exit; }}
mkdir -p {BASE} && exec 8<{BASE} && flock -w 20 8 || {{ say "another command keeps {BASE} locked"; exit; }}
if [ "$wanted" ] && [ "$(token)" != "$wanted" ]; then say changed "$(last)"; exit; fi
made=
if ! ours; then
  [ "$claim" ] || {{ say nothing; exit; }}
  if half; then rm -f "$d/owner.json" "$d/owner.json.new"; rmdir "$d"; fi
  if [ -e "$d" ] || [ -L "$d" ]; then say foreign; exit; fi
  # Whole or not at all, and on disk before it has its name; what a crash leaves here is nobody's.
  mkdir -p "$root" && chmod 0711 "$root" && n=$(mktemp -d "$root/.new.XXXXXX") && chmod 0711 "$n" &&
    printf '%s\n' "$owner" >"$n/owner.json" && printf '%s\n' "$claim" >"$n/claim.json" && : >"$n/lock" &&
    sync "$n/owner.json" "$n/claim.json" && mv "$n" "$d" || {{ rm -rf "$n"; say "cannot write below $root"; exit; }}
  made=made
fi
[ ! -L "$d/lock" ] && [ ! -L "$d/claim.json" ] || {{ say foreign; exit; }}
exec 9>>"$d/lock" || exit
flock -n {how} 9 || {{ say busy "$(line "$d/lock")"; exit; }}
# Its holder may have removed it with the cluster while we waited for the host.
[ "$d/lock" -ef "/proc/$$/fd/9" ] || {{ say changed; exit; }}
printf '%s\n' "$holder" >"$d/lock"
if [ "$claim" ] && [ -z "$made" ]; then
  printf '%s\n' "$claim" >"$d/claim.json.new" && mv "$d/claim.json.new" "$d/claim.json" ||
    {{ say "cannot write $d/claim.json"; exit; }}
fi
exec 8<&-
say held "$made" "$(line "$d/claim.json")"
# The lock is ours until the other side ends or falls silent: then the kernel frees it.
while b=$(timeout {silence} head -c 1) && [ "$b" ]; do :; done
"#,
        enter = enter(request.cluster, request.short_id),
        token = token(),
        claim = quote(&claim),
        owner = quote(&owner),
        wanted = quote(token_wanted),
        holder = quote(&holder),
        silence = SILENCE.as_secs(),
    )
}

fn rewrite_script(claim: &Claim) -> String {
    let json = serde_json::to_string(claim).unwrap_or_default();
    format!(
        "{}ours && [ -f \"$d/claim.json\" ] && [ ! -L \"$d/claim.json\" ] || {{ echo \"there is no claim\" >&2; exit 1; }}\n\
         set -e; printf '%s\\n' {} >\"$d/claim.json.new\"; mv \"$d/claim.json.new\" \"$d/claim.json\"\n",
        enter(&claim.cluster, &claim.short_id()),
        quote(&json)
    )
}

/// Removes a directory that holds nothing but a claim.
fn unclaim_script(cluster: &ClusterName, short_id: &str) -> String {
    format!(
        "{}ours || exit 0\n\
         [ -z \"$(ls -A \"$d\" | grep -vxE 'owner[.]json|claim[.]json|claim[.]json[.]new|lock')\" ] || exit 0\n{}",
        enter(cluster, short_id),
        super::remove::directory_removal()
    )
}

#[cfg(test)]
mod tests;
