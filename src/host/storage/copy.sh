# Copies "$source" of this machine to "$temporary" in "$images", sharing its blocks where the file system can, and renames
# that to "$name" if the file still has the "$stamp" with which its digest was computed. Otherwise, and if it is
# interrupted, nothing is left.
# shellcheck shell=sh disable=SC2154 # set by the caller
cd "$images" || exit
command -v flock >/dev/null || { echo "vcluster-missing: flock" >&2; exit 9; }
# The lock shows other commands, which remove leftovers, that this copy is being made.
if ! { exec 9>"$temporary" && flock -n 9 && [ -e "$temporary" ]; }; then echo "$temporary went away" >&2; exit 1; fi
trap 'rm -f "$temporary"' EXIT
trap 'exit 1' HUP INT TERM PIPE
cp --reflink=auto --sparse=always -- "$source" "$temporary" || exit
[ "$(stat -L -c '%s %.9Y %i %d' -- "$source")" = "$stamp" ] || { echo "$source has changed" >&2; exit 1; }
# On disk before it gets the name of a complete file.
sync "$temporary" && chmod 0444 "$temporary" && mv -f "$temporary" "$name"
