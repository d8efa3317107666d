# Prints kind, name and age in seconds of the files below "$root" and "$images", links and domains that may be
# leftovers, separated by tabs.
# shellcheck shell=sh disable=SC2154 # set by the caller
now=$(date +%s)
age() { t=$(stat -c %Y "$3" 2>/dev/null) && printf '%s\t%s\t%s\n' "$1" "$2" $((now - t)); }
for p in "$root"/*.????????; do age seen "${p##*/}" "$p"; done
for p in /sys/class/net/vc[bx]???????? /sys/class/net/vc[bx]????????????; do age seen "${p##*/}" "$p"; done
for p in /etc/libvirt/qemu/*.xml /run/libvirt/qemu/*.xml; do n=${p##*/}; age domain "${n%.xml}" "$p"; done
for p in "$root"/.new.?????? "$images"/*.part; do age file "${p#"$root"/}" "$p"; done
exit 0
