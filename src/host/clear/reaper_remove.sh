# Stops the timer of the reaper, and removes its units from "$units" and "$script".
# shellcheck shell=sh disable=SC2154 # set by the caller
set -e
[ ! -e "$units/vcluster-reaper.timer" ] || [ ! -d /run/systemd/system ] || systemctl disable --now vcluster-reaper.timer >&2
rm -f "$units/vcluster-reaper.service" "$units/vcluster-reaper.timer" "$script"
[ ! -d /run/systemd/system ] || systemctl daemon-reload >&2
