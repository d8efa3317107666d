# Ends the processes that keep the lock of the directory "$d" for "$holder".
# shellcheck shell=sh disable=SC2154 # set by the caller
# shellcheck disable=SC3013 # dash and busybox have -ef
keep() { [ "$1/fd/9" -ef "$d/lock" ]; }
shells=
for p in /proc/[0-9]*; do
  if keep "$p" && tr '\0' '\n' <"$p/cmdline" 2>/dev/null | grep -qF -- "$holder"; then shells="$shells ${p#/proc/}"; fi
done
# The processes that they started keep the lock as well.
for p in /proc/[0-9]*; do
  if keep "$p"; then
    parent=$(sed -n 's/^PPid:	//p' "$p/status" 2>/dev/null)
    case "$shells " in *" $parent "*) kill "${p#/proc/}" 2>/dev/null ;; esac
  fi
done
# shellcheck disable=SC2086 # a list of numbers
[ -z "$shells" ] || kill $shells 2>/dev/null
:
