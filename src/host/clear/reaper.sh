# Removes the clusters below "$root" whose lease has ended. "$mark_uri" is the namespace of the marks of domains.
# Prints and logs what it does; with --dry-run it only prints what it would do. Uses directory.sh and remove.sh.
# shellcheck shell=sh disable=SC2154 # set by the caller
export LC_ALL=C PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
dry=
case ${1-} in
  '') ;;
  --dry-run) dry=1 ;;
  *) echo "usage: vcluster-reaper [--dry-run]" >&2; exit 2 ;;
esac
log() { echo "$*"; [ "$dry" ] || logger -t vcluster-reaper -- "$*" 2>/dev/null || :; }
for c in virsh flock; do command -v "$c" >/dev/null || { log "$c is missing"; exit 1; }; done
virsh() { command virsh -q -c qemu:///system "$@"; }

# Whether the claim in $1 has ended. A claim that cannot be read never ends.
now=$(date -u +%Y%m%d%H%M%S)
ended() {
  end=$(head -c 4096 "$1" | sed -n 's/.*"expires":"\([0-9TZ:-]*\)".*/\1/p' | tr -dc 0-9)
  [ ${#end} = 14 ] && [ "$end" -le "$now" ]
}

# The UUID of the domain of the node $2 in the cluster with the whole id $1: version 5 of RFC 9562.
own_uuid() {
  h=$(printf %s "$1" | tr -d -)
  case $h in *[!0-9a-f]*) return ;; esac
  [ ${#h} = 32 ] || return
  h=$({
    while [ "$h" ]; do r=${h#??}; printf %b "\\0$(printf %o "0x${h%"$r"}")"; h=$r; done
    printf %s "$2"
  } | sha1sum)
  variant=$(printf %s "$h" | cut -c17 | sed 'y/0123456789abcdef/89ab89ab89ab89ab/')
  printf %s "$h" | sed "s/^\(.\{8\}\)\(....\).\(...\).\(...\)\(.\{12\}\).*/\1-\2-5\3-$variant\4-\5/"
}

# The domains with the mark of $cluster and $short: `own UUID NAME`, also of one that was renamed, and `copy UUID NAME`.
domains() {
  virsh list --all --uuid | while read -r u; do
    m=$(virsh metadata "$u" --uri "$mark_uri" 2>/dev/null | sed 's/&quot;/"/g')
    case $m in *"\"cluster\":\"$cluster\",\"cluster_id\":\"$short-"*"\"node\":\""*) ;; *) continue ;; esac
    id=${m#*"\"cluster_id\":\""} node=${m#*"\"node\":\""}
    id=${id%%\"*} node=${node%%\"*} v=$(virsh domname "$u")
    if [ "$v" = "$cluster.$node" ] || [ "$u" = "$(own_uuid "$id" "$node")" ]; then echo "own $u $v"
    else echo "copy $u $v"; fi
  done
}

reap() {
  found=$(domains)
  printf '%s\n' "$found" | while read -r kind u v; do
    case $kind in own) ;; copy) echo "kept domain $v, a copy of a node"; continue ;; *) continue ;; esac
    virsh destroy "$u" >/dev/null 2>&1
    virsh undefine "$u" --managed-save --snapshots-metadata --checkpoints-metadata --nvram >/dev/null 2>&1 ||
      virsh undefine "$u" >/dev/null
    echo "removed domain $v"
  done
  left=$(domains | sed -n 's/^own [^ ]* //p')
  # A directory in use by a domain that could not be removed must stay, so that the next attempt finds it.
  [ -z "$left" ] || { echo "left domain $left"; return; }
  p="vcluster.$cluster.$short"
  # What vcluster did not create stays, and so does the pool in which others find it.
  if [ -n "$(others)" ]; then echo "kept pool $p"; else
    virsh pool-destroy "$p" >/dev/null 2>&1
    virsh pool-undefine "$p" >/dev/null 2>&1 && echo "removed pool $p"
  fi
  remove_directory
  remove_network
}

for c in "$root"/*/claim.json; do
  if [ ! -f "$c" ] || [ -L "$c" ] || ! ended "$c"; then continue; fi
  n=${c%/claim.json} n=${n##*/}
  cluster=${n%.*} short=${n##*.}
  case $cluster in '' | *[!a-z0-9-]*) continue ;; esac
  case $short in *[!0-9a-f]*) continue ;; esac
  [ ${#short} = 8 ] || continue
  d=$root/$cluster.$short
  if ! ours || [ -L "$d/lock" ]; then continue; fi
  if [ "$dry" ]; then log "would remove cluster $cluster ($short): its lease has ended"; continue; fi
  exec 9>>"$d/lock" || continue
  # A command that works on it, or is about to extend its lease, goes first.
  if flock -n 9 && ended "$c"; then
    log "removing cluster $cluster ($short): its lease has ended"
    reap 2>&1 | while read -r line; do log "$cluster: $line"; done
  fi
  exec 9>&-
done
