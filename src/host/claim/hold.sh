# Locks the directory "$d" as "$holder" ("$how": -x or -s), and writes "$owner" and "$claim" if the token is still
# "$wanted". Prints the result on one line, then keeps the lock until its input ends or is silent for "$silence"
# seconds; with "$again", this holder already has the lock. Uses "$base", "$root", directory.sh and token.sh.
# shellcheck shell=sh disable=SC2154 # set by the caller
say() { printf '%s\t%s\t%s\n' "$1" "$2" "$3"; }
line() { head -c 4096 "$1" 2>/dev/null | tr '\n\t' '  '; }
last() {
  # shellcheck disable=SC2010 # sorted by time; the names are plain
  c=$(ls -t "$root"/*/claim.json 2>/dev/null | grep -vxF "$d/claim.json" | head -n 1); c=${c%/claim.json}
  [ -z "$c" ] || printf '%s\t%s' "${c##*/}" "$(line "$c/lock")"
}
command -v flock >/dev/null || { say missing flock; exit; }
if ! { mkdir -p "$base" && exec 8<"$base" && flock -w 20 8; }; then
  say "another command keeps $base locked"; exit
fi
if [ "$wanted" ] && [ "$(token)" != "$wanted" ]; then say changed "$(last)"; exit; fi
made=
if [ "$again" ]; then
  # If it is gone, or others created it again, this lock no longer protects anything.
  if ! ours || [ "$(line "$d/lock")" != "$holder " ]; then say nothing; exit; fi
fi
if ! ours; then
  [ "$claim" ] || { say nothing; exit; }
  if half; then rm -f "$d/owner.json" "$d/owner.json.new"; rmdir "$d"; fi
  if [ -e "$d" ] || [ -L "$d" ]; then say foreign; exit; fi
  # Complete and on disk before it has its name; what a crash leaves under the temporary name belongs to no cluster.
  if ! {
    mkdir -p "$root" && chmod 0711 "$root" && n=$(mktemp -d "$root/.new.XXXXXX") && chmod 0711 "$n" &&
      printf '%s\n' "$owner" >"$n/owner.json" && printf '%s\n' "$claim" >"$n/claim.json" && : >"$n/lock" &&
      sync "$n/owner.json" "$n/claim.json" && mv "$n" "$d"
  }; then rm -rf "$n"; say "cannot write below $root"; exit; fi
  made=made
fi
if [ -L "$d/lock" ] || [ -L "$d/claim.json" ]; then say foreign; exit; fi
if [ -z "$again" ]; then
  exec 9>>"$d/lock" || exit
  flock -n "$how" 9 || { say busy "$(line "$d/lock")"; exit; }
  # Its holder may have removed it with the cluster during the wait for the host.
  # shellcheck disable=SC3013 # dash and busybox have -ef
  [ "$d/lock" -ef "/proc/$$/fd/9" ] || { say changed; exit; }
  printf '%s\n' "$holder" >"$d/lock"
fi
if [ "$claim" ] && [ -z "$made" ]; then
  if ! { printf '%s\n' "$claim" >"$d/claim.json.new" && mv "$d/claim.json.new" "$d/claim.json"; }; then
    say "cannot write $d/claim.json"; exit
  fi
fi
exec 8<&-
say held "$made" "$(line "$d/claim.json")"
[ -z "$again" ] || exit 0
# When the other side ends or stops sending, this script ends too, and the kernel frees the lock.
while b=$(timeout "$silence" head -c 1) && [ "$b" ]; do :; done
