//! The script that removes the links and the table of one cluster from a host, and nothing else.

use crate::name::ClusterName;

/// The body of the script, for a cluster whose name is in `$cluster` and whose short id is in `$short`; both are
/// trusted to be what those may be. It says `removed KIND NAME` for each thing and `left KIND NAME` for what could
/// not be removed.
pub(crate) const REMOVAL: &str = r#"mark="vcluster:$cluster:$short-" t="vcluster_$short"
# The VXLAN first: as a port it would keep the bridge busy with its going.
for l in "vcx$short" "vcb$short"; do
  [ -e "/sys/class/net/$l" ] || continue
  kind=bridge; case $l in vcx*) kind=vxlan ;; esac
  read -r a <"/sys/class/net/$l/ifalias" || a=
  # Without an alias it is ours only where its making was cut off: of our kind and never up.
  case $a in
    "$mark"*) ;;
    "") case $(ip -d link show dev "$l") in *[\<,]UP[,\>]*) continue ;; *" $kind "*) ;; *) continue ;; esac ;;
    *) continue ;;
  esac
  if ip link del dev "$l" >&2; then echo "removed $kind $l"; else echo "left $kind $l"; fi
done
if command -v nft >/dev/null && nft list table inet "$t" 2>/dev/null | grep -qF "comment \"$mark"; then
  if nft delete table inet "$t" >&2; then echo "removed nft-table $t"; else echo "left nft-table $t"; fi
fi
"#;

/// Removes what carries the mark of the cluster with this name and short id. Both values are safe in a shell word by
/// their types (`short_id` is 8 hex digits; anything else gives an empty script).
pub fn removal_script(cluster: &ClusterName, short_id: &str) -> String {
    if !is_short_id(short_id) {
        return String::new();
    }
    format!("cluster={cluster} short={short_id}\n{REMOVAL}")
}

pub(crate) fn is_short_id(text: &str) -> bool {
    text.len() == 8
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
