# SPDX-License-Identifier: MIT
"""How long we take ourselves: what the README and the book say of it comes from here.

python -m tests.bench [--times N] [--output FILE] [WHAT ...] runs each of WHAT several times, on a
machine that has nothing else to do, and writes medians as JSON. `cold` and what it needs take an
hour; Debian's packages are installed, and pip downloads all that it installs.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from statistics import median

import psutil

from harness.paths import ROOT
from harness.version import harness_version

NEVE = [sys.executable, "-m", "harness"]
RECORDED = ROOT / "tests" / "recorded" / "schema1"
_RUN = "20261127-085041-fallback-08f6"
_POLL = 0.2


@dataclass(frozen=True)
class Place:
    """Where something is measured: `folder` is new each time."""

    folder: Path

    def run(self, *argv: str, cwd: Path | None = None, **env: str) -> None:
        """Raise SystemExit with its last lines if it fails."""
        with self._started(*argv, cwd=cwd, **env) as process:
            process.wait()

    def watch(self, *argv: str, runs: Path, cwd: Path | None = None, **env: str) -> float:
        """Run it; after how many seconds the first cell in the folder `runs` had ended."""
        started, first = time.monotonic(), 0.0
        with self._started(*argv, cwd=cwd, **env) as process:
            while process.poll() is None:
                if not first and any(runs.glob("*/cells.jsonl")):
                    first = time.monotonic() - started
                time.sleep(_POLL)
        return first

    @contextmanager
    def _started(
        self, *argv: str, cwd: Path | None, **env: str
    ) -> Iterator["subprocess.Popen[bytes]"]:
        log = self.folder / "log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                argv,
                cwd=cwd or self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **env},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if process.returncode:
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
            raise SystemExit("\n".join([f"{' '.join(argv)}: status {process.returncode}", *tail]))


Seconds = dict[str, float]


def _cold(place: Place) -> Seconds:
    """`make reproduce` in a new checkout, with empty caches: ours and pip's."""
    checkout = place.folder / "checkout"
    place.run("git", "clone", "--quiet", str(ROOT), str(checkout))
    cache = str(place.folder / "cache")
    started = time.monotonic()
    first = place.watch(
        "make",
        "reproduce",
        cwd=checkout,
        runs=checkout / "runs",
        NEVE_CACHE=cache,
        PIP_NO_CACHE_DIR="1",
        PYTHONPATH="",
    )
    return {"cold": time.monotonic() - started, "cold: first figures": first}


def _neve(name: str, *words: str) -> Callable[[Place], Seconds]:
    def measure(place: Place) -> Seconds:
        return {name: _timed(lambda: place.run(*NEVE, *words))}

    return measure


def _warm(place: Place) -> Seconds:
    """A run whose kernels and images are there; the first one of all makes sure of that."""
    started = time.monotonic()
    first = place.watch(*NEVE, "run", "fallback", runs=place.folder / "runs")
    return {"warm": time.monotonic() - started, "warm: first figures": first}


def _runs(place: Place) -> Seconds:
    copytree(RECORDED, place.folder / "runs")
    return {"runs": _timed(lambda: place.run(*NEVE, "runs"))}


def _report(place: Place) -> Seconds:
    copytree(RECORDED / _RUN, place.folder / "runs" / _RUN)
    return {"report": _timed(lambda: place.run(*NEVE, "report", _RUN))}


def _made(target: str) -> Callable[[Place], Seconds]:
    def measure(place: Place) -> Seconds:
        return {target: _timed(lambda: place.run("make", target, cwd=ROOT, PYTHONPATH=""))}

    return measure


@dataclass(frozen=True)
class Benchmark:
    """`times` is how often it is run, `warm_up` whether a first run does not count."""

    measure: Callable[[Place], Seconds]
    times: int
    warm_up: bool = True


BENCHMARKS = {
    "help": Benchmark(_neve("help", "--help"), 10),
    "plan": Benchmark(_neve("plan", "plan", "fallback"), 10),
    "runs": Benchmark(_runs, 10),
    "report": Benchmark(_report, 10),
    "unit": Benchmark(_made("unit"), 3, warm_up=False),
    "warm": Benchmark(_warm, 3),
    "paper": Benchmark(_neve("paper", "run", "paper"), 3),
    "cold": Benchmark(_cold, 3, warm_up=False),
    "test": Benchmark(_made("test"), 1, warm_up=False),
}


def _timed(work: Callable[[], None]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def measured(name: str, times: int | None = None) -> dict[str, dict[str, object]]:
    """{what: its median, the CPU time of the program and all that it has waited for, and every
    value, in seconds} of the benchmark `name`."""
    benchmark = BENCHMARKS[name]
    found: dict[str, list[float]] = {}
    cpu: list[float] = []
    for number in range((times or benchmark.times) + benchmark.warm_up):
        with tempfile.TemporaryDirectory(prefix="neve-bench-") as folder:
            before = _cpu()
            taken = benchmark.measure(Place(Path(folder)))
        if number < benchmark.warm_up:
            continue
        cpu.append(_cpu() - before)
        for what, seconds in taken.items():
            found.setdefault(what, []).append(round(seconds, 3))
    return {
        what: {"seconds": median(values), "cpu": round(median(cpu), 3), "all": values}
        for what, values in found.items()
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine() -> dict[str, object]:
    """What the figures are of. `load` is what else it had to do when they began."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory": psutil.virtual_memory().total,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--times", type=int, help="instead of each benchmark's own number")
    parser.add_argument("--output", type=Path, default=Path("bench.json"))
    asked = parser.parse_args()
    if unknown := set(asked.what) - BENCHMARKS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: known are {', '.join(BENCHMARKS)}")
    if asked.times is not None and asked.times < 1:
        parser.error("--times: at least 1")
    found = {
        "harness": harness_version(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "seconds": {},
    }
    for name in asked.what or BENCHMARKS:
        taken = measured(name, asked.times)
        found["seconds"].update(taken)
        for what, values in taken.items():
            number = len(values["all"])
            print(f"{what:<20} {values['seconds']:8.2f} s  (cpu {values['cpu']:.2f} s, {number}x)")
        # After each: the last ones take an hour.
        asked.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
