#!/usr/bin/env python3
"""Run on a lab host: answers SSH for guests that boot nothing. Standard library only; Linux.

python3 - DIRECTORY NODES     for each seed in directories with this prefix: an interface on the cluster's bridge with
                              the node's address and Ethernet address, and an sshd there with the node's host key and
                              its authorized key; ends with the cluster, or after an hour

With it, a thousand nodes need neither a thousand kernels nor their memory: domains, seeds, networks and logins are
real, only the software inside the guests is missing. It measures the controller, not guests.
"""

import glob
import json
import os
import signal
import subprocess
import sys
import time


LIFE = 3600  # Seconds; a killed bench leaves nothing longer than this.


def seed(path):
    """Host key, authorized keys, address and Ethernet address of a seed volume. Each of its files is contiguous,
    because the volume was written once, by one writer."""
    with open(path, "rb") as file:
        data = file.read()
    begin = data.index(b"#cloud-config\n") + len(b"#cloud-config\n")
    # The bytes after the file in its last cluster are not text.
    text = data[begin:begin + (1 << 20)].decode(errors="replace")
    config, _ = json.JSONDecoder().raw_decode(text)
    def after(mark):
        begin = data.index(mark) + len(mark)
        return data[begin:data.index(b'"', begin)].decode()

    return (config["ssh_keys"]["ed25519_private"], config["users"][0]["ssh_authorized_keys"],
            after(b'addresses:\n      - "'), after(b'macaddress: "'))


def private(path, text):
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def call(*words):
    subprocess.run(words, check=True)


def without_ipv6(interface, *inside):
    """Prevents IPv6 multicast: each packet goes to all ports of the cluster on all hosts, and with a thousand
    interfaces the kernel would have to deliver millions."""
    call(*inside, "sh", "-c", 'echo 1 >"/proc/sys/net/ipv6/conf/$1/disable_ipv6"', "sh", interface)


def serve(path, work, number, space):
    node = os.path.basename(path)[:-len(".seed")]
    host_key, authorized, address, mac = seed(path)
    base = os.path.join(work, node)
    private(base + ".key", host_key)
    private(base + ".authorized", "".join(key + "\n" for key in authorized))
    private(base + ".conf", f"""
ListenAddress {address.split("/")[0]}
HostKey {base}.key
AuthorizedKeysFile {base}.authorized
PidFile none
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
UsePAM no
""")
    # The names of a cluster's bridge and directory both contain its short id.
    bridge = "vcb" + os.path.basename(os.path.dirname(path)).rsplit(".", 1)[1]
    with open(f"/sys/class/net/{bridge}/mtu", encoding="utf-8") as file:
        mtu = file.read().strip()
    call("ip", "link", "add", f"standin{number}", "mtu", mtu, "type", "veth",
         "peer", "name", f"eth{number}", "address", mac, "mtu", mtu, "netns", str(space))
    without_ipv6(f"standin{number}")
    call("ip", "link", "set", f"standin{number}", "master", bridge, "up")
    inside = ("nsenter", "-t", str(space), "-n", "--")
    without_ipv6(f"eth{number}", *inside)
    call(*inside, "ip", "addr", "add", address, "dev", f"eth{number}")
    call(*inside, "ip", "link", "set", f"eth{number}", "up")
    # A node has directories of its own for steps and their supervisor.
    start = """for d in /run/vcluster /var/lib/vcluster; do mkdir -p $d && mount -t tmpfs tmpfs $d || exit; done
exec /usr/sbin/sshd -D -e -f "$1" """
    return subprocess.Popen([*inside, "unshare", "-m", "sh", "-c", start, "sh", base + ".conf"],
                            stderr=open(base + ".log", "wb"))


def main(directory, nodes):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    work = f"/run/stand-in.{os.getpid()}"
    os.makedirs(work, mode=0o700, exist_ok=True)
    os.makedirs("/run/sshd", exist_ok=True)
    # A separate network namespace for all of them: in the host's, the port is used by the host's sshd.
    space = subprocess.Popen(["unshare", "--net", "sleep", str(LIFE)])
    time.sleep(0.5)
    servers = {}
    deadline = time.monotonic() + LIFE
    try:
        while time.monotonic() < deadline:
            found = glob.glob(os.path.join(glob.escape(directory) + "*", "*.seed"))
            for path in found if len(servers) < nodes else []:
                if path not in servers:
                    try:
                        servers[path] = serve(path, work, len(servers), space.pid)
                    except (ValueError, OSError, subprocess.CalledProcessError) as error:
                        print(f"stand-in: {path}: {error}", file=sys.stderr)
            if servers and not found:
                return
            time.sleep(1)
    finally:
        for server in servers.values():
            server.terminate()
        for server in servers.values():
            server.wait()
        # The interfaces disappear with their peers.
        space.terminate()
        space.wait()
        subprocess.run(["rm", "-rf", work], check=False)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]))
