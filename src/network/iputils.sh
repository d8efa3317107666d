# Ends where `ping` is not that of iputils. Others, such as that of busybox, have no `-M`: every packet would seem to be
# too large.
# shellcheck shell=sh
command -v ping >/dev/null || { echo "vcluster-missing: ping" >&2; exit 9; }
case $(ping -V 2>&1) in *iputils*) ;; *) echo "vcluster-missing: ping of iputils" >&2; exit 9 ;; esac
