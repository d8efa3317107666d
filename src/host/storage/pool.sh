# Creates "$images", and "$d" with the owner file "$json", both below "$root". If "$d" exists, its owner file must begin
# with "$mark"; files in it of nodes that "$keep" (" NAME NAME ") does not list are removed.
# Prints `made`, `ours` or `foreign`. Uses directory.sh.
# shellcheck shell=sh disable=SC2154 # set by the caller
set -e
mkdir -p "$images"; chmod 0711 "$root" "$images"
o="$d/owner.json"
if [ -L "$d" ] || [ -L "$o" ]; then echo foreign
elif [ ! -e "$d" ] || half; then
  mkdir -p "$d"; chmod 0711 "$d"
  # On disk before it has its name: after a power loss the owner must still be known.
  printf '%s\n' "$json" >"$o.new"; sync "$o.new"; mv "$o.new" "$o"; sync "$d"; echo made
elif [ -f "$o" ]; then
  case $(head -c 4096 "$o") in "$mark"*) ;; *) echo foreign; exit ;; esac
  for f in "$d"/*.qcow2 "$d"/*.seed "$d"/*.console "$d"/*.console.[0-9]; do
    [ -f "$f" ] || continue
    n=${f##*/}
    case $keep in *" ${n%%.*} "*) ;; *) rm -f -- "$f" ;; esac
  done
  echo ours
else echo foreign
fi
