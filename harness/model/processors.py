# SPDX-License-Identifier: MIT
"""Which of QEMU's processors have FEAT_NV and FEAT_NV2: `processors.toml`."""

import tomllib
from functools import cache
from pathlib import Path


@cache
def with_feat_nv2() -> tuple[str, ...]:
    """The models that have FEAT_NV and FEAT_NV2."""
    data = tomllib.loads(Path(__file__).with_name("processors.toml").read_text(encoding="utf-8"))
    return tuple(data["feat_nv2"])


def without_feat_nv(cpu: str) -> str | None:
    """Why virtual EL2 has no architected traps on `cpu`, a model of QEMU's with or without options;
    None if it has them."""
    model = cpu.partition(",")[0]
    if model in with_feat_nv2():
        return None
    return f"{model} has no FEAT_NV; of QEMU's processors, {', '.join(with_feat_nv2())} have it"
