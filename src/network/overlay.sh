# Follows `iputils.sh`. Defines `probe`, which pings the address $1 through the bridge "$bridge" with "$size" bytes that may not be fragmented,
# several times: the first packets may be lost right after links came up. If none is answered, it sends few bytes.
# It prints `ok`, `large` (only the small packet arrives) or `silent`, and the address.
# shellcheck shell=sh disable=SC2154 # set by the caller
probe() {
  for patience in 1 1 2 2; do
    if ping -n -q -I "$bridge" -M "do" -c 1 -W "$patience" -s "$size" "$1" >/dev/null 2>&1; then echo "ok $1"; return; fi
  done
  if ping -n -q -I "$bridge" -c 1 -W 2 "$1" >/dev/null 2>&1; then echo "large $1"; else echo "silent $1"; fi
}
