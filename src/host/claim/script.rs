//! What runs on the host: takes the lock, writes the claim and says how it stands, on one line.

use super::lock::SILENCE;
use super::{Claim, Hold, HoldRequest, Standing};
use crate::host::error::{Cause, shown};
use crate::host::pool::{self, BASE, Owner, ROOT, controller};
use crate::host::remove::{directory_removal, enter};
use crate::name::ClusterName;
use crate::ssh::quote;
use crate::units::Moment;

pub(super) fn read_answer(request: &HoldRequest<'_>, said: &str) -> Result<Standing, Cause> {
    let mut parts = said.trim_end_matches('\n').split('\t');
    let verb = parts.next().unwrap_or_default();
    let mut next = || parts.next().filter(|text| !text.is_empty());
    Ok(match verb {
        "held" => {
            let directory = pool::directory_name(request.cluster, request.short_id);
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
                pool::directory(request.cluster, request.short_id)
            )));
        }
        "missing" => return Err(Cause::Missing(next().map(shown).unwrap_or_default())),
        "" => return Err(Cause::Nonsense("it ended without an answer".into())),
        other => return Err(Cause::Other(shown(other))),
    })
}

/// Defines `token`: the digest of all claims. Behind it `$root` is our root.
pub(in crate::host) fn token() -> String {
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
pub(super) fn myself(verb: &str) -> String {
    format!(
        "`vcluster {verb}` on {} (pid {})",
        controller(),
        std::process::id()
    )
}

/// The line by which a lock is known.
pub(super) fn holder(verb: &str) -> String {
    format!("{} since {}", myself(verb), Moment::now())
}

/// Says how it stands, and where the cluster is held stays until its input ends. With `again` the lock is held by
/// this very holder and stays as it is.
pub(super) fn hold_script(request: &HoldRequest<'_>, holder: &str, again: bool) -> String {
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
    format!(
        r#"{enter}{token}claim={claim} owner={owner} wanted={wanted} holder={holder} again={again}
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
if [ "$again" ]; then
  # Gone, or gone and made by others: then this lock is one on nothing.
  ours && [ "$(line "$d/lock")" = "$holder " ] || {{ say nothing; exit; }}
fi
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
if [ -z "$again" ]; then
  exec 9>>"$d/lock" || exit
  flock -n {how} 9 || {{ say busy "$(line "$d/lock")"; exit; }}
  # Its holder may have removed it with the cluster while we waited for the host.
  [ "$d/lock" -ef "/proc/$$/fd/9" ] || {{ say changed; exit; }}
  printf '%s\n' "$holder" >"$d/lock"
fi
if [ "$claim" ] && [ -z "$made" ]; then
  printf '%s\n' "$claim" >"$d/claim.json.new" && mv "$d/claim.json.new" "$d/claim.json" ||
    {{ say "cannot write $d/claim.json"; exit; }}
fi
exec 8<&-
say held "$made" "$(line "$d/claim.json")"
[ -z "$again" ] || exit 0
# The lock is ours until the other side ends or falls silent: then the kernel frees it.
while b=$(timeout {silence} head -c 1) && [ "$b" ]; do :; done
"#,
        enter = enter(request.cluster, request.short_id),
        token = token(),
        claim = quote(&claim),
        owner = quote(&owner),
        wanted = quote(token_wanted),
        holder = quote(holder),
        again = if again { "1" } else { "" },
        silence = SILENCE.as_secs(),
    )
}

pub(super) fn rewrite_script(claim: &Claim) -> String {
    let json = serde_json::to_string(claim).unwrap_or_default();
    format!(
        "{}ours && [ -f \"$d/claim.json\" ] && [ ! -L \"$d/claim.json\" ] || {{ echo \"there is no claim\" >&2; exit 1; }}\n\
         set -e; printf '%s\\n' {} >\"$d/claim.json.new\"; mv \"$d/claim.json.new\" \"$d/claim.json\"\n",
        enter(&claim.cluster, &claim.short_id()),
        quote(&json)
    )
}

/// Removes a directory that holds nothing but a claim.
pub(super) fn unclaim_script(cluster: &ClusterName, short_id: &str) -> String {
    format!(
        "{}ours || exit 0\n\
         [ -z \"$(ls -A \"$d\" | grep -vxE 'owner[.]json|claim[.]json|claim[.]json[.]new|lock')\" ] || exit 0\n{}",
        enter(cluster, short_id),
        directory_removal()
    )
}
