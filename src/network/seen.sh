# Prints the links, and the entries and the NAT of a cluster with "$bridge", "$vxlan" and "$table"; `-` means none.
# shellcheck shell=sh disable=SC2154 # set by the caller
need() { for c; do command -v "$c" >/dev/null || { echo "vcluster-missing: $c" >&2; exit 9; }; done; }
need ip
[ "$vxlan" = - ] || need bridge
[ "$table" = - ] || need nft
echo @@links; ip -j -d addr show
echo @@fdb; [ ! -e "/sys/class/net/$vxlan" ] || bridge -j fdb show brport "$vxlan"
echo @@neigh; [ ! -e "/sys/class/net/$bridge" ] || ip -j -4 neigh show dev "$bridge" nud permanent
echo @@table; [ "$table" = - ] || nft list table inet "$table" 2>/dev/null | grep -m1 'comment "' || :
echo @@forward; cat /proc/sys/net/ipv4/ip_forward
echo @@ipv6; cat "/proc/sys/net/ipv6/conf/$bridge/disable_ipv6" 2>/dev/null || echo 1
echo @@filtered; cat /proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null || echo 0
echo @@policy; iptables -S FORWARD 2>/dev/null | grep -m1 '^-P' || :
echo @@end
