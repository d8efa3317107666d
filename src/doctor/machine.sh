# Prints what the checks need of a machine, in sections that begin with @@NAME; changes nothing. $1 is SSH_CONNECTION.
# "$commands", "$settings" and "$modules" are lists of words, "$root" is the directory of the images.
# Reads files below /proc/sys with `cat`: `read` of dash reads byte by byte, and the kernel returns no second byte.
# shellcheck shell=sh disable=SC2154 # set by the caller
exec 2>/dev/null
echo @@kernel; uname -r
echo @@system; grep -hE '^ID(_LIKE)?=' /etc/os-release; [ -d /run/systemd/system ] && echo systemd
echo @@missing; for c in $commands; do command -v "$c" >/dev/null || echo "$c"; done
echo @@emulator; for f in qemu-system-x86_64 qemu-kvm /usr/libexec/qemu-kvm; do command -v "$f"; done
echo @@daemons; n=$(readlink /proc/self/ns/pid); for p in /proc/[0-9]*; do
  read -r c <"$p/comm" || continue
  case $c in libvirtd | virtqemud | virtlogd) ;; *) continue ;; esac
  # The daemons of containers are not this machine's.
  [ "$(readlink "$p/ns/pid")" = "$n" ] || continue
  l=$(sed -n 's/^Max open files *\([0-9a-z]*\) *\([0-9a-z]*\).*/\1 \2/p' "$p/limits")
  # shellcheck disable=SC2012 # the names are numbers
  echo "$c ${p#/proc/} $l $(ls "$p/fd" | wc -l)"
done
echo @@limits; for f in libvirtd virtqemud virtproxyd qemu; do
  sed -n "s/^[[:space:]]*\(max_[a-z_]*\)[[:space:]]*=[[:space:]]*\([0-9][0-9]*\).*/$f \1 \2/p" "/etc/libvirt/$f.conf"
done
echo @@cpu; [ -c /dev/kvm ] && echo device
grep -m1 '^flags' /proc/cpuinfo | tr ' ' '\n' | grep -xE 'vmx|svm|hypervisor'
for m in intel amd; do v=$(cat "/sys/module/kvm_$m/parameters/nested") && echo "nested $v"; done
echo @@sshd; if [ -n "$1" ]; then
  # shellcheck disable=SC2086 # a list of words
  set -- $1; sshd -T -C "user=${SUDO_USER:-$(id -un)},host=$1,addr=$1,laddr=$3,lport=$4" |
    grep -iE '^(allowtcpforwarding|allowstreamlocalforwarding|disableforwarding|permitopen|maxstartups|maxsessions) '
fi
echo @@settings; for k in $settings; do v=$(cat "/proc/sys/$k") && echo "$k $v"; done
v=$(cat /proc/sys/fs/file-nr) && echo "fs/file-nr ${v%%[!0-9]*}"
echo @@neighbours; ip -4 -o neigh show | grep -vc PERMANENT
echo @@clock; timeout 3 timedatectl show -p NTPSynchronized --value
echo @@security; v=$(cat /sys/module/apparmor/parameters/enabled) && echo "apparmor $v"
grep -qE '^(libvirtd|virtqemud|/usr/sbin/libvirtd) ' /sys/kernel/security/apparmor/profiles && echo profile
for f in /usr/lib/libvirt/virt-aa-helper /usr/libexec/virt-aa-helper; do [ -x "$f" ] && echo helper; done
v=$(cat /sys/fs/selinux/enforce) && echo "selinux $v" && ls -Zd /var/lib/libvirt/images
sed -n 's/^[[:space:]]*security_driver[[:space:]]*=[[:space:]]*/driver /p' /etc/libvirt/qemu.conf
echo @@modules; r=/lib/modules/$(uname -r); for m in $modules; do
  if [ -d "/sys/module/$m" ] || grep -q "/${m}[.]ko" "$r/modules.builtin"; then s=loaded
  elif [ "$m" = tun ] && [ -c /dev/net/tun ]; then s=loaded
  elif [ "$m" = nf_tables ] && nft list tables >/dev/null; then s=loaded
  elif [ ! -d "$r" ]; then s=unknown
  elif modprobe -n -q "$m"; then s=loadable
  else s=absent; fi
  echo "$m $s"
done
echo @@memory; grep -E '^Swap(Total|Free):' /proc/meminfo
echo @@ksm; cat /sys/kernel/mm/ksm/run
echo @@inodes; d=$root; while [ ! -d "$d" ]; do d=${d%/*}; [ "$d" ] || d=/; done; df -Pi "$d"
echo @@links; ip -j -d addr show
echo @@firewall; iptables -S FORWARD | grep -m1 '^-P'; iptables -S INPUT | grep -m1 '^-P'
nft list chains | grep -E 'hook (forward|input) .*policy drop'
nft list ruleset | grep -m1 -E 'dport .*4789.*(drop|reject)' | sed 's/^[[:space:]]*/vxlan /'
iptables -S | grep -m1 -E '^-A .*dport.* 4789 .*-j (DROP|REJECT)' | sed 's/^/vxlan /'
echo; echo @@end
