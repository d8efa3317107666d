# Defines `plain`, which sets `name` to a path that is encoded for `printf %b`: names may contain any byte but zero.
# shellcheck shell=sh
LC_ALL=C
export LC_ALL
name=
plain() {
  case $1 in
    # The dot keeps the newlines at the end.
    *\\*) name=$(printf '%b.' "$1") && name=${name%.} ;;
    *) name=$1 ;;
  esac
}
