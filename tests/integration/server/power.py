# SPDX-License-Identifier: MIT
"""`python power.py SOCKET COMMAND`: a word to QEMU's monitor, as to a server's BMC."""

import socket
import sys


def tell(path, command):
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(20)
        monitor.connect(str(path))
        for line in ("", command):
            if line:
                monitor.sendall(f"{line}\n".encode())
            said = b""
            while b"(qemu) " not in said.replace(line.encode(), b"", 1):
                said += monitor.recv(4096)


if __name__ == "__main__":
    tell(sys.argv[1], sys.argv[2])
