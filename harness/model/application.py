# SPDX-License-Identifier: MIT
"""The applications: what each one runs, where, and which figure it gives.

Each is a file in `applications/`, all with the same steps: `prepare` and `start` in the system
that is measured, `load` at the client once the server's `port` answers, and then, `runs` times,
`client` there or `run` in the system itself. A step is a line of shell and finds its amounts in
variables, and in `server` the address of what is measured, in `cpus` its number of CPUs.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from harness.errors import GuestError
from harness.model.measurement import Metric

_FOLDER = Path(__file__).with_name("applications")
Size = Literal["paper", "small"]


@dataclass(frozen=True)
class Application:
    """One of them. `value` finds the figure in the answer, which is in `unit` after a division by
    `per`; what is `licensed` the user has to bring; `paper` holds the amounts of the
    paper's authors, `small` those for an emulated processor."""

    name: str
    title: str
    metric: Metric
    unit: str
    better: Literal["higher", "lower"]
    value: str
    paper: Mapping[str, int]
    small: Mapping[str, int]
    per: float = 1.0
    licensed: bool = False
    prepare: str = ""
    start: str = ""
    port: int | None = None
    load: str = ""
    client: str = ""
    run: str = ""

    def amounts(self, size: Size) -> Mapping[str, int]:
        """Its parameters, `runs` among them."""
        return self.paper if size == "paper" else self.small

    def parse(self, answer: str) -> float:
        """The figure in `answer`. Raises GuestError if there is none, or a senseless one."""
        match = re.search(self.value, answer, re.MULTILINE)
        figure = float(match[1]) if match else 0.0
        if figure <= 0:
            raise GuestError(f"no figure in its answer:\n{answer.strip()[-2000:]}")
        return figure / self.per


@cache
def applications() -> Mapping[str, Application]:
    """All of them by name."""
    return {file.stem: _read(file) for file in sorted(_FOLDER.glob("*.toml"))}


def _read(file: Path) -> Application:
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    return Application(**{**data, "name": file.stem, "metric": Metric(data["metric"])})
