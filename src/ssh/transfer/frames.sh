# Sends single files and symlinks. Arguments: the asked path, which is followed if it is a symlink, then `SIZE:PATH` of
# each: at most SIZE bytes of it are sent. A frame is a line with its type (`F` file, `L` symlink, `N` nothing is there),
# lines of base64, and a last line: `.`, or `!` with the error.
# shellcheck shell=sh
set -f
exec 4>&1
asked=$1
shift
for entry; do
  size=${entry%%:*} path=${entry#*:} error=
  if [ -L "$path" ] && [ "$path" != "$asked" ]; then
    echo L
    error=$({ readlink "$path" | base64 >&4; } 2>&1)
  elif [ -f "$path" ]; then
    echo F
    error=$({ head -c "$size" <"$path" | base64 >&4; } 2>&1)
  else
    echo N
  fi
  if [ -z "$error" ]; then
    echo .
  else
    printf '!'
    # shellcheck disable=SC2086 # split, so that the error is one line
    printf ' %s' $error
    echo
  fi
done
