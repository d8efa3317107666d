#!/usr/bin/env python3
"""The bare loop that `up` is compared with: the same guests as in the lab, started with plain QEMU.

bare.py capture PLAN.json DIR       copy kernel, initrd, seed and settings of the lab's running guests to DIR
bare.py run DIR KEY USER OUT.json   start them all, log in once each, write the cost, end them

Run it in the lab's controller namespace: the guests use QEMU's own network, restricted, so that only the answers
to the login leave a guest. BARE_PARALLEL guests boot at the same time (default 4).
"""

import concurrent.futures
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import measure

READY = b"VCLUSTER-READY"
DEADLINE = float(os.environ.get("BARE_DEADLINE", "300"))


def die(text):
    sys.exit(f"error: {text}")


def options(words):
    """`-option value` pairs; an option may occur several times."""
    pairs = []
    for at, word in enumerate(words):
        if word.startswith("-") and at > 0:
            value = words[at + 1] if at + 1 < len(words) and not words[at + 1].startswith("-") else None
            pairs.append((word.lstrip("-"), value))
    return pairs


def as_dict(value):
    """libvirt writes JSON where QEMU accepts it, and key=value lists elsewhere."""
    if value.startswith("{"):
        return json.loads(value)
    first, *rest = re.split(r",(?!,)", value)
    result = dict(part.partition("=")[::2] for part in rest)
    result["driver"] = first
    return result


def settings(words):
    pairs = options(words)
    one = {key: value for key, value in pairs}
    disks, mac, entropy = [], None, False
    for key, value in pairs:
        if key == "blockdev" and "filename" in as_dict(value):
            disks.append(as_dict(value)["filename"])
        if key == "blockdev" and as_dict(value).get("driver") == "qcow2":
            die("guests with qcow2 disks cannot be started without libvirt: use an image without a disk")
        if key == "device":
            device = as_dict(value)
            mac = device.get("mac", mac)
            entropy = entropy or device["driver"].startswith("virtio-rng")
    machine = ",".join(part for part in one["machine"].split(",") if not part.startswith("memory-backend"))
    memory = one["m"].split(",")[0].removeprefix("size=")
    return {
        "name": re.sub(r"^guest=|,.*$", "", one["name"]), "binary": words[0], "machine": machine,
        "accel": one.get("accel", "tcg"), "cpu": one.get("cpu"), "memory": memory, "smp": one["smp"].split(",")[0],
        "acpi": "no-acpi" not in one, "kernel": one["kernel"], "initrd": one.get("initrd"), "append": one.get("append", ""),
        "disks": disks, "mac": mac, "entropy": entropy,
    }


