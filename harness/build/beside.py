# SPDX-License-Identifier: MIT
"""Preparations in parallel: one waits for the network or a disk while another compiles."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from harness.errors import HarnessError
from harness.worker import Worker


@contextmanager
def beside(make: Callable[..., Any], *arguments: Any) -> Iterator[None]:
    """Have a process call `make`, a function of a module, to put something into the cache. Errors
    are none of ours: whoever needs it afterwards makes it, and says why that fails."""
    worker = Worker(_made, make, *arguments)
    try:
        yield
    except BaseException:
        worker.end()
        raise
    finally:
        worker.gone()


def _made(_line: Connection, make: Callable[..., Any], *arguments: Any) -> None:
    with suppress(HarnessError, OSError):
        make(*arguments)
