# shellcheck shell=bash
# What the kernel keeps once for all namespaces, so that the hosts of all labs on this machine share it. The first lab
# that comes up records the values that were there, the last one that goes puts them back.

TUNED=$LAB_RUN_ROOT/.tuned
# 1000 pages every 20 ms is 200 MB/s at the most: 150 guests are merged while they come up.
KSM_PAGES=${VCLUSTER_LAB_KSM_PAGES:-1000}
# The table of Ethernet addresses: each real host has one for itself. 200 hosts with 10 nodes each, of which every
# one knows 16 other hosts, and room to spare.
ARP_ENTRIES=16384

tune() { # FILE VALUE
  [ -w "$1" ] || return 0
  grep -qsF "$1 " "$TUNED" || printf '%s %s\n' "$1" "$(<"$1")" >>"$TUNED"
  echo "$2" >"$1"
}

tune_kernel() {
  local arp=/proc/sys/net/ipv4/neigh/default
  # Same-page merging, for the memory of the guests.
  tune /sys/kernel/mm/ksm/pages_to_scan "$KSM_PAGES"
  tune /sys/kernel/mm/ksm/run 1
  if [ -r $arp/gc_thresh3 ] && [ "$(<$arp/gc_thresh3)" -lt $ARP_ENTRIES ]; then
    tune $arp/gc_thresh3 $ARP_ENTRIES
    tune $arp/gc_thresh2 $((ARP_ENTRIES / 2))
  fi
}

restore_kernel() {
  local file value
  [ -f "$TUNED" ] || return 0
  while read -r file value; do echo "$value" >"$file"; done <"$TUNED"
  rm -f "$TUNED"
}
