# SPDX-License-Identifier: MIT
"""How work reports its stages."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager


class Stages(ABC):
    """Interface through which work reports its stages; several may be under way at once."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage that ends well, or whose failure is said with its name."""
        started = time.monotonic()
        self.begin(name)
        try:
            yield
        except BaseException:
            self.end(name, "failed", time.monotonic() - started)
            raise
        self.end(name, "ok", time.monotonic() - started)

    @abstractmethod
    def begin(self, name: str) -> None: ...

    @abstractmethod
    def end(self, name: str, verdict: str, seconds: float) -> None: ...

    @abstractmethod
    def note(self, text: str) -> None: ...
