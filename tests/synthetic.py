# SPDX-License-Identifier: MIT
"""Run folders of nights that never were."""

import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from harness.model.cell import CellRecord
from harness.model.measurement import Measurement

FIRST = datetime(2026, 1, 1, 3, 0, tzinfo=UTC)


def measurement(
    run_id,
    value,
    *,
    host="server",
    configuration="vm",
    benchmark="hypercall",
    metric="cost",
    unit="instructions",
    reason="",
    cpu="cortex-a57",
    repetition=1,
    level="",
    statistic=None,
    share=None,
):
    return Measurement(
        run_id=run_id,
        host=host,
        track="v4.10",
        cpu=cpu,
        gic=3,
        configuration=configuration,
        mechanism="none",
        benchmark=benchmark,
        metric=metric,
        unit=unit,
        value=value,
        stdev=None,
        iterations=1000,
        reason=reason,
        repetition=repetition,
        statistic=statistic or ("median" if metric == "cost" else "mean"),
        level=level,
        share=share,
    )


def metadata(run_id, number=0, **more):
    started = FIRST + timedelta(days=number)
    return {
        "schema": 2,
        "run_id": run_id,
        "started": started.isoformat(),
        "state": "finished",
        "track": "v4.10",
        "harness": "0.1.0",
        "emulator": "11.1",
        "playbook": {"name": "nightly", "repetitions": 1},
        "kernels": {"l0": {"version": "4.10.0", "key": "k1"}},
        **more,
    }


def write_run(
    runs, number, values, *, again=None, host="server", name=None, cpu="cortex-a57", **more
):
    """A night. `values` and `again` (its repetition) are {benchmark: cost in instructions}."""
    run_id = name or f"night-{number:03}"
    folder = runs / run_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.json").write_text(json.dumps(metadata(run_id, number, **more)))
    records = [
        CellRecord(
            f"{host}/vm/{repetition}/{benchmark}",
            "passed",
            1.0,
            tuple(
                measurement(
                    run_id,
                    figure,
                    host=host,
                    benchmark=benchmark,
                    metric=metric,
                    unit=unit,
                    reason=reason,
                    cpu=cpu,
                    repetition=repetition,
                )
                for figure, metric, unit, reason in (
                    (float(value), "cost", "instructions", ""),
                    (1.0, "traps", "exits", ""),
                    (1.0, "traps", "exits", "HVC64"),
                )
            ),
        )
        for repetition, measured in ((1, values), (2, again or {}))
        for benchmark, value in measured.items()
    ]
    write_cells(folder, records)
    return folder


def write_exact(runs, number, cells, *, host="tcg", name=None, share=0.97, **more):
    """A night of exact figures. `cells` are {(configuration, benchmark): (cost, sequence)} with
    the exits of each vCPU, or None where none was kept."""
    run_id = name or f"night-{number:03}"
    folder = runs / run_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.json").write_text(json.dumps(metadata(run_id, number, **more)))
    records = []
    for (configuration, benchmark), (cost, exits) in cells.items():
        where = {
            "host": host,
            "configuration": configuration,
            "benchmark": benchmark,
            "statistic": "mode",
            "share": share,
        }
        traps = {"metric": "traps", "unit": "exits"}
        reasons = Counter(line.split()[-1] for own in exits or () for line in own)
        counts = {"": float(reasons.total() if exits is not None else 8), **reasons}
        kept = [{"operations": round(100 * share), "exits": exits}]
        records.append(
            CellRecord(
                f"{host}/{configuration}/1/{benchmark}",
                "passed",
                1.0,
                (
                    measurement(run_id, float(cost), **where),
                    *(
                        measurement(run_id, float(count), reason=reason, **traps, **where)
                        for reason, count in counts.items()
                    ),
                ),
                ({"sequences": kept} if exits is not None else {},),
            )
        )
    write_cells(folder, records)
    return folder


def write_cells(folder, records):
    """The cells of a night."""
    lines = [json.dumps(asdict(record)) + "\n" for record in records]
    (folder / "cells.jsonl").write_text("".join(lines))
