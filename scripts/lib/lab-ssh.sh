# shellcheck shell=bash
# Keys and SSH files of a lab: one client key, one key per host, and a client configuration in which
# every host key is pinned. Files are replaced by rename, so that a reader never gets a partial one.

ensure_client_key() {
  mkdir -p "$LAB_DIR/ssh"
  [ -f "$LAB_DIR/ssh/id_ed25519" ] ||
    ssh-keygen -q -t ed25519 -N '' -C "vcluster-lab-$LAB" -f "$LAB_DIR/ssh/id_ed25519"
}

# The limits are the defaults (MaxStartups 10:30:100, MaxSessions 10, and PerSourcePenalties if this
# OpenSSH has them): a tool that works here works with servers in their default configuration.
write_host_ssh() { # NAME
  local etc=$LAB_DISKS/$1/etc-ssh home=$LAB_DISKS/$1/root
  mkdir -p "$etc" "$home/.ssh"
  chmod 0700 "$home" "$home/.ssh"
  [ -f "$etc/ssh_host_ed25519_key" ] ||
    ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$etc/ssh_host_ed25519_key"
  cat >"$etc/sshd_config" <<EOF
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PidFile /run/sshd.pid
Subsystem sftp /usr/lib/openssh/sftp-server
EOF
  (umask 077 && cp "$LAB_DIR/ssh/id_ed25519.pub" "$home/.ssh/authorized_keys")
}

write_client_config() {
  local name address keys=$LAB_DIR/ssh
  lab_hosts | while read -r name; do
    address=$(host_address "$(host_number "$name")")
    read -r type key _ <"$LAB_DISKS/$name/etc-ssh/ssh_host_ed25519_key.pub"
    printf '%s,%s %s %s\n' "$name" "$address" "$type" "$key"
  done >"$keys/known_hosts.new"
  {
    lab_hosts | while read -r name; do
      printf 'Host %s\n  HostName %s\n' "$name" "$(host_address "$(host_number "$name")")"
    done
    cat <<EOF
Host bm* $LAB_SUBNET.*
  User root
  IdentityFile $keys/id_ed25519
  IdentitiesOnly yes
  UserKnownHostsFile $keys/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
EOF
  } >"$keys/config.new"
  mv "$keys/known_hosts.new" "$keys/known_hosts"
  mv "$keys/config.new" "$keys/config"
}
