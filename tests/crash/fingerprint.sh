# shellcheck shell=bash disable=SC2012
# The objects of a cluster on a host: the same for two clusters of the same topology. Images outlive clusters.
root=/var/lib/libvirt/images/vcluster
id=$(ls -d $root/*.???????? 2>/dev/null | head -n 1)
id=${id##*.}
{
  virsh -q list --all | awk '{ print "domain", $2, $3, $4 }' | sort
  virsh -q pool-list --all | awk '$1 != "vcluster-images" { print "pool", $1, $2 }' | sort
  # By name: the order of creation differs.
  for l in $(ip -o link | grep -oE 'vc[bx][0-9a-f]{8}([0-9a-f]{4})?' | sort -u); do
    echo "link $l"
    ip -o -d link show dev "$l" | grep -oE 'alias vcluster:[^ ]*|mtu [0-9]+ .* state [A-Z]+'
    ip -o -4 addr show dev "$l" | awk '{ print "address", $4 }'
  done
  for l in $(ip -o link | grep -oE 'vcx[0-9a-f]{8}([0-9a-f]{4})?' | sort -u); do
    ip -d link show "$l" | grep -oE 'vxlan id [0-9]+ .*|neigh_suppress [a-z]+' | sed -E 's/id [0-9]+/id N/; s/ (ageing|addrgenmode|numtxqueues).*//'
    # Without the device's own address, which is random, and without IPv6 multicast.
    bridge fdb show brport "$l" | grep -vE 'master .*permanent|^(33:33|01:00)' | sort
  done
  for l in $(ip -o link | grep -oE 'vcb[0-9a-f]{8}([0-9a-f]{4})?' | sort -u); do ip -4 neigh show dev "$l" nud permanent | sort; done
  nft list tables | sort | while read -r _ family table; do nft list table "$family" "$table"; done
  find $root -mindepth 1 ! -path "$root/images*" -printf '%P %y %m\n' 2>/dev/null | sort
} 2>&1 | sed -E "s/${id:-none}-[0-9a-f-]{27}/UUID/g; s/${id:-none}/ID/g"
