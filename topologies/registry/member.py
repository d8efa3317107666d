#!/usr/bin/python3
"""A member: joins the registry again and again, as after lost connections, and checks what it is sent.

Arguments: ADDRESS PORT NAME MEMBERS ROUNDS KEY=VALUE...
"""

import socket
import sys
import time
import zlib


class Member:
    def __init__(self, registry, name, pairs):
        self.registry = registry
        self.words = " ".join(pairs)
        self.name = name
        self.version = "0"
        self.known = {}

    def ask(self, request):
        """Sends a request, and returns the lines of the answer."""
        with socket.create_connection(self.registry) as connection:
            connection.sendall(request.encode() + b"\n")
            with connection.makefile("r", encoding="utf-8") as answer:
                return answer.read().splitlines()

    def join(self):
        """Joins, and takes over the states in the answer."""
        *states, end = self.ask(f"join {self.name} {self.version} {self.words}")
        word, self.version = end.split()
        if word != "end":
            sys.exit(f"the answer ends with `{end}`")
        for line in states:
            state, _, crc = line.rpartition(" crc=")
            if zlib.crc32(state.encode()) != int(crc, 16):
                sys.exit(f"wrong checksum: `{line}`")
            self.known[state.split(" ", 1)[0]] = state

    def meet(self, place, count):
        """Waits until all callers are at a place of the registry."""
        if self.ask(f"meet {place} {count}") != ["met"]:
            sys.exit(f"the registry ended while members met at `{place}`")


def main():
    address, port, name, members, rounds, *pairs = sys.argv[1:]
    members = int(members)
    member = Member((address, int(port)), name, pairs)
    # A Python that starts needs more CPU time than a join: all have started before the first one joins.
    member.meet("start", members)
    for number in range(int(rounds)):
        if number == 1:
            member.meet("joined", members)
        began = time.monotonic()
        member.join()
        print(f"joined in {time.monotonic() - began:.6f} s")
    print(f"knows {len(member.known)} members", flush=True)
    # The node of the registry waits there as well.
    member.meet("end", members + 1)
    if len(member.known) != members:
        sys.exit(f"{members} members have joined")


if __name__ == "__main__":
    main()
