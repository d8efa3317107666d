# shellcheck shell=bash
# Kernel same-page merging for the guests of all labs on this machine. The first lab that comes up
# records the values that were there, the last one that goes puts them back.

KSM=/sys/kernel/mm/ksm
KSM_BEFORE=$LAB_RUN_ROOT/.ksm-before
# 1000 pages every 20 ms is 200 MB/s at the most: 150 guests are merged while they come up.
KSM_PAGES=${VCLUSTER_LAB_KSM_PAGES:-1000}

ksm_on() {
  [ -w $KSM/run ] || return 0
  [ -f "$KSM_BEFORE" ] || printf '%s %s\n' "$(<$KSM/run)" "$(<$KSM/pages_to_scan)" >"$KSM_BEFORE"
  echo "$KSM_PAGES" >$KSM/pages_to_scan
  echo 1 >$KSM/run
}

ksm_restore() {
  local run pages
  [ -f "$KSM_BEFORE" ] || return 0
  read -r run pages <"$KSM_BEFORE"
  echo "$pages" >$KSM/pages_to_scan
  echo "$run" >$KSM/run
  rm -f "$KSM_BEFORE"
}
