# shellcheck shell=bash
# Kernel settings that all namespaces share, and so all labs on this machine. The first lab records the previous
# values, the last one restores them.

TUNED=$LAB_RUN_ROOT/.tuned
# 1000 pages every 20 ms is at most 200 MB/s: 150 guests are merged while they boot.
KSM_PAGES=${VCLUSTER_LAB_KSM_PAGES:-1000}
# Size of the neighbour table, of which each real host has its own: 200 hosts with 10 nodes each, every host with 16
# peers, and room to spare.
ARP_ENTRIES=16384

tune() { # FILE VALUE
  [ -w "$1" ] || return 0
  grep -qsF "$1 " "$TUNED" || printf '%s %s\n' "$1" "$(<"$1")" >>"$TUNED"
  echo "$2" >"$1"
}

tune_kernel() {
  local arp=/proc/sys/net/ipv4/neigh/default
  # Same-page merging (KSM), for the memory of the guests.
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
