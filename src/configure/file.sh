# Defines `put`, which writes a file only if it differs, under a temporary name that it then renames. It prints
# `changed INDEX` if it changed something.
# shellcheck shell=sh
set -eu
umask 077
put() { # index path digest mode owner; contents on fd 3
  old=$(sha256sum "$2" 2>/dev/null) || old=
  if [ "${old%% *}" != "$3" ] || [ -L "$2" ]; then
    dir=${2%/*}; [ -z "$dir" ] || [ -d "$dir" ] || (umask 022; mkdir -p "$dir")
    [ ! -d "$2" ] || { echo "$2 is a directory" >&2; exit 1; }
    base64 -d <&3 >"$2.vcluster-new"
    new=$(sha256sum "$2.vcluster-new"); [ "${new%% *}" = "$3" ] || { rm -f "$2.vcluster-new"; exit 1; }
    chmod "$4" "$2.vcluster-new"; chown "$5" "$2.vcluster-new"
    mv -f "$2.vcluster-new" "$2"; echo "changed $1"
  else
    was=$(stat -c '%a %u %g' "$2"); chmod "$4" "$2"; chown "$5" "$2"
    [ "$was" = "$(stat -c '%a %u %g' "$2")" ] || echo "changed $1"
  fi
}
