#!/usr/bin/env python3
"""Measures the cost of a command and of the processes of a lab. Standard library only; Linux.

measure.py run OUT.json [--stdout FILE] [--stderr FILE] -- CMD...   run a command, write its cost, return its exit code
measure.py lab OUT.json                                             cost of the processes of lab $VCLUSTER_LAB until now
measure.py idle OUT.json                                            what the hosts of lab $VCLUSTER_LAB hold: processes, files, memory
measure.py diff BEFORE.json AFTER.json                              the difference of two such files, as JSON
measure.py get FILE.json KEY                                        one value of a JSON file
measure.py stages FILE.jsonl                                        the times of the stages in the JSON lines of `vcluster up`
measure.py median NUMBER...                                         the median
measure.py table                                                    tab-separated lines on stdin as an aligned table
"""

import json
import os
import re
import statistics
import subprocess
import sys
import time

TICKS = os.sysconf("SC_CLK_TCK")


def run(out, arguments):
    files = {}
    while arguments and arguments[0] in ("--stdout", "--stderr"):
        files[arguments[0][2:]] = open(arguments[1], "wb")
        arguments = arguments[2:]
    if not arguments or arguments[0] != "--" or len(arguments) < 2:
        sys.exit(__doc__)
    began = time.monotonic()
    try:
        process = subprocess.Popen(arguments[1:], **files)
    except OSError as error:
        sys.exit(f"error: {arguments[1]}: {error.strerror}")
    # The kernel includes all children that the command has waited for.
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except KeyboardInterrupt:
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    code = os.waitstatus_to_exitcode(status)
    code = 128 - code if code < 0 else code
    write(out, {
        "wall": round(wall, 3),
        "cpu": round(usage.ru_utime + usage.ru_stime, 3),
        "user": round(usage.ru_utime, 3),
        "system": round(usage.ru_stime, 3),
        # The largest single process, in KiB. Linux includes the process before exec, so the minimum is about
        # 15 MiB (this script).
        "peak_rss_kib": usage.ru_maxrss,
        "exit_code": code,
    })
    return code


def write(path, value):
    text = json.dumps(value, indent=2) + "\n"
    if path == "-":
        sys.stdout.write(text)
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def read_stat(pid):
    """Name, own CPU seconds and CPU seconds of ended children of a process."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        text = file.read()
    # The name is in parentheses and may contain any character, even parentheses.
    name = text[text.index("(") + 1:text.rindex(")")]
    fields = text[text.rindex(")") + 2:].split()
    own = (int(fields[11]) + int(fields[12])) / TICKS
    ended = (int(fields[13]) + int(fields[14])) / TICKS
    return name, own, ended


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def lab_namespaces(lab):
    """PID namespaces of the lab's hosts: those of the processes that carry the lab's token and are PID 1 inside."""
    token = re.compile(rb"vcluster-lab=" + re.escape(lab.encode()) + rb"/bm[0-9]+")
    spaces = set()
    for pid in pids():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if not any(token.fullmatch(word) for word in file.read().split(b"\0")):
                    continue
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                if not re.search(r"^NSpid:.*\s1$", file.read(), re.MULTILINE):
                    continue
            spaces.add(os.readlink(f"/proc/{pid}/ns/pid"))
        except OSError:
            continue
    return spaces


def memory(pid):
    """PSS and RSS in KiB."""
    values = {"Pss": 0, "Rss": 0}
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        for line in file:
            key, _, rest = line.partition(":")
            if key in values:
                values[key] = int(rest.split()[0])
    return values["Pss"], values["Rss"]


def lab_usage(lab, with_memory=True):
    """CPU seconds since the start of each process, by kind. An ended process counts for the kind of its parent; the
    parent of an ended QEMU is its host's init: `ended`."""
    spaces = lab_namespaces(lab)
    if not spaces:
        sys.exit(f"error: lab {lab} is not up")
    usage = {"hosts": len(spaces), "qemu": 0.0, "libvirtd": 0.0, "sshd": 0.0, "other": 0.0, "ended": 0.0,
             "qemu_count": 0, "qemu_pss_kib": 0, "qemu_rss_kib": 0}
    for pid in pids():
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") not in spaces:
                continue
            name, own, ended = read_stat(pid)
            if name.startswith("qemu-system"):
                usage["qemu"] += own + ended
                usage["qemu_count"] += 1
                if with_memory:
                    pss, rss = memory(pid)
                    usage["qemu_pss_kib"] += pss
                    usage["qemu_rss_kib"] += rss
            elif name in ("libvirtd", "virtqemud") or name.startswith("sshd"):
                usage["sshd" if name.startswith("sshd") else "libvirtd"] += own + ended
            elif name == "host-init":
                usage["other"] += own
                usage["ended"] += ended
            else:
                usage["other"] += own + ended
        except OSError:
            # It ended meanwhile; its time counts for its parent, now or in the next measurement.
            continue
    usage["total"] = sum(usage[kind] for kind in ("qemu", "libvirtd", "sshd", "other", "ended"))
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in usage.items()}


