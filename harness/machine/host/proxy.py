# SPDX-License-Identifier: MIT
"""A command whose standard streams are a connection, as a socket."""

import os
import re
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from harness.process import environment, lab_environment

_END_SECONDS = 5
_WORDS_SECONDS = 1
_LAST_LINES = 2
# What ssh prints around the cause: a banner, advice, and that the ssh before it has ended.
_NOISE = re.compile(
    r"\s*$|@|kex_exchange_identification:|Connection closed by UNKNOWN|"
    r".*remove with:|\s*ssh-keygen "
)


class Proxy:
    """The command; it has no terminal to ask anybody on."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = argv
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = -1

    def open(self) -> socket.socket:
        """Start it; the other end of its streams."""
        self.close()
        ours, its = socket.socketpair()
        self._errors = os.memfd_create("errors")
        with its:
            self._process = subprocess.Popen(
                list(self.argv),
                stdin=its.fileno(),
                stdout=its.fileno(),
                stderr=self._errors,
                env=environment(lab_environment()),
                start_new_session=True,
            )
        return ours

    def said(self) -> str:
        """Its last lines on standard error, in one."""
        if self._errors < 0 or self._process is None:
            return ""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_WORDS_SECONDS)
        text = os.pread(self._errors, 1 << 16, 0).decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if not _NOISE.match(line)]
        return "; ".join(lines[-_LAST_LINES:])

    def close(self) -> None:
        """End it; never raises."""
        if self._process:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._errors >= 0:
            os.close(self._errors)
            self._errors = -1
