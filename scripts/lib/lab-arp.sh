# shellcheck shell=bash
# Room in the table of Ethernet addresses: the kernel keeps one for all namespaces, so all simulated hosts of all labs
# share what each real host has for itself. The first lab records the values that were there, the last one restores them.

ARP=/proc/sys/net/ipv4/neigh/default
ARP_BEFORE=$LAB_RUN_ROOT/.arp-before
# 200 hosts with 10 nodes each, of which every one knows 16 other hosts, and room to spare.
ARP_ENTRIES=16384

arp_on() {
  local soft hard
  [ -w $ARP/gc_thresh3 ] || return 0
  read -r soft <$ARP/gc_thresh2
  read -r hard <$ARP/gc_thresh3
  [ "$hard" -lt $ARP_ENTRIES ] || return 0
  [ -f "$ARP_BEFORE" ] || printf '%s %s\n' "$soft" "$hard" >"$ARP_BEFORE"
  echo $ARP_ENTRIES >$ARP/gc_thresh3
  echo $((ARP_ENTRIES / 2)) >$ARP/gc_thresh2
}

arp_restore() {
  local soft hard
  [ -f "$ARP_BEFORE" ] || return 0
  read -r soft hard <"$ARP_BEFORE"
  echo "$soft" >$ARP/gc_thresh2
  echo "$hard" >$ARP/gc_thresh3
  rm -f "$ARP_BEFORE"
}
