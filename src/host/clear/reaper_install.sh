# Writes the reaper "$reaper" to "$script", and with systemd "$service" and "$timer" to "$units"; starts the timer.
# shellcheck shell=sh disable=SC2154 # set by the caller
set -e
for c in virsh flock; do command -v "$c" >/dev/null || { echo "vcluster-missing: $c" >&2; exit 9; }; done
put() { printf '%s' "$2" >"$1.new"; chmod "$3" "$1.new"; mv "$1.new" "$1"; }
put "$script" "$reaper" 0755
if [ -d /run/systemd/system ]; then
  put "$units/vcluster-reaper.service" "$service" 0644
  put "$units/vcluster-reaper.timer" "$timer" 0644
  systemctl daemon-reload >&2
  systemctl enable vcluster-reaper.timer >&2
  systemctl restart vcluster-reaper.timer >&2
fi
