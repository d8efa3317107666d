# Reads a file or a directory. Variables: `what` to do; `most`, the bytes of the largest file that gets a digest, or empty;
# `directory` and `asked`, the path in two parts, encoded; `frames`, the script that sends single files. Needs `plain`. All paths begin with `.//`, which no name contains: that is how the
# beginning of a record is found in lists of names with any bytes.
# shellcheck shell=sh disable=SC2154
# The login shell may have printed something.
echo vcluster-pull-begins
plain "$directory"
cd -- "$name" || exit 1
plain "$asked"
path=.//$name
follow=
# The asked path itself is followed: a directory by `/.`, so that links inside it are kept, a file by dereferencing it.
if [ -L "$path" ]; then
  if [ ! -e "$path" ]; then
    echo "$name is a symlink to something that does not exist" >&2
    exit 1
  elif [ -d "$path" ]; then
    path=$path/.
  else
    follow=yes
  fi
fi
case $what in
  archive)
    unset TAR_OPTIONS
    [ -z "$follow" ] || exec tar -chf - "$path"
    exec tar -cf - "$path"
    ;;
  digests)
    command -v sha256sum >/dev/null || { echo "sha256sum: not found" >&2; exit 127; }
    [ -z "$most" ] || exec find -H "$path" -type f ! -size "+${most}c" -exec sha256sum {} +
    exec find -H "$path" -type f -exec sha256sum {} +
    ;;
  list)
    date +%s
    set --
    [ -z "$follow" ] || set -- -L
    exec find -H "$path" -exec stat "$@" -c '%f %s %Y %Z %n' {} +
    ;;
  single)
    exec xargs -0 -n 100 sh -c "$frames" sh "$path"
    ;;
esac
