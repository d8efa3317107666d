# Defines `remove_link` and `remove_table`, which remove the one with the name $1, and `remove_network`, which removes all
# links and tables of the cluster "$cluster" with the short id "$short". What does not carry its mark stays.
# They print `removed KIND NAME` for each object, `left KIND NAME` for each one that could not be removed,
# and `unplugged NAME from BRIDGE` for each interface of others.
# shellcheck shell=sh disable=SC2154 # set by the caller
remove_link() {
  [ -e "/sys/class/net/$1" ] || return 0
  kind=bridge; case $1 in vcx*) kind=vxlan ;; esac
  read -r a <"/sys/class/net/$1/ifalias" || a=
  # Without an alias it is ours only if its creation was interrupted: of our kind and never up.
  case $a in
    "vcluster:$cluster:$short-"*) ;;
    "") case $(ip -d link show dev "$1") in *[\<,]UP[,\>]*) return 0 ;; *" $kind "*) ;; *) return 0 ;; esac ;;
    *) return 0 ;;
  esac
  # Interfaces that others connected, such as those of copied domains, stay without a bridge.
  for port in "/sys/class/net/$1/brif"/*; do
    case ${port##*/} in '*' | vcx*) ;; *) echo "unplugged ${port##*/} from $1" ;; esac
  done
  if ip link del dev "$1" >&2; then echo "removed $kind $1"; else echo "left $kind $1"; fi
}
remove_table() {
  nft list table inet "$1" 2>/dev/null | grep -qF "comment \"vcluster:$cluster:$short-" || return 0
  if nft delete table inet "$1" >&2; then echo "removed nft-table $1"; else echo "left nft-table $1"; fi
}
remove_network() {
  # The VXLANs first: they are ports of the bridges. Further networks have four more hex digits.
  for k in vcx vcb; do
    for l in "/sys/class/net/$k$short" "/sys/class/net/$k$short"[0-9a-f][0-9a-f][0-9a-f][0-9a-f]; do
      remove_link "${l##*/}"
    done
  done
  command -v nft >/dev/null || return 0
  for t in $(nft list tables 2>/dev/null | sed -n "s/^table inet \(vcluster_${short}[0-9a-f_]*\)\$/\1/p"); do
    remove_table "$t"
  done
}
