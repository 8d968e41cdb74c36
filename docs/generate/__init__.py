# SPDX-License-Identifier: MIT
"""Parts of the reference that are made from the code whenever the book is built.

A page has a line `<!-- generated: NAME ARGUMENT -->` where such a part belongs.
"""

import re
from collections.abc import Callable

from docs.generate.commands import commands
from docs.generate.keys import keys
from docs.generate.registers import architecture, operations

_PARTS: dict[str, Callable[..., str]] = {
    "commands": commands,
    "keys": keys,
    "architecture": architecture,
    "operations": operations,
}
_MARK = re.compile(r"^<!-- generated: ([a-z]+)((?: [\w.-]+)*) -->$", re.M)


def filled(text: str) -> str:
    """`text` of a page, in Markdown, with its generated parts. Raises KeyError for one that is
    unknown."""
    return _MARK.sub(lambda mark: _PARTS[mark[1]](*mark[2].split()), text)