def capture(plan, folder):
    with open(plan, encoding="utf-8") as file:
        plan = json.load(file)
    nodes = {node["domain"]: node for node in plan["nodes"]}
    spaces = measure.lab_namespaces()
    guests = []
    for pid in measure.pids():
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") not in spaces:
                continue
            if not measure.read_stat(pid)[0].startswith("qemu-system"):
                continue
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                guest = settings(file.read().rstrip("\0").split("\0"))
        except OSError:
            continue
        node = nodes.get(guest["name"])
        if node is None:
            continue

        def copy(path, name):
            target = os.path.join(folder, name)
            if not os.path.exists(target):
                shutil.copyfile(f"/proc/{pid}/root{path}", target)
            return target

        # All guests of an image boot the same files, whose names are digests.
        guest["kernel"] = copy(guest["kernel"], "kernel-" + os.path.basename(guest["kernel"]))
        if guest["initrd"]:
            guest["initrd"] = copy(guest["initrd"], "initrd-" + os.path.basename(guest["initrd"]))
        guest["disks"] = [copy(path, f"{guest['name']}-{at}") for at, path in enumerate(guest["disks"])]
        guest.update(address=node["spec"]["address"], subnet=plan["network"]["subnet"])
        guests.append(guest)
    if len(guests) != len(nodes):
        die(f"only {len(guests)} of {len(nodes)} guests are running")
    with open(os.path.join(folder, "guests.json"), "w", encoding="utf-8") as file:
        json.dump(guests, file, indent=1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(guest, port, log):
    import ipaddress

    subnet = ipaddress.ip_network(guest["subnet"])
    top = subnet.broadcast_address
    network = (f"user,id=net,restrict=on,net={subnet},host={top - 1},dns={top - 2},dhcpstart={top - 3},"
               f"hostfwd=tcp:127.0.0.1:{port}-{guest['address']}:22")
    words = [shutil.which(os.path.basename(guest["binary"])) or guest["binary"], "-nodefaults", "-no-user-config", "-display", "none",
             "-machine", guest["machine"], "-accel", guest["accel"], "-m", guest["memory"], "-smp", guest["smp"],
             "-kernel", guest["kernel"], "-append", guest["append"], "-no-reboot", "-serial", f"file:{log}",
             "-netdev", network, "-device", f"virtio-net-pci,netdev=net,mac={guest['mac']},romfile="]
    if guest["cpu"]:
        words += ["-cpu", guest["cpu"]]
    if not guest["acpi"]:
        words += ["-no-acpi"]
    if guest["initrd"]:
        words += ["-initrd", guest["initrd"]]
    for disk in guest["disks"]:
        words += ["-drive", f"file={disk},if=virtio,format=raw,snapshot=off,cache=unsafe"]
    if guest["entropy"]:
        words += ["-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"]
    return words


class Boot:
    """One guest from start to login."""

    def __init__(self, guest, folder):
        self.guest, self.log, self.port = guest, os.path.join(folder, guest["name"] + ".console"), free_port()
        self.process = None

    def run(self, key, user):
        open(self.log, "wb").close()
        self.process = subprocess.Popen(command(self.guest, self.port, self.log), stdin=subprocess.DEVNULL)
        until = time.monotonic() + DEADLINE
        with open(self.log, "rb") as log:
            seen = b""
            while READY not in seen:
                seen = seen[-len(READY):] + log.read()
                if self.process.poll() is not None:
                    die(f"{self.guest['name']}: QEMU ended with {self.process.returncode}")
                if time.monotonic() > until:
                    die(f"{self.guest['name']}: not ready within {DEADLINE:.0f} s, see {self.log}")
                time.sleep(0.1)
        # The guests live for seconds and are reachable only over the loopback, so host keys need no check.
        ssh = ["ssh", "-F", "none", "-p", str(self.port), "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
               "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
               "-o", "KexAlgorithms=curve25519-sha256", "-o", "ConnectTimeout=60", f"{user}@127.0.0.1", "true"]
        code = subprocess.run(ssh, stdin=subprocess.DEVNULL, check=False).returncode
        if code != 0:
            die(f"{self.guest['name']}: the login failed with {code}")


def run(folder, key, user, out):
    with open(os.path.join(folder, "guests.json"), encoding="utf-8") as file:
        boots = [Boot(guest, folder) for guest in json.load(file)]
    began = time.monotonic()
    qemu = 0.0
    try:
        with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("BARE_PARALLEL", "4"))) as pool:
            for done in concurrent.futures.as_completed([pool.submit(boot.run, key, user) for boot in boots]):
                done.result()
        wall = time.monotonic() - began
    finally:
        for boot in boots:
            if boot.process and boot.process.returncode is None:
                boot.process.send_signal(signal.SIGKILL)
                _, _, usage = os.wait4(boot.process.pid, 0)
                boot.process.returncode = -signal.SIGKILL
                qemu += usage.ru_utime + usage.ru_stime
    times = os.times()
    everything = times.user + times.system + times.children_user + times.children_system
    measure.write(out, {
        "guests": len(boots), "wall": round(wall, 3), "qemu": round(qemu, 3),
        # ssh and this loop, without Python's start-up time, which a compiled loop would not have.
        "client": round(max(everything - qemu, 0.0), 3), "total": round(max(everything, qemu), 3),
    })


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["capture", plan, folder]:
            capture(plan, folder)
        case ["run", folder, key, user, out]:
            run(folder, key, user, out)
        case _:
            sys.stderr.write(__doc__)
            sys.exit(2)
