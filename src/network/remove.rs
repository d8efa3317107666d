//! The script that removes the links and the table of one cluster from a host, and nothing else.

use crate::inventory::ClusterRef;

/// The body of the script, for a cluster with the name `$cluster` and the short id `$short`, both validated before.
/// It prints `removed KIND NAME` for each object and `left KIND NAME` for each one that could not be removed.
pub(crate) const REMOVAL: &str = r#"mark="vcluster:$cluster:$short-" t="vcluster_$short"
# The VXLAN first: it is a port of the bridge.
for l in "vcx$short" "vcb$short"; do
  [ -e "/sys/class/net/$l" ] || continue
  kind=bridge; case $l in vcx*) kind=vxlan ;; esac
  read -r a <"/sys/class/net/$l/ifalias" || a=
  # Without an alias it is ours only if its creation was interrupted: of our kind and never up.
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

/// Removes what carries the mark of the cluster with this name and short id. Both values are safe in a shell word:
/// the name by its type; a `short_id` that is not 8 hex digits gives an empty script.
pub fn removal_script(cluster: &ClusterRef) -> String {
    format!("cluster={} short={}\n{REMOVAL}", cluster.name, cluster.short_id)
}
