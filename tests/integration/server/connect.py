# SPDX-License-Identifier: MIT
"""`python connect.py PORT`: standard input and output become a connection to that port here."""

import os
import selectors
import socket
import sys


def connect(port):
    with socket.create_connection(("127.0.0.1", port)) as far, selectors.DefaultSelector() as ready:
        ways = {0: (0, far.fileno()), far.fileno(): (far.fileno(), 1)}
        for source in ways:
            ready.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                source, target = ways[key.fd]
                chunk = os.read(source, 65536)
                if not chunk:
                    return
                while chunk:
                    chunk = chunk[os.write(target, chunk) :]


if __name__ == "__main__":
    connect(int(sys.argv[1]))
