# Prints "$entered", which shows that it runs as root. Then waits for the end of cloud-init and prints its
# status, with the last warnings of "$log" after "$prefix", and what is missing of what vcluster asked for after "$lacks":
# the name "$name", and the entry of "$name" in "$hosts". Prints no status if the files in "$run" and the log show no
# problem. Exits with the code of `cloud-init status`.
# shellcheck shell=sh disable=SC2154 # set by the caller
echo "$entered"
command -v cloud-init >/dev/null || exit 0
tries=0
while [ ! -s "$run/result.json" ] && [ ! -e "$run/disabled" ] && [ $tries -lt 240 ]; do
  sleep 0.5; tries=$((tries + 1))
done
noted() { grep -aE '\[(WARNING|ERROR|CRITICAL|DEPRECATED)\]: ' "$log" 2>/dev/null; }
if grep -q '"errors": \[\]' "$run/result.json" 2>/dev/null && [ -s "$log" ] && ! noted >/dev/null; then
  exit 0
fi
cloud-init status --wait --long
code=$?
noted | tail -n 3 | sed "s/^/$prefix/"
[ "$(cat /proc/sys/kernel/hostname)" = "$name" ] || echo "${lacks}the host name"
grep -qE "[[:space:]]$name([[:space:]]|\$)" "$hosts" || echo "${lacks}/etc/hosts"
exit $code
