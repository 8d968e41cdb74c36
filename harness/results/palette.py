# SPDX-License-Identifier: MIT
"""How figures are drawn: with hatches, and with colours that people with any kind of colour vision
can tell apart, and that differ in lightness, also in a grey print. A test computes both."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

INK = "#222222"  # text, axes and edges; a page draws them in the colour of its own text
PAPER, SHADE = "#ffffff", "#1a1a1a"  # what shows on colours that are dark or light, on all pages
_MIDDLE = 130  # of 255
# From dark to light.
_NAVY, _PURPLE, _BRICK, _ORANGE = "#032c57", "#622f72", "#9f3e41", "#d05010"
_SKY, _AMBER, _YELLOW, _CHALK = "#03a0e1", "#f0a349", "#e4d35d", "#f2f0ed"


@dataclass(frozen=True)
class Look:
    """How a bar or a point looks; its hatch is of the colour that shows on it."""

    color: str
    hatch: str = ""
    marker: str = "o"

    @property
    def bar(self) -> dict[str, Any]:
        """For matplotlib's bars."""
        red, green, blue = (int(self.color[place : place + 2], 16) for place in (1, 3, 5))
        dark = 0.21 * red + 0.72 * green + 0.07 * blue < _MIDDLE
        return {
            "facecolor": self.color,
            "hatch": self.hatch,
            "hatchcolor": PAPER if dark else SHADE,
            "edgecolor": INK,
            "linewidth": 0.5,
        }


# Warm where all EL2 accesses trap, cold where NEVE redirects them; the guest hypervisors with VHE
# are the lighter and hatched ones.
CONFIGURATIONS = {
    "native": Look(_CHALK),
    "vm": Look(_YELLOW, "||"),
    "nested-v8.3": Look(_ORANGE),
    "nested-v8.3-vhe": Look(_AMBER, "////"),
    "nested-neve": Look(_NAVY),
    "nested-neve-vhe": Look(_SKY, r"\\\\"),
    "nested-neve-memory": Look(_PURPLE),
    "nested-neve-memory-vhe": Look(_PURPLE, "////"),
    "nested-neve-registers": Look(_BRICK),
    "nested-neve-registers-vhe": Look(_BRICK, r"\\\\"),
}
# What NEVE makes of an access: the darker, the worse. No colour of a configuration.
KINDS = {
    "trap": Look("#2e1e41"),
    "EL1 register": Look("#6d4388", "////"),
    "memory": Look("#009280", "||"),
    "memory (reads)": Look("#7dc4ac", r"\\\\"),
    "exit of a guest": Look("#edeaeb"),
}
# What has no colour of its own: kernels, series of a chart.
SERIES = (
    Look(_NAVY, "", "o"),
    Look(_ORANGE, "////", "s"),
    Look(_SKY, r"\\\\", "^"),
    Look(_PURPLE, "xx", "D"),
    Look(_AMBER, "||", "v"),
    Look(_BRICK, "++", "P"),
    Look(_YELLOW, "--", "X"),
)


def looks(names: Iterable[str]) -> dict[str, Look]:
    """One for each of `names`, in their order; an eighth repeats a colour, with more hatches."""
    found = {}
    for number, (name, look) in enumerate(zip(names, cycle(SERIES), strict=False)):
        round_ = number // len(SERIES)
        found[name] = replace(look, hatch=look.hatch + "-" * round_) if round_ else look
    return found
