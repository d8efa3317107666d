# Prints the login user, then the group and the path of the first of "$sockets" that exists but that the user may not use.
# shellcheck shell=sh disable=SC2154 # set by the caller
id -un
for s in $sockets; do
  [ -S "$s" ] || continue
  [ -w "$s" ] || stat -c '%G %n' "$s"
  break
done
