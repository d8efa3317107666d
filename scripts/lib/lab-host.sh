# shellcheck shell=bash
# One simulated host: its files, power on, power off, readiness.

# libvirt without features that need a real machine (security driver, cgroups). The limits of its RPC are defaults.
write_host_libvirt() { # NAME
  local etc=$LAB_DISKS/$1/etc-libvirt
  mkdir -p "$etc/qemu" "$LAB_DISKS/$1/var-lib-libvirt/images"
  cp /etc/libvirt/libvirt.conf "$etc/"
  [ -f "$etc/libvirtd.conf" ] || cat >"$etc/libvirtd.conf" <<EOF
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
unix_sock_rw_perms = "0770"
host_uuid = "$(</proc/sys/kernel/random/uuid)"
max_clients = 1000
max_anonymous_clients = 100
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
EOF
  cat >"$etc/qemu.conf" <<'EOF'
security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
seccomp_sandbox = 0
max_core = 0
EOF
}

# When libvirtd first starts, it takes 2.4 CPU seconds to probe the capabilities of QEMU. A real server did that
# long ago; here the first host does it for all. libvirt itself checks whether a cached result is still valid;
# the key only prevents every host from probing again after an upgrade.
capabilities_dir() {
  local key
  key=$({ uname -r; stat -c '%n %Z' /usr/bin/qemu-system-* /usr/sbin/libvirtd; } | sha256sum)
  printf '%s/%s' "$LAB_CACHE" "${key:0:16}"
}

save_capabilities() { # NAME
  local dir
  dir=$(capabilities_dir)
  [ -d "$dir" ] && return
  make_private "$LAB_CACHE"
  rm -rf "${LAB_CACHE:?}"/*
  cp -r "$LAB_DISKS/$1/var-cache-libvirt/qemu/capabilities" "$dir.new"
  mv -T "$dir.new" "$dir"
}

give_capabilities() { # NAME
  local from to=$LAB_DISKS/$1/var-cache-libvirt/qemu
  from=$(capabilities_dir)
  { [ -d "$from" ] && [ ! -d "$to/capabilities" ]; } || return 0
  mkdir -p "$to"
  cp -r "$from" "$to/capabilities"
}

write_host_files() { # NAME
  local disk=$LAB_DISKS/$1
  mkdir -p "$LAB_DIR/hosts/$1" "$disk"/{etc,var-log/libvirt,var-cache-libvirt,var-lib-libvirt,var-lib-vcluster}
  mkdir -p "$disk/tmp" "$disk/var-tmp"
  chmod 1777 "$disk/tmp" "$disk/var-tmp"
  write_host_libvirt "$1"
  write_host_ssh "$1"
  echo "$1" >"$disk/etc/hostname"
  [ -f "$disk/etc/machine-id" ] || tr -d - </proc/sys/kernel/random/uuid >"$disk/etc/machine-id"
  printf '# no DNS in the lab\n' >"$disk/etc/resolv.conf"
  # Root has no password but is not locked: sshd without PAM refuses a locked account even with a key.
  (umask 077 && printf 'root:*:19000:0:99999:7:::\n' >"$disk/etc/shadow")
}

# Starts a host's init and returns; wait_ready waits until the host can be used.
power_on() { # NAME
  local name=$1 dir=$LAB_DIR/hosts/$1
  rm -f "$dir/pid"
  # A mount point for the host's own directory; it exists on a machine that really runs nodes.
  mkdir -p /var/lib/vcluster
  setsid unshare --mount --uts --ipc --pid --net --fork -- \
    "$SCRIPTS/lib/host-init" "$(host_token "$name")" "$name" "$dir" "$LAB_DISKS/$name" "$CONTROLLER_ETC/hosts" \
    </dev/null >"$dir/init.log" 2>&1 9>&- &
  disown
}

# A power failure: killing PID 1 ends libvirtd, sshd, the guests and the network namespace.
power_off() { # NAME
  local pid
  if pid=$(host_pid "$1"); then
    kill -KILL "$pid"
    wait_gone "$pid"
  fi
  unplug "$1"
  rm -f "$LAB_DIR/hosts/$1/pid"
}

# Whether a host's init has started and ended. Its PID file may have been written just after a look for the process, so
# this looks for the file first.
host_died() { # NAME
  [ -f "$LAB_DIR/hosts/$1/pid" ] && ! host_pid "$1" >/dev/null
}

host_socket() { printf '/proc/%s/root/run/libvirt/libvirt-sock' "$1"; }

# The machine's virsh on a host's own socket: needs no login and works while the host's sshd is down.
host_virsh() { # PID ARG...
  local pid=$1
  shift
  timeout 10 virsh -q -c "qemu+unix:///system?socket=$(host_socket "$pid")" "$@"
}

sshd_answers() { # ADDRESS; called in the controller's namespace
  local banner
  exec 3<>"/dev/tcp/$1/22" || return 1
  IFS= read -r -t 5 banner <&3
  exec 3>&-
  [[ $banner == SSH-2.0-* ]]
}

# Waits until the given hosts are powered on and connected, and their sshd and libvirtd answer.
wait_ready() { # NAME...
  local deadline=$((SECONDS + LAB_READY_SECONDS)) name pid
  for name; do
    until pid=$(host_pid "$name"); do
      ! host_died "$name" || give_up "$name" "its init has died"
      give_up_after "$deadline" "$name" "its init does not start"
    done
    ensure_host_network "$name" "$pid" || give_up "$name" "no network"
  done
  for name; do
    pid=$(host_pid "$name") || give_up "$name" "its init has died"
    until [ -S "$(host_socket "$pid")" ] && host_virsh "$pid" version >/dev/null 2>&1; do
      [ -d "/proc/$pid" ] || give_up "$name" "its init has died"
      give_up_after "$deadline" "$name" "libvirtd does not answer"
    done
  done
  local addresses=()
  for name; do addresses+=("$(host_address "$(host_number "$name")")"); done
  export -f sshd_answers
  # shellcheck disable=SC2016 # Expanded by the inner shell.
  ip netns exec "$NS_CONTROLLER" timeout "$LAB_READY_SECONDS" bash -c '
    for address; do until sshd_answers "$address" 2>/dev/null; do sleep 0.02; done; done
  ' sshd "${addresses[@]}" || die "sshd does not answer on all of: $* (see $LAB_DISKS/bm*/var-log/sshd.log)"
}

give_up_after() { # DEADLINE NAME REASON
  [ $SECONDS -lt "$1" ] || give_up "$2" "$3 within $LAB_READY_SECONDS s"
  sleep 0.02
}

give_up() { # NAME REASON
  local log
  for log in "$LAB_DIR/hosts/$1/init.log" "$LAB_DISKS/$1/var-log/libvirt/libvirtd.out"; do
    [ -s "$log" ] && tail -n 5 "$log" >&2
  done
  die "host $1 of lab $LAB: $2"
}
