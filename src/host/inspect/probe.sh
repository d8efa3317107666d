# Prints what libvirt does not report, in sections that begin with @@NAME. $1 is SSH_CONNECTION; "$base" and "$root" are
# directories, "$kvm" is the result of the KVM check. Uses directory.sh and token.sh.
# shellcheck shell=sh disable=SC2154 # set by the caller
claims() {
  token
  echo @@claims; for c in "$root"/*/claim.json; do
    if [ -f "$c" ] && [ ! -L "$c" ]; then
      d=${c%/claim.json} h=
      if [ -f "$d/lock" ] && [ ! -L "$d/lock" ] && ! flock -n "$d/lock" true; then h=$(head -c 1024 "$d/lock" | tr '\n\t' '  '); fi
      printf '%s\t%s\t' "${d##*/}" "$h"; head -c 4096 "$c" | tr -d '\n'; echo
    fi
  done
}
# A test of a lock briefly holds it, so no command may try to take one meanwhile.
echo @@token
if [ -d "$base" ] && command -v flock >/dev/null; then ( flock -w 5 8; claims ) 8<"$base"; else claims 2>/dev/null; fi
echo @@mem; cat /proc/meminfo
echo @@disk; d=$root; while [ ! -d "$d" ]; do d=${d%/*}; [ "$d" ] || d=/; done; df -Pk "$d"
echo @@ssh; echo "$1"
echo @@links; ip -j -d addr show
echo @@routes; ip -j -4 route show
echo @@tsc; { dmesg 2>/dev/null || journalctl -k -b -o cat 2>/dev/null; } | grep -E 'tsc: (Detected|Refined) .* MHz'
[ -e /sys/devices/system/cpu/cpu0/cpufreq ] || grep -m1 'cpu MHz' /proc/cpuinfo
echo @@dirs; for d in "$root"/*; do
  o="$d/owner.json"
  if half; then printf '%s\thalf\n' "${d##*/}"
  elif [ -f "$o" ] && [ ! -L "$o" ]; then printf '%s\t' "${d##*/}"; head -c 4096 "$o" | tr -d '\n'; echo; fi
done
echo @@tables; if command -v nft >/dev/null; then
  for t in $(nft list tables | sed -n 's/^table inet \(vcluster_[0-9a-f_]*\)$/\1/p'); do
    printf '%s\t' "$t"; nft list table inet "$t" | grep -m1 'comment "' || echo
  done
fi
echo @@boot; cat /proc/sys/kernel/random/boot_id
echo @@kvm; [ -c /dev/kvm ] && echo yes
echo @@kvmknown; cat "$kvm" 2>/dev/null
echo; echo @@end
