#!/usr/bin/env python3
"""Files for ssh, clush and ansible to reach the nodes of a cluster directly, key exchange pinned.

direct.py PLAN.json STATE_DIR USER OUT_DIR      writes ssh_config and nodes, prints the number of nodes
"""

import json
import os
import sys


def main(plan, state, user, out):
    with open(plan, encoding="utf-8") as file:
        nodes = json.load(file)["nodes"]
    with open(os.path.join(out, "nodes"), "w", encoding="utf-8") as file:
        file.writelines(f"{node['name']}\n" for node in nodes)
    with open(os.path.join(out, "ssh_config"), "w", encoding="utf-8") as file:
        for node in nodes:
            file.write(f"Host {node['name']}\n  HostName {node['spec']['address']}\n  HostKeyAlias {node['name']}\n")
        # Host keys are accepted at the first contact, in a round that counts like the others; vcluster has them pinned.
        file.write(
            f"Host *\n  User {user}\n  IdentityFile {state}/keys/client\n  IdentitiesOnly yes\n  BatchMode yes\n"
            f"  UserKnownHostsFile {out}/known_hosts\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking accept-new\n"
            "  KexAlgorithms curve25519-sha256\n  LogLevel ERROR\n  ConnectTimeout 120\n"
        )
    print(len(nodes))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
