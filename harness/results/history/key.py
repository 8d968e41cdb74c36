# SPDX-License-Identifier: MIT
"""What names a series."""

from harness.model.measurement import Statistic
from harness.results.history.changes import Key

KEY = [
    "host",
    "track",
    "cpu",
    "gic",
    "configuration",
    "mechanism",
    "benchmark",
    "metric",
    "level",
    "unit",
    "statistic",
    "settings",
    "subject",  # of exact figures; what explains a change of others
]
UNIT = KEY.index("unit")
_STATISTIC, _SETTINGS, _SUBJECT = (KEY.index(name) for name in ("statistic", "settings", "subject"))
# What series must have in common so that one tells about the noise of another.
_GROUP = [KEY.index(name) for name in ("host", "metric", "unit", "statistic")]


def subject_of(key: Key) -> str:
    """What was measured; nothing of figures that are not exact."""
    return key[_SUBJECT]


def group(key: Key) -> Key:
    """Names the series that tell of each other's noise."""
    return tuple(key[place] for place in _GROUP)


def line(key: Key) -> Key:
    """Names the series of all subjects that are measured with the same settings."""
    return _replaced(key, _SUBJECT, "")


def lineage(key: Key) -> Key:
    """Names the series that are compared with each other where one of them is new: also those of
    another kernel that the playbook names. A series whose figures are never exact is by itself."""
    if not may_be_exact(key):
        return key
    named = ("kernel=", "kernels=")
    settings = [word for word in key[_SETTINGS].split() if not word.startswith(named)]
    return _replaced(line(key), _SETTINGS, " ".join(settings))


def may_be_exact(key: Key) -> bool:
    """Whether its figures are exact if enough operations have them."""
    return key[_STATISTIC] == Statistic.MODE


def _replaced(key: Key, place: int, value: str) -> Key:
    return (*key[:place], value, *key[place + 1 :])
