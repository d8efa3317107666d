# Files on a node, each written only if it differs: first under a temporary name beside it, which is then renamed, so
# that no reader ever sees a part of it. $1 is unique to this attempt. Printed are, with the INDEX of a file: "at" before
# it is looked at, "send" if its content is needed, "changed" if its content, mode or owner was changed.
# Without single quotes: all of this is quoted twice in a command line, whose length is limited.
# shellcheck shell=sh
set -eu
export LC_ALL=C
umask 077
attempt=$1
new=
clean() { [ -z "$new" ] || rm -f "$new"; }
trap clean EXIT
trap "exit 1" HUP INT TERM

same() { # path size digest
  if [ ! -f "$1" ] || [ -L "$1" ]; then return 1; fi
  [ "$(stat -c %s "$1")" = "$2" ] || return 1
  # Standard input: a name with a backslash would change the output.
  sum=$(sha256sum <"$1")
  [ "${sum%% *}" = "$3" ]
}

settle() { # index path mode owner; its content is right
  was=$(stat -c "%a %u %g" "$2")
  # First the owner: chown clears set-user-ID.
  chown "$4" "$2"
  chmod "$3" "$2"
  [ "$was" = "$(stat -c "%a %u %g" "$2")" ] || echo "changed $1"
}

begin() { # path key
  dir=${1%/*}
  if [ -n "$dir" ] && [ ! -d "$dir" ]; then (umask 022; mkdir -p "$dir"); fi
  if [ -d "$1" ]; then printf "%s is a directory\n" "$1" >&2; exit 1; fi
  # Of earlier attempts.
  rm -f "$dir/.vcluster-$2".*
  new=$dir/.vcluster-$2.$attempt
  # Another file of that name is not overwritten: it could be a link of a user.
  set -C
}

finish() { # index path digest mode owner
  set +C
  sum=$(sha256sum <"$new")
  if [ "${sum%% *}" != "$3" ]; then printf "%s differs after the transfer\n" "$2" >&2; exit 1; fi
  chown "$5" "$new"
  chmod "$4" "$new"
  mv -f "$new" "$2"
  new=
  echo "changed $1"
}

put() { # index path size digest mode owner key; the content in base64 on descriptor 3
  echo "at $1"
  if same "$2" "$3" "$4"; then
    settle "$1" "$2" "$5" "$6"
  else
    begin "$2" "$7"
    base64 -d <&3 >"$new"
    finish "$1" "$2" "$4" "$5" "$6"
  fi
}

look() { # index path size digest mode owner
  echo "at $1"
  if same "$2" "$3" "$4"; then settle "$1" "$2" "$5" "$6"; else echo "send $1"; fi
}

receive() { # index path digest mode owner key; the content on standard input
  begin "$2" "$6"
  cat >"$new"
  finish "$1" "$2" "$3" "$4" "$5"
}
