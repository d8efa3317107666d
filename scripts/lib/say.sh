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
