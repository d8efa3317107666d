# Follows `iputils.sh`. Defines `probe`, which pings the address $1 with "$size" bytes that may not be fragmented, then with few bytes.
# It prints `ok`, `large` (only the small packet arrives) or `silent`, and the address.
# shellcheck shell=sh disable=SC2154 # set by the caller
probe() {
  # The first packet may be lost while the peer's Ethernet address is being resolved.
  if ping -n -q -M "do" -c 1 -W 2 -s "$size" "$1" >/dev/null 2>&1 ||
    ping -n -q -M "do" -c 3 -i 0.3 -W 2 -s "$size" "$1" >/dev/null 2>&1; then
    echo "ok $1"
  elif ping -n -q -c 1 -W 2 "$1" >/dev/null 2>&1; then
    echo "large $1"
  else
    echo "silent $1"
  fi
}
