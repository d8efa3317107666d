#!/usr/bin/env python3
"""Reads what `vcluster compare --format json` said of many experiments, for scripts/verdicts. Standard library only.

verdicts.py loops LOOPS CPU.json           loops that take a second, by what `measure.py samples` found for LOOPS
verdicts.py words FILE.json                one comparison in a few words
verdicts.py rows DIRECTORY CHANGE...       a row for each injected change, of the files CHANGE.*.json; tab-separated
verdicts.py check DIRECTORY CHANGE...      exit code 1 if equal sides were called different, or a large change was not found
"""

import glob
import os
import statistics
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from measure import load

VERDICTS = ["worse", "equal", "inconclusive", "better"]
# Percent. Smaller ones lie at or below what counts by default.
LARGE = 10


def loops(count, measured):
    found = load(measured)
    # Less than a tick counts as one, so that no step is larger than a hundredfold.
    seconds = max(found["sum"] / found["count"], 0.01)
    return max(round(int(count) / seconds), 1)


class Comparison:
    def __init__(self, path):
        comparisons = load(path)["comparisons"]
        if len(comparisons) != 1 or len(comparisons[0]["judged"]) != 1:
            sys.exit(f"error: {path} is not one comparison with one judged metric")
        metric = comparisons[0]["judged"][0]
        self.verdict = comparisons[0]["verdict"]
        self.change = 100 * metric["change"]
        self.detectable = metric["detectable"]

    def words(self):
        return f"{self.verdict} ({self.change:+.1f} %)"


def comparisons(directory, change):
    paths = glob.glob(os.path.join(directory, f"{change}.*.json"))
    if not paths:
        sys.exit(f"error: {directory} has no comparison with {change} % more work")
    return [Comparison(path) for path in sorted(paths)]


def row(directory, change):
    found = comparisons(directory, change)
    changes = [comparison.change for comparison in found]
    counts = [sum(comparison.verdict == verdict for comparison in found) for verdict in VERDICTS]
    detectable = [100 * comparison.detectable for comparison in found if comparison.detectable is not None]
    cells = [f"{change} %", len(found), *counts, f"{statistics.median(changes):+.1f} %"]
    cells.append(f"{min(changes):+.1f} to {max(changes):+.1f} %")
    cells.append(f"{statistics.median(detectable):.1f} %" if detectable else "-")
    return "\t".join(map(str, cells))


def rows(directory, changes):
    print("more work", "experiments", *VERDICTS, "median change", "changes", "could have found, median", sep="\t")
    for change in changes:
        print(row(directory, change))


def check(directory, changes):
    failed = False
    for change in map(int, changes):
        found = comparisons(directory, change)
        if change == 0:
            wrong = [comparison for comparison in found if comparison.verdict in ("worse", "better")]
            what = "false alarms"
        elif change >= LARGE:
            wrong = [comparison for comparison in found if comparison.verdict != "worse"]
            what = f"not found with {change} % more work"
        else:
            continue
        failed |= bool(wrong)
        print(f"{what}: {len(wrong)} of {len(found)}{' FAILED' if wrong else ''}")
    return 1 if failed else 0


def main(arguments):
    command, rest = (arguments[0] if arguments else ""), arguments[1:]
    if command == "loops" and len(rest) == 2:
        print(loops(*rest))
    elif command == "words" and len(rest) == 1:
        print(Comparison(rest[0]).words())
    elif command == "rows" and len(rest) >= 2:
        rows(rest[0], rest[1:])
    elif command == "check" and len(rest) >= 2:
        return check(rest[0], rest[1:])
    else:
        sys.stderr.write(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
