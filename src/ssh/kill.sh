# Ends all processes with VCLUSTER_EXEC="$token" in their environment: TERM, then KILL after a second.
# shellcheck shell=sh disable=SC2154 # set by the caller
marked() { grep -ls "VCLUSTER_EXEC=$token" /proc/[0-9]*/environ; }
signal() { for f in $(marked); do f=${f%/environ}; kill "-$1" "${f#/proc/}"; done; } 2>/dev/null
signal TERM
for _ in 1 2 3 4 5; do [ -n "$(marked)" ] || exit 0; sleep 0.2; done
signal KILL
