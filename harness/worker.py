# SPDX-License-Identifier: MIT
"""A child process that exchanges messages with the command over a pipe, and ends with it.

A process has its own signals, open files and children. One that is told to end cleans up as the
command itself would; what one has started that is killed, the kernel ends (`process.mortal`).
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

_PROCESSES = get_context("spawn")  # a fork would have our threads' locks, and none of our threads
_OF_THE_TERMINAL = (signal.SIGINT, signal.SIGHUP)
# To give a server its own kernel back, say. Whoever interrupts us again does not wait.
_CLEAN_UP_SECONDS = 600


class Worker:
    """Calls `work`, a function of a module, with our end of the `line` and `arguments`, all of
    which can be pickled."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self.line, far = _PROCESSES.Pipe()
        self._process: BaseProcess = _PROCESSES.Process(
            target=_serve, args=(work, far, *arguments), daemon=True
        )
        with _held_back():  # until it can take them
            self._process.start()
        far.close()

    def end(self) -> None:
        """Have it end, after cleaning up; it may still send, but nothing more comes from here.

        An error of the cleaning up may take the place of the interruption, and the worker would
        wait for us.
        """
        self._process.terminate()
        with socket.fromfd(self.line.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.shutdown(socket.SHUT_WR)

    def gone(self) -> int:
        """Wait for its end; its status, or the negative number of the signal that killed it."""
        self._process.join(_CLEAN_UP_SECONDS)
        self._process.kill()
        self._process.join()
        self.line.close()
        return self._process.exitcode or 0


@contextmanager
def _held_back() -> Iterator[None]:
    """Signals of the terminal come later, also to children that are started meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(work: Callable[..., None], line: Connection, *arguments: Any) -> None:
    """In the process."""
    # Of the terminal's signals we hear from the command. No SIG_IGN: children would inherit it.
    for number in _OF_THE_TERMINAL:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_THE_TERMINAL)
    signal.signal(signal.SIGTERM, _interrupted)
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    # It closes the line when it has enough.
    with suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        work(line, *arguments)


def _interrupted(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _end_with_the_command() -> None:
    command = parent_process()
    assert command is not None
    command.join()
    os.kill(os.getpid(), signal.SIGTERM)
