# Creates "$images", and "$d" with the owner file "$json", both below "$root". If "$d" exists, its owner file must begin
# with "$mark"; files in it of nodes that "$keep" (" NAME NAME ") does not list are removed. Then the list of nodes is
# written, before any file of a new node exists.
# Prints `made`, `ours` or `foreign`; before that `other NAME` for what vcluster did not create, and instead `clash NAME`
# if that has the name of a file of a new node. Uses directory.sh.
# shellcheck shell=sh disable=SC2154 # set by the caller
set -e
write_nodes() {
  list=${keep# } list=${list% }
  if [ -f "$d/nodes" ] && [ "$(cat "$d/nodes")" = "$list" ]; then return; fi
  printf '%s\n' "$list" >"$d/nodes.new"; sync "$d/nodes.new"; mv "$d/nodes.new" "$d/nodes"
}
mkdir -p "$images"; chmod 0711 "$root" "$images"
o="$d/owner.json"
if [ -L "$d" ] || [ -L "$o" ]; then echo foreign
elif [ ! -e "$d" ] || half; then
  mkdir -p "$d"; chmod 0711 "$d"
  # On disk before it has its name: after a power loss the owner must still be known.
  printf '%s\n' "$json" >"$o.new"; sync "$o.new"; mv "$o.new" "$o"; write_nodes; sync "$d"; echo made
elif [ -f "$o" ]; then
  case $(head -c 4096 "$o") in "$mark"*) ;; *) echo foreign; exit ;; esac
  others
  read_nodes; listed=$known
  for f in "$d"/*; do
    entry=${f##*/}
    case $entry in owner.json* | claim.json* | lock | nodes*) continue ;; esac
    known=$listed
    if is_own "$entry"; then
      case $keep in *" ${entry%%.*} "*) ;; *) rm -f -- "$f" ;; esac
    else
      known=$keep
      if is_own "$entry"; then echo "clash $entry"; exit; fi
    fi
  done
  write_nodes
  echo ours
else echo foreign
fi
