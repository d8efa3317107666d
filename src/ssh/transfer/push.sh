# Unpacks what is sent. Variables: `directory`, and `file` if one file gets a new name, both encoded. Needs `plain`.
# Standard input: a line `MODE PATH` for each directory, parents first, a line with a dot, then the archive. Directories
# are not in the archive, because tar changes the mode of those that exist, and replaces symlinks to directories.
# shellcheck shell=sh disable=SC2154
# For versions of busybox that otherwise leave out symlinks.
EXTRACT_UNSAFE_SYMLINKS=1
export EXTRACT_UNSAFE_SYMLINKS
unset TAR_OPTIONS
plain "$file"
if [ -n "$file" ] && [ -d "$name" ]; then
  echo "$name is a directory there: end the destination with / to send into it" >&2
  exit 1
fi
plain "$directory"
mkdir -p -- "$name" && cd -- "$name" || exit 1
failed=0
set --
while IFS=' ' read -r mode path; do
  [ "$mode" != . ] || break
  plain "$path"
  [ ! -d "$name" ] || continue
  case $mode in
    ?7??) mkdir -m "$mode" -- "$name" || failed=1 ;;
    # Its owner could not write into it yet.
    *) mkdir -m 0700 -- "$name" && set -- "$mode" "$name" "$@" || failed=1 ;;
  esac
done
# The owner in the archive (0) is not kept.
tar -xpof - || failed=$?
# Children first: their parent may be closed to its owner afterwards.
while [ $# -gt 1 ]; do
  chmod "$1" "$2" || failed=1
  shift 2
done
exit "$failed"
