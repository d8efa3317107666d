# shellcheck shell=bash
# Messages for people (stderr) and the checks that every script needs.

say() { printf '%s\n' "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}
hint() { say "hint: $*"; }

need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root"; }

need_command() { # COMMAND...
  local command missing=()
  for command; do
    command -v "$command" >/dev/null || missing+=("$command")
  done
  [ ${#missing[@]} = 0 ] && return
  say "error: missing commands: ${missing[*]}"
  hint "run scripts/install test"
  exit 1
}

# For scripts that write a table between two lines of a page: both must be there before hours are spent.
need_marks() { # FILE NAME
  local mark
  for mark in begin end; do
    grep -qsF "<!-- $2: $mark -->" "$1" || die "$1 has no line <!-- $2: $mark -->"
  done
}
