# SPDX-License-Identifier: MIT
"""The history for other systems: Apache Otava (CSV files and their configuration) and KCIDB."""

import csv
import io
import math
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pandas as pd
import yaml

from harness.results.history.key import KEY, UNIT, lineage
from harness.results.history.nights import CONTEXT, History
from harness.results.tables import records

_METRIC = "value"
_ATTRIBUTES = ("run_id", "kernels", "harness")
_NAMES = ("host", "benchmark", "configuration", "metric", "level")


def otava(history: History) -> dict[str, str]:
    """`otava.yaml`, and a CSV file for each series with a row a run, by name. Series of exact
    figures go on from kernel to kernel. What is not judged, is not exported either."""
    tests: dict[str, Any] = {}
    files: dict[str, str] = {}
    for key, values in _lineages(history).items():
        named = dict(zip(KEY, key, strict=True))
        words = [re.sub(r"[^a-zA-Z0-9_.-]+", "-", named[name]) for name in _NAMES if named[name]]
        name = "_".join([*words, str(len(tests) + 1)])
        better = 1 if key[UNIT].endswith("/s") else -1
        tests[name] = {
            "type": "csv",
            "file": f"{name}.csv",
            "time_column": "time",
            "attributes": list(_ATTRIBUTES),
            "metrics": {named["metric"]: {"column": _METRIC, "direction": better}},
        }
        files[f"{name}.csv"] = _table(history, values)
    settings = yaml.safe_dump({"tests": tests}, sort_keys=False, allow_unicode=True)
    return {
        "otava.yaml": f"# In this folder: otava analyze --config-file otava.yaml TEST\n{settings}",
        **files,
    }


def _lineages(history: History) -> dict[tuple[str, ...], dict[int, float]]:
    """{series: {night: value}}; a night that measured twice has the mean."""
    found: dict[tuple[str, ...], dict[int, float]] = {}
    for entry in history.entries():
        if entry.key[UNIT] in CONTEXT:
            continue
        series = pd.Series(entry.series.values, index=entry.series.nights)
        means = series.groupby(level=0).mean()
        values = dict(zip(means.index.to_list(), means.to_list(), strict=True))
        found.setdefault(lineage(entry.key), {}).update(values)
    return found


def _table(history: History, values: dict[int, float]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(["time", *_ATTRIBUTES, _METRIC])
    for number, value in sorted(values.items()):
        night = history.nights[number]
        told = {"run_id": night.run_id, **night.facts}
        writer.writerow([night.started.isoformat(), *(told[name] for name in _ATTRIBUTES), value])
    return sink.getvalue()


def kcidb(measured: pd.DataFrame, origin: str) -> dict[str, Any]:
    """All measurements in a frame of `harness.results.load` as a report in KCIDB's schema 5.3, by
    `origin`: a checkout for each version of Linux that was L0's, a build for each of its kernels,
    and a test, `DONE` with a number, for each figure. What has no known kernel is left out."""
    checkouts: dict[str, dict[str, Any]] = {}
    builds: dict[str, dict[str, Any]] = {}
    tests = []
    for row, version, key in _of_kernels(measured[measured["reason"] == ""]):
        checkout, build = f"{origin}:linux-{version}", f"{origin}:{key}"
        checkouts.setdefault(
            checkout,
            {
                "id": checkout,
                "origin": origin,
                "tree_name": "linux",
                "git_commit_name": f"v{version}",
                "valid": True,
            },
        )
        builds.setdefault(
            build,
            {
                "id": build,
                "checkout_id": checkout,
                "origin": origin,
                "architecture": "arm64",
                "status": "PASS",
                "misc": {"track": row["track"]},
            },
        )
        tests.append(_test(row, origin, build))
    return {
        "version": {"major": 5, "minor": 3},
        "checkouts": list(checkouts.values()),
        "builds": list(builds.values()),
        "tests": tests,
    }


def _of_kernels(measured: pd.DataFrame) -> Iterator[tuple[dict[str, Any], str, str]]:
    """The rows whose kernel of L0 is known, with its version and its key."""
    for row in records(measured):
        known = re.search(r"\bL0=([^\s/]+)/(\S+)", str(row["subject"]))
        if known and math.isfinite(row["value"]):
            yield row, known[1], known[2]


def _test(row: dict[str, Any], origin: str, build: str) -> dict[str, Any]:
    cell = f"{row['host']}/{row['configuration']}/{row['repetition']}/{row['benchmark']}"
    what = "/".join(str(row[name]) for name in ("metric", "level", "statistic") if row[name])
    started: datetime = row["started"]
    told = ("host", "track", "cpu", "mechanism", "statistic", "level", "subject", "settings")
    path = ".".join(
        re.sub(r"[^a-zA-Z0-9_-]+", "_", str(row[name]))
        for name in ("benchmark", "configuration", "metric")
    )
    return {
        "id": f"{origin}:{row['run_id']}/{cell}/{what}",
        "build_id": build,
        "origin": origin,
        "path": f"neve.{path}",
        "environment": {"comment": f"{row['host']}: {row['cpu']}, GICv{row['gic']}"},
        "status": "DONE",
        "number": {"value": float(row["value"]), "unit": str(row["unit"])},
        "start_time": started.isoformat(),
        "misc": {name: str(row[name]) for name in told if row[name]},
    }
