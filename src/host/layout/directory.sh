# Defines `ours`, `half` and `remove_directory` for "$d", the directory of the cluster "$cluster" with the short id
# "$short". `remove_directory` also receives "$base" and "$root" and prints `removed` or `left directory NAME`.
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

# The owner file goes last, so that after an interrupted removal the directory is still recognised as ours. The root
# goes too if it is empty, unless another command is creating a directory in it.
remove_directory() {
  if ours; then
    if find "$d" -xdev -mindepth 1 -depth ! -path "$d/owner.json" -delete && rm -f "$d/owner.json" && rmdir "$d"
    then echo "removed directory ${d##*/}"; else echo "left directory ${d##*/}"; fi
    ( if flock -n 8; then rmdir "$root" 2>/dev/null || :; fi ) 8<"$base"
  elif half; then
    if rm -f "$d/owner.json" "$d/owner.json.new" && rmdir "$d"
    then echo "removed directory ${d##*/}"; else echo "left directory ${d##*/}"; fi
  fi
}
