# Prints the login user, then the group and the path of the first of "$sockets" that exists but that the user may not use.
# The group is `-` if its members may not use the socket either, or if it is that of root.
# shellcheck shell=sh disable=SC2154 # set by the caller
id -un
for s in $sockets; do
  [ -S "$s" ] || continue
  [ -w "$s" ] || case $(stat -c '%A %G' "$s") in
    *' root') echo "- $s" ;;
    ?????w*) stat -c '%G %n' "$s" ;;
    *) echo "- $s" ;;
  esac
  break
done
