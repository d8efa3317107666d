#!/usr/bin/python3
"""A registry of members: who is there, and where. One request per connection:

    join NAME VERSION KEY=VALUE...   answered by a line per state, then `end VERSION`
    meet PLACE COUNT                 answered by `met` as soon as COUNT callers are at the place

Arguments: ADDRESS PORT DIRECTORY PID_FILE. The directory keeps a file per member. The PID is written as soon as members
can connect.
"""

import logging
import os
import socket
import sys
import threading
import zlib

log = logging.getLogger("registry")


def encode(name, state):
    """A state as a line with a checksum."""
    words = [name, *(f"{key}={value}" for key, value in sorted(state.items()))]
    line = " ".join(words)
    return f"{line} crc={zlib.crc32(line.encode()):08x}\n".encode()


class Registry:
    def __init__(self, directory):
        self.directory = directory
        self.lock = threading.Lock()
        self.version = 0
        self.places = {}

    def store(self, name, state):
        """Writes the state of a member to its file."""
        with open(f"{self.directory}/{name}", "w", encoding="utf-8") as file:
            file.write(" ".join(f"{key}={value}" for key, value in state.items()))

    def fetch(self, name):
        """Reads the state of a member from its file."""
        with open(f"{self.directory}/{name}", encoding="utf-8") as file:
            return dict(pair.split("=", 1) for pair in file.read().split())

    def join(self, name, version, state, reply):
        """Adds a member, or replaces its state, and sends it the state of every member."""
        with self.lock:
            self.store(name, state)
            self.version += 1
            for other in sorted(os.listdir(self.directory)):
                reply.write(encode(other, self.fetch(other)))
                reply.flush()
                log.info("sent the state of %s to %s", other, name)
            reply.write(f"end {self.version}\n".encode())
            reply.flush()
            log.info("%s joined", name)

    def meet(self, place, count, reply):
        """Answers as soon as all callers are there."""
        with self.lock:
            barrier = self.places.setdefault(place, threading.Barrier(count))
        barrier.wait()
        reply.write(b"met\n")
        reply.flush()


def answer(registry, connection):
    """Reads a request and answers it."""
    with connection, connection.makefile("rb") as request, connection.makefile("wb") as reply:
        words = request.readline(4096).decode().split()
        match words:
            case ["join", name, version, *pairs] if name.isalnum():
                state = dict(pair.split("=", 1) for pair in pairs)
                registry.join(name, version, state, reply)
            case ["meet", place, count]:
                registry.meet(place, int(count), reply)
            case _:
                reply.write(b"error: no such request\n")


def main():
    address, port, directory, pid_file = sys.argv[1:]
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    os.makedirs(directory, exist_ok=True)
    registry = Registry(directory)
    listener = socket.create_server((address, int(port)), backlog=1024)
    with open(pid_file, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(registry, connection), daemon=True).start()


if __name__ == "__main__":
    main()