def lab_idle(lab):
    """What the hosts hold between two clusters: it must not grow with the number of past clusters."""
    spaces = lab_namespaces(lab)
    if not spaces:
        sys.exit(f"error: lab {lab} is not up")
    held = {"processes": 0, "open_files": 0, "libvirtd_rss_kib": 0, "sshd_rss_kib": 0}
    for pid in pids():
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") not in spaces:
                continue
            name, _, _ = read_stat(pid)
            held["processes"] += 1
            held["open_files"] += len(os.listdir(f"/proc/{pid}/fd"))
            for kind in ("libvirtd", "sshd"):
                if name.startswith(kind):
                    held[f"{kind}_rss_kib"] += memory(pid)[1]
        except OSError:
            # It ended meanwhile.
            continue
    return held


def difference(before, after):
    keep = ("hosts", "qemu_count", "qemu_pss_kib", "qemu_rss_kib")
    return {key: value if key in keep else round(value - before.get(key, 0), 3) for key, value in after.items()}


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def stages(path):
    summary = None
    with open(path, encoding="utf-8") as file:
        for line in file:
            value = json.loads(line)
            if value.get("type") == "summary":
                summary = value
    if summary is None:
        sys.exit(f"error: {path} contains no summary")
    print("stage\tdone\tfailed\tp50 s\tp95 s\tmax s")
    for stage in summary["stages"]:
        times = [f"{stage[key]:.2f}" if key in stage else "-" for key in ("p50", "p95", "max")]
        print("\t".join([stage["stage"], f"{stage['done']}/{stage['total']}", str(stage["failed"]), *times]))


def table():
    rows = [line.rstrip("\n").split("\t") for line in sys.stdin]
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(max(map(len, rows), default=0))]
    for row in rows:
        # Numbers are right-aligned, names left-aligned.
        cells = [cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())


def main(arguments):
    command, rest = (arguments[0] if arguments else ""), arguments[1:]
    if command == "run" and rest:
        return run(rest[0], rest[1:])
    if command == "lab" and len(rest) == 1:
        write(rest[0], lab_usage(os.environ.get("VCLUSTER_LAB", "lab")))
    elif command == "idle" and len(rest) == 1:
        write(rest[0], lab_idle(os.environ.get("VCLUSTER_LAB", "lab")))
    elif command == "diff" and len(rest) == 2:
        write("-", difference(load(rest[0]), load(rest[1])))
    elif command == "get" and len(rest) == 2:
        print(load(rest[0])[rest[1]])
    elif command == "stages" and len(rest) == 1:
        stages(rest[0])
    elif command == "median" and rest:
        print(f"{statistics.median(map(float, rest)):.3f}")
    elif command == "table":
        table()
    else:
        sys.stderr.write(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
