# shellcheck shell=bash
# The underlay: one bridge in a namespace without an uplink, to which the controller and the hosts are connected.
# No packet can leave: no interface of the machine itself is ever moved in, and every veth is created
# with both ends inside these namespaces.

# Recreates a namespace of which only the file is left.
ensure_namespace() { # NAMESPACE
  ip -n "$1" link show lo >/dev/null 2>&1 && return
  ip netns del "$1" 2>/dev/null || rm -f "/run/netns/$1"
  ip netns add "$1"
  ip -n "$1" link set lo up
}

ensure_underlay() {
  ensure_namespace "$NS_UNDERLAY"
  if ! ip -n "$NS_UNDERLAY" link show underlay >/dev/null 2>&1; then
    ip -n "$NS_UNDERLAY" link add underlay mtu "$LAB_MTU" type bridge \
      stp_state 0 forward_delay 0 mcast_snooping 0
    ip -n "$NS_UNDERLAY" link set underlay up
  fi
  write_controller_etc
  ensure_namespace "$NS_CONTROLLER"
  if ! ip -n "$NS_CONTROLLER" link show eth0 >/dev/null 2>&1; then
    plug controller "$NS_CONTROLLER" "$LAB_CONTROLLER"
    ip -n "$NS_CONTROLLER" -batch - <<EOF
addr add $LAB_CONTROLLER/24 dev eth0
link set eth0 up
EOF
  fi
}

# Connects a port of the underlay bridge to eth0 of a namespace. A host keeps its MAC address when it is
# powered off and on: with a new one, its peers would send to the old one for a minute.
plug() { # PORT NAMESPACE|PID ADDRESS
  local mac
  # shellcheck disable=SC2086 # Four numbers.
  mac=$(printf '02:76:%02x:%02x:%02x:%02x' ${3//./ })
  ip -n "$NS_UNDERLAY" -batch - <<EOF
link add $1 mtu $LAB_MTU type veth peer name eth0 address $mac mtu $LAB_MTU netns $2
link set $1 master underlay up
EOF
}

# Removes the port immediately; otherwise it would disappear only when the kernel tears down the
# namespace of a dead host.
unplug() { ip -n "$NS_UNDERLAY" link del "$1" 2>/dev/null || :; }

inside_host() { # PID CMD...
  local pid=$1
  shift
  nsenter -t "$pid" -m -u -i -n -p -- "$@"
}

# The default route leads to the controller, which forwards nothing: NAT can be tested, but no packet
# gets further than the controller.
ensure_host_network() { # NAME PID
  local name=$1 pid=$2 number address
  number=$(host_number "$name")
  if ip -n "$NS_UNDERLAY" link show "$name" >/dev/null 2>&1 &&
    nsenter -t "$pid" -n ip route show default | grep -q .; then
    return
  fi
  unplug "$name"
  address=$(host_address "$number")
  plug "$name" "$pid" "$address"
  nsenter -t "$pid" -n ip -batch - <<EOF
addr add $address/24 dev eth0
link set eth0 up
route add default via $LAB_CONTROLLER
EOF
}

# `ip netns exec` mounts these files over /etc. They are written in place: commands that already run in
# the controller's namespace have these files mounted, and get the new hosts too.
write_controller_etc() {
  local name
  mkdir -p "$CONTROLLER_ETC/ssh"
  {
    printf '127.0.0.1 localhost\n::1 localhost\n%s controller\n' "$LAB_CONTROLLER"
    lab_hosts | while read -r name; do
      printf '%s %s\n' "$(host_address "$(host_number "$name")")" "$name"
    done
  } >"$CONTROLLER_ETC/hosts"
  # Without a name server, a name that is not in the file above fails immediately instead of after a timeout.
  printf '# no DNS in the lab\n' >"$CONTROLLER_ETC/resolv.conf"
  printf 'Include %s/ssh/config\n' "$LAB_DIR" >"$CONTROLLER_ETC/ssh/ssh_config"
}

# Ends all processes in the controller's namespace, except this script and its ancestors.
end_controller_processes() {
  local pid ancestor=$$ mine=" " victims=()
  while [ "$ancestor" -gt 1 ]; do
    mine+="$ancestor "
    ancestor=$(awk '/^PPid:/ { print $2 }' "/proc/$ancestor/status" 2>/dev/null || echo 0)
  done
  for pid in $(ip netns pids "$NS_CONTROLLER" 2>/dev/null); do
    [[ $mine == *" $pid "* ]] || victims+=("$pid")
  done
  [ ${#victims[@]} -gt 0 ] || return 0
  say "ending ${#victims[@]} processes left in the controller's namespace"
  kill -TERM "${victims[@]}" 2>/dev/null || :
  for _ in $(seq 50); do
    kill -0 "${victims[@]}" 2>/dev/null || return 0
    sleep 0.02
  done
  kill -KILL "${victims[@]}" 2>/dev/null || :
}

remove_networks() {
  local namespace
  for namespace in "$NS_UNDERLAY" "$NS_CONTROLLER"; do
    ip netns del "$namespace" 2>/dev/null || rm -f "/run/netns/$namespace"
  done
  rm -rf "$CONTROLLER_ETC"
  rmdir /etc/netns 2>/dev/null || :
}
