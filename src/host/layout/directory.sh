# Defines `ours`, `half`, `is_own`, `others` and `remove_directory` for "$d", the directory of the cluster "$cluster" with
# the short id "$short". `remove_directory` also receives "$base" and "$root"; it prints `removed`, `left` or `kept
# directory NAME`, and `other NAME` for everything that it keeps because vcluster did not create it.
# shellcheck shell=sh disable=SC2154 # set by the caller

# Whether it has our owner file.
ours() {
  [ -d "$d" ] && [ ! -L "$d" ] && [ -f "$d/owner.json" ] && [ ! -L "$d/owner.json" ] || return 1
  case $(head -c 4096 "$d/owner.json") in "{\"cluster\":\"$cluster\",\"id\":\"$short-"*) ;; *) return 1 ;; esac
}

# Whether it is ours after a kill during its creation or removal: it contains nothing, or only an empty owner file.
half() {
  [ -d "$d" ] && [ ! -L "$d" ] && [ ! -s "$d/owner.json" ] &&
    [ -z "$(find "$d" -mindepth 1 ! -path "$d/owner.json" ! -path "$d/owner.json.new")" ]
}

# Sets $known to the nodes that have files here, each between spaces. Without a list, as in a directory that an earlier
# release made, it is empty, and every file with the name of a node's file counts.
read_nodes() {
  known=
  if [ -f "$d/nodes" ] && [ ! -L "$d/nodes" ]; then
    read -r known <"$d/nodes" || :
    known=" $known vcluster-probe "
  fi
}

# Whether vcluster creates files with the name $1 here; uses $known.
is_own() {
  case $1 in owner.json | owner.json.new | claim.json | claim.json.new | lock | nodes | nodes.new | .new) return 0 ;; esac
  # No node has such a name.
  case ${1%%.*} in '' | *[!a-z0-9-]*) return 1 ;; esac
  case ${1#*.} in
    qcow2 | disk[1-9].qcow2 | disk1[0-6].qcow2 | seed | console | console.[0-9]) ;;
    *) return 1 ;;
  esac
  case $known in '' | *" ${1%%.*} "*) return 0 ;; esac
  return 1
}

# Prints `other NAME` for everything here that vcluster did not create.
others() {
  read_nodes
  for f in "$d"/* "$d"/.[!.]* "$d"/..?*; do
    entry=${f##*/}
    if { [ -e "$f" ] || [ -L "$f" ]; } && ! is_own "$entry"; then printf 'other %s\n' "$entry"; fi
  done
}

# Removes what vcluster created here, except for the owner file and the list of nodes, which identify the rest.
remove_own() {
  read_nodes
  for f in "$d"/*; do
    entry=${f##*/}
    case $entry in owner.json | nodes) continue ;; esac
    if is_own "$entry"; then printf '%s\n' "$entry"; fi
  done | ( cd "$d" && rm -rf .new && xargs -r rm -f -- )
}

# The owner file goes last, so that after an interrupted removal the directory is still recognised as ours. The root
# goes too if it is empty, unless another command is creating a directory in it.
remove_directory() {
  if ours; then
    if ! remove_own; then echo "left directory ${d##*/}"; return; fi
    rest=$(others)
    if [ -n "$rest" ]; then
      printf '%s\n' "$rest" "kept directory ${d##*/}"
      return
    fi
    if rm -f "$d/nodes" && rm -f "$d/owner.json" && rmdir "$d"
    then echo "removed directory ${d##*/}"; else echo "left directory ${d##*/}"; fi
    ( if flock -n 8; then rmdir "$root" 2>/dev/null || :; fi ) 8<"$base"
  elif half; then
    if rm -f "$d/owner.json" "$d/owner.json.new" && rmdir "$d"
    then echo "removed directory ${d##*/}"; else echo "left directory ${d##*/}"; fi
  fi
}
