# Prints what measurements on a host depend on, in sections that begin with @@NAME; changes nothing. "$guests" are words
# of the command lines of our guests here, one per line.
# shellcheck shell=sh disable=SC2154 # set by the caller
exec 2>/dev/null
echo @@kernel; uname -r
echo @@cpu; grep -m1 '^model name' /proc/cpuinfo
echo @@microcode; grep -m1 '^microcode' /proc/cpuinfo
# The current clock is another one at any time; the highest one is that of the machine.
echo @@clock; cat /sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq || grep -m1 '^cpu MHz' /proc/cpuinfo
echo @@cpus; grep -c '^processor' /proc/cpuinfo
echo @@memory; grep -m1 '^MemTotal:' /proc/meminfo
echo @@ksm; cat /sys/kernel/mm/ksm/run
echo @@libvirt; { libvirtd --version || virtqemud --version; } | head -n1
echo @@qemu; for f in qemu-system-x86_64 qemu-kvm /usr/libexec/qemu-kvm; do
  if command -v "$f" >/dev/null; then "$f" --version | head -n1; break; fi
done
# The words go to standard input, so that grep does not find itself.
echo @@guest; if [ "$guests" ]; then
  # shellcheck disable=SC2062 # `-` is a file
  f=$(printf '%s\n' "$guests" | grep -alF -f - /proc/[0-9]*/cmdline | head -n1)
  [ "$f" ] && tr '\0' '\n' <"$f" | grep -A1 -E '^-(accel|machine)$'
fi
echo; echo @@end
