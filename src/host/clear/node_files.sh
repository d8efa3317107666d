# Removes the files of the node "$node" from the directory "$d"; prints `removed` if there were any. Uses directory.sh.
# shellcheck shell=sh disable=SC2154 # set by the caller
ours || exit 0
cd "$d" || exit
# It has at most 16 further disks. The log daemon may have kept older logs as NODE.console.0 and so on.
for f in "$node.qcow2" "$node".disk[1-9].qcow2 "$node".disk1[0-6].qcow2 "$node.seed" "$node.console" \
  "$node".console.[0-9]; do
  [ -e "$f" ] || continue
  rm -f -- "$f" && r=removed || exit 1
done
echo "$r"
