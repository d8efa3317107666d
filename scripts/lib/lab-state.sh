# shellcheck shell=bash disable=SC2034 # Used by the files that are sourced with this one.
# Names, directories and process ids of one lab. A host's number determines its name, address and directories,
# so that only the PID of its init has to be stored, and that is verified before use.

LAB=${VCLUSTER_LAB:-lab}
LAB_MTU=1600
LAB_SUBNET=10.90.0
LAB_CONTROLLER=$LAB_SUBNET.254
LAB_MAX_HOSTS=200
LAB_READY_SECONDS=${VCLUSTER_LAB_READY_SECONDS:-60}

[[ $LAB =~ ^[a-z0-9][a-z0-9-]{0,19}$ ]] ||
  die "VCLUSTER_LAB=$LAB: a lab's name is 1 to 20 of a-z, 0-9 and -"

LAB_RUN_ROOT=/run/vcluster-lab
# Lost at reboot: pids, keys. Hidden from the hosts, which have their own /run.
LAB_DIR=$LAB_RUN_ROOT/$LAB
# What the hosts write: on disk, because images are large.
LAB_DISK_ROOT=/var/lib/vcluster-lab
LAB_DISKS=$LAB_DISK_ROOT/$LAB
# Shared by all labs and kept: it only saves time.
LAB_CACHE=/var/cache/vcluster-lab
NS_CONTROLLER=vclab-$LAB-ctl
NS_UNDERLAY=vclab-$LAB-under
CONTROLLER_ETC=/etc/netns/$NS_CONTROLLER

host_name() { printf 'bm%02d' "$1"; }

host_number() { # NAME
  [[ $1 =~ ^bm([0-9]{2,3})$ ]] || die "$1: hosts are called bm01, bm02, ..."
  local number=$((10#${BASH_REMATCH[1]}))
  { [ "$number" -ge 1 ] && [ "$number" -le "$LAB_MAX_HOSTS" ]; } ||
    die "$1: a lab has hosts bm01 to $(host_name "$LAB_MAX_HOSTS")"
  printf '%d' "$number"
}

host_address() { printf '%s.%d' $LAB_SUBNET $((10 + $1)); }

# Every host of this lab that was created and not removed, in order.
lab_hosts() {
  local dir
  for dir in "$LAB_DIR"/hosts/bm*; do
    [ -d "$dir" ] && printf '%s\n' "${dir##*/}"
  done | sort -V
}

# The argument that identifies a host's init among all processes of the machine.
host_token() { printf 'vcluster-lab=%s/%s' "$LAB" "$1"; }

# Prints the PID of a host's init; fails if the host is off. After a crash a PID file may be stale, so
# the process must carry the host's token and be PID 1 of a namespace.
host_pid() { # NAME
  local pid
  { read -r pid <"$LAB_DIR/hosts/$1/pid"; } 2>/dev/null || return 1
  grep -qszxF "$(host_token "$1")" "/proc/$pid/cmdline" || return 1
  grep -qsE '^NSpid:.*[[:space:]]1$' "/proc/$pid/status" || return 1
  printf '%s' "$pid"
}

# PIDs of all processes with a token of this lab, even without a PID file.
lab_stray_pids() {
  { grep -lszxE "vcluster-lab=$LAB/bm[0-9]+" /proc/[0-9]*/cmdline || :; } | cut -d/ -f3
}

# `up` has been run and the controller namespace works.
lab_is_up() { ip -n "$NS_CONTROLLER" link show lo >/dev/null 2>&1; }

need_lab() { lab_is_up || die "lab $LAB is not up (scripts/lab up N)"; }

# Creates directories that only root may read.
make_private() { # DIR...
  mkdir -p "$@"
  chmod 0700 "$@"
}

# Serializes changes to one lab; processes that outlive this one must not inherit descriptor 9.
lab_lock() {
  make_private "$LAB_RUN_ROOT"
  exec 9>"$LAB_RUN_ROOT/.lock-$LAB"
  flock 9
}

# Whether any lab is up on this machine.
any_lab() { compgen -G "$LAB_RUN_ROOT/*/hosts" >/dev/null; }

# Waits until processes have ended: a killed init first ends all processes of its host.
wait_gone() { # PID...
  local pid tries=0
  for pid; do
    while [ -d "/proc/$pid" ]; do
      tries=$((tries + 1))
      [ $tries -lt 3000 ] || die "process $pid does not end"
      sleep 0.01
    done
  done
}
