# SPDX-License-Identifier: MIT
"""pexpect over an SSH channel, beside pexpect's own pty and socket spawns."""

import time
from typing import TYPE_CHECKING, BinaryIO

import paramiko
from pexpect.exceptions import EOF, TIMEOUT
from pexpect.spawnbase import SpawnBase

if TYPE_CHECKING:
    _Base = SpawnBase[str]
else:
    _Base = SpawnBase  # generic for type checkers only

_CHUNK = 1 << 18


class ChannelSpawn(_Base):
    """The far end of `channel` as something to expect from."""

    def __init__(self, channel: paramiko.Channel) -> None:
        super().__init__(timeout=None, encoding="utf-8", codec_errors="replace")
        self.channel = channel

    def read_nonblocking(self, size: int = 1, timeout: float | None = None) -> str:
        self.channel.settimeout(timeout)
        try:
            data = self.channel.recv(size)
        except TimeoutError as error:
            raise TIMEOUT("channel silent") from error
        if not data:
            self.flag_eof = True
            raise EOF("channel closed")
        text: str = self._decoder.decode(data, final=False)  # type: ignore[attr-defined]
        self._log(text, "read")  # type: ignore[attr-defined]
        return text

    def send(self, text: str) -> int:
        self.channel.settimeout(30)
        data = text.encode()
        try:
            self.channel.sendall(data)
        except OSError as error:
            raise EOF(f"channel closed: {error}") from error
        return len(data)

    def feed(self, source: BinaryIO, seconds: float) -> None:
        """All of `source`, and its end, to a program without a terminal. Raises OSError if the
        program takes none, TimeoutError if that is so for `seconds`."""
        self.channel.settimeout(seconds)
        while chunk := source.read(_CHUNK):
            self.channel.sendall(chunk)
        self.channel.shutdown_write()

    def isalive(self) -> bool:
        return not self.channel.exit_status_ready()

    def close(self) -> None:
        """Hang up: the far pty goes and its program gets SIGHUP."""
        self.channel.close()

    def wait(self) -> int:
        """Exit status of the program, -1 if the connection broke before it came."""
        deadline = time.monotonic() + 10
        while not self.channel.status_event.wait(0.1) and time.monotonic() < deadline:
            if self.channel.closed:
                break
        return self.channel.recv_exit_status() if self.channel.exit_status_ready() else -1
