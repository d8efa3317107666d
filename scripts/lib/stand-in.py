#!/usr/bin/env python3
"""Run on a lab host: answers SSH for guests that boot nothing. Standard library only; Linux.

stand-in.py DIRECTORY NODES BRIDGE   for each seed in the directory: its address on the bridge, and an sshd there with
                                     the node's host key and its authorized key; ends when it is told to

With it a thousand nodes need neither a thousand kernels nor their memory: domains, seeds, networks and logins are
real, only what runs inside the guests is missing. A measure of the controller, never of guests.
"""

import glob
import json
import os
import signal
import subprocess
import sys
import time


def seed(path):
    """Host key, authorized keys and address of a seed volume. Its files lie in one piece each: the volume was
    written once, by one writer."""
    with open(path, "rb") as file:
        data = file.read()
    begin = data.index(b"#cloud-config\n") + len(b"#cloud-config\n")
    # What follows the file in its last cluster is no text.
    text = data[begin:begin + (1 << 20)].decode(errors="replace")
    config, _ = json.JSONDecoder().raw_decode(text)
    begin = data.index(b"addresses:\n      - \"") + len(b"addresses:\n      - \"")
    address = data[begin:data.index(b'"', begin)].decode().split("/")[0]
    return config["ssh_keys"]["ed25519_private"], config["users"][0]["ssh_authorized_keys"], address


def private(path, text):
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def serve(path, work, bridge):
    node = os.path.basename(path)[:-len(".seed")]
    host_key, authorized, address = seed(path)
    base = os.path.join(work, node)
    private(base + ".key", host_key)
    private(base + ".authorized", "".join(key + "\n" for key in authorized))
    private(base + ".conf", f"""
ListenAddress {address}
HostKey {base}.key
AuthorizedKeysFile {base}.authorized
PidFile none
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
UsePAM no
""")
    subprocess.run(["ip", "addr", "replace", f"{address}/32", "dev", bridge], check=True)
    return subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", base + ".conf"],
                            stderr=open(base + ".log", "wb"))


def main(directory, nodes, bridge):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    work = f"/run/stand-in.{os.getpid()}"
    os.makedirs(work, mode=0o700, exist_ok=True)
    os.makedirs("/run/sshd", exist_ok=True)
    servers = {}
    deadline = time.monotonic() + 1200
    try:
        while time.monotonic() < deadline:
            found = glob.glob(os.path.join(glob.escape(directory) + "*", "*.seed"))
            for path in found if len(servers) < nodes else []:
                if path not in servers:
                    try:
                        servers[path] = serve(path, work, bridge_of(path, bridge))
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
        subprocess.run(["rm", "-rf", work], check=False)


def bridge_of(path, prefix):
    """A cluster's bridge is called after its short id, as its directory is."""
    return prefix + os.path.basename(os.path.dirname(path)).rsplit(".", 1)[1]


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
