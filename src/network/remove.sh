# Defines `remove_network`, which removes the links and the table of the cluster "$cluster" with the short id "$short".
# It prints `removed KIND NAME` for each object, and `left KIND NAME` for each one that could not be removed.
# shellcheck shell=sh disable=SC2154 # set by the caller
remove_network() {
  mark="vcluster:$cluster:$short-" t="vcluster_$short"
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
}
