#!/usr/bin/env python3
"""The outputs of commands in a page, between `<!-- output: COMMAND -->` and `<!-- end -->`. Standard library only.

marks.py list PAGE                    the commands of a page, in their order, one per line
marks.py fill PAGE COMMAND OUTPUT     puts the text of the file OUTPUT below the mark of a command; adds a missing end
"""

import re
import sys

MARK = re.compile(r"<!-- output: (.*) -->")
END = "<!-- end -->"


def read(page):
    with open(page, encoding="utf-8") as file:
        return file.read().split("\n")


def command_of(line):
    found = MARK.fullmatch(line)
    return found.group(1) if found else None


def after(lines, begin):
    """Where the text goes on after what stands below a mark: behind its end, or at once if it has none yet."""
    for number in range(begin, len(lines)):
        if lines[number] == END:
            return number + 1
        if command_of(lines[number]) is not None:
            break
    return begin


def filled(lines, command, output):
    places = [number for number, line in enumerate(lines) if command_of(line) == command]
    if len(places) != 1:
        sys.exit(f"error: the page has {len(places)} marks of `{command}`, not one")
    begin = places[0] + 1
    fence = "```"
    while any(line.startswith(fence) for line in output):
        fence += "`"
    return [*lines[:begin], f"{fence}text", *output, fence, END, *lines[after(lines, begin):]]


def fill(page, command, output):
    with open(output, encoding="utf-8", errors="replace") as file:
        text = file.read().rstrip("\n").split("\n")
    lines = filled(read(page), command, [line.rstrip() for line in text])
    with open(page, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "list":
        for command in filter(None, map(command_of, read(arguments[1]))):
            print(command)
        return 0
    if len(arguments) == 4 and arguments[0] == "fill":
        fill(*arguments[1:])
        return 0
    sys.stderr.write(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
