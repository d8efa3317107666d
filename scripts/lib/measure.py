#!/usr/bin/env python3
"""Measures the cost of a command and of the processes of a lab, and prints tables. Standard library only; Linux.
What vcluster measures itself is not measured here: see docs/experiments.md.

measure.py run OUT.json [--lab] [--stdout FILE] [--stderr FILE] -- CMD...
        run a command, write its cost, return its exit code; --lab: also the cost of the lab's processes meanwhile
measure.py idle OUT.json                  what the hosts of the lab hold: processes, files, memory
measure.py pauses OUT.json RESULTS        seconds between the runs of the experiment in a directory, and of a run
measure.py samples OUT.json RESULTS METRIC
        sum and number of the samples of a metric, over all runs in a directory
measure.py cells DIR NAME EXPRESSION...   values of DIR/NAME.json, tab-separated. NAME may be a pattern: then of the medians.
                                          An expression in Python uses the keys, and `of(NAME).key`; `:1` at its end: one
                                          decimal, without it two. `-` is an empty cell
measure.py table                          tab-separated lines on stdin as an aligned table

The lab is $VCLUSTER_LAB.
"""

import glob
import json
import os
import re
import statistics
import subprocess
import sys
import time
import types

TICKS = os.sysconf("SC_CLK_TCK")
# Not sums, so they are of the moment at the end.
OF_A_MOMENT = ("hosts", "qemu_count", "qemu_pss_kib", "qemu_rss_kib")


def run(out, arguments):
    files, lab = {}, None
    while arguments and arguments[0] in ("--lab", "--stdout", "--stderr"):
        if arguments[0] == "--lab":
            lab, arguments = lab_usage(), arguments[1:]
        else:
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
    cost = {"wall": time.monotonic() - began, "cpu": usage.ru_utime + usage.ru_stime}
    code = os.waitstatus_to_exitcode(status)
    cost["exit_code"] = 128 - code if code < 0 else code
    # The largest single process. Linux includes the process before exec, so the minimum is about 15 MiB (this script).
    cost["peak_rss_kib"] = usage.ru_maxrss
    if lab:
        cost |= {key: value if key in OF_A_MOMENT else value - lab[key] for key, value in lab_usage().items()}
    write(out, cost)
    return cost["exit_code"]


def write(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({key: round(number, 3) for key, number in value.items()}, file, indent=2)


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


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


def lab_namespaces():
    """PID namespaces of the lab's hosts: those of the processes that carry the lab's token and are PID 1 inside."""
    lab = os.environ.get("VCLUSTER_LAB", "lab")
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
    if not spaces:
        sys.exit(f"error: lab {lab} is not up")
    return spaces


def each_process(spaces, visit):
    """Calls `visit` with the PID, name and CPU seconds of each process of the hosts."""
    for pid in pids():
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") in spaces:
                visit(pid, *read_stat(pid))
        except OSError:
            # It ended meanwhile; its time counts for its parent, now or in the next measurement.
            continue


def memory(pid):
    """PSS and RSS in KiB."""
    values = {"Pss": 0, "Rss": 0}
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        for line in file:
            key, _, rest = line.partition(":")
            if key in values:
                values[key] = int(rest.split()[0])
    return values["Pss"], values["Rss"]


def lab_usage():
    """CPU seconds since the start of each process, by kind. An ended process counts for the kind of its parent; the
    parent of an ended QEMU is its host's init: `ended`."""
    spaces = lab_namespaces()
    usage = {"hosts": len(spaces), "qemu": 0.0, "libvirtd": 0.0, "sshd": 0.0, "other": 0.0, "ended": 0.0,
             "qemu_count": 0, "qemu_pss_kib": 0, "qemu_rss_kib": 0}

    def visit(pid, name, own, ended):
        if name.startswith("qemu-system"):
            usage["qemu"] += own + ended
            usage["qemu_count"] += 1
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

    each_process(spaces, visit)
    usage["total"] = sum(usage[kind] for kind in ("qemu", "libvirtd", "sshd", "other", "ended"))
    return usage


def lab_idle():
    """What the hosts hold between two clusters: it must not grow with the number of past clusters."""
    held = {"processes": 0, "open_files": 0, "libvirtd_rss_kib": 0, "sshd_rss_kib": 0}

    def visit(pid, name, _own, _ended):
        held["processes"] += 1
        held["open_files"] += len(os.listdir(f"/proc/{pid}/fd"))
        for kind in ("libvirtd", "sshd"):
            if name.startswith(kind):
                held[f"{kind}_rss_kib"] += memory(pid)[1]

    each_process(lab_namespaces(), visit)
    return held


def cells(folder, name, expressions):
    def of(name):
        files = sorted(glob.glob(os.path.join(folder, f"{name}.json")))
        if not files:
            sys.exit(f"error: {folder} has no {name}.json")
        measured = [load(path) for path in files]
        return types.SimpleNamespace(**{key: statistics.median(one[key] for one in measured) for key in measured[0]})

    # Expressions are written in our scripts. What a user gives them is checked to be a number before (`how_many`).
    def cell(text):
        expression, _, decimals = text.partition(":")
        return text if text == "-" else f"{eval(expression, {'of': of}, vars(of(name))):.{decimals or 2}f}"

    print("\t".join(map(cell, expressions)))


def pauses(results):
    """The times are those of files, because `run.json` has whole seconds: `plan.json` is written when a run begins, and
    `results.json` is the last file of a run."""
    names = [name for name in os.listdir(results) if name.endswith(".json")]
    if len(names) != 1:
        sys.exit(f"error: {results} has {len(names)} experiments, not one")
    runs = [os.path.join(results, run["run"]) for run in load(os.path.join(results, names[0]))["runs"]]
    if len(runs) < 2:
        sys.exit(f"error: {results}/{names[0]} has no two runs")
    begins = [os.stat(os.path.join(run, "plan.json")).st_mtime for run in runs]
    ends = [os.stat(os.path.join(run, "results.json")).st_mtime for run in runs]
    between = [begin - end for begin, end in zip(begins[1:], ends)]
    took = [end - begin for begin, end in zip(begins, ends)]
    return {"median": statistics.median(between), "least": min(between), "most": max(between), "run": statistics.median(took)}


def samples(results, metric):
    values = []
    for name in os.listdir(results):
        path = os.path.join(results, name, "samples.jsonl")
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            found = map(json.loads, file)
            values += [sample["value"] for sample in found if sample["metric"] == metric]
    if not values:
        sys.exit(f"error: no run in {results} has samples of {metric}")
    return {"sum": sum(values), "count": len(values)}


def table():
    rows = [line.rstrip("\n").split("\t") for line in sys.stdin]
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(max(map(len, rows), default=0))]
    for row in rows:
        # Numbers are right-aligned, names left-aligned.
        padded = [cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(padded).rstrip())


def main(arguments):
    match arguments:
        case ["run", out, *rest]:
            return run(out, rest)
        case ["idle", out]:
            write(out, lab_idle())
        case ["pauses", out, results]:
            write(out, pauses(results))
        case ["samples", out, results, metric]:
            write(out, samples(results, metric))
        case ["cells", folder, name, *expressions] if expressions:
            cells(folder, name, expressions)
        case ["table"]:
            table()
        case _:
            sys.stderr.write(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
